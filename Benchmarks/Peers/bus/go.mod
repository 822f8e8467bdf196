module tidelog.example/bus

go 1.19
