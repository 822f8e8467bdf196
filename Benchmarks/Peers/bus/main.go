// Usage: bus SCENARIO [ROUNDS]. Prints one line of JSON for each round: nanoseconds on the clock and of the
// processors, and bytes allocated, all for one publish.
package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const size = 1024

func event() Event {
	return Event{
		ID: "0198c5f0-7d3a-7cc1-9d5b-1f2e3d4c5b6a", Type: "order.placed", Payload: []byte(`{"total":1299}`),
		Timestamp: time.Now(), Source: "shop", CorrelationID: "0198c5f0-7d3a-7cc1-9d5b-1f2e3d4c5b6b", Version: 1,
	}
}

// Handlers count, so that nothing is optimised away.
func subscribe(bus *Bus, count int) *[]uint64 {
	counts := make([]uint64, count*8)
	for i := 0; i < count; i++ {
		slot := &counts[i*8]
		bus.Subscribe("order.placed", func(_ context.Context, e Event) error {
			*slot += uint64(len(e.Payload))
			return nil
		})
	}
	return &counts
}

func subscribeShared(bus *Bus, count int) {
	for i := 0; i < count; i++ {
		bus.Subscribe("order.placed", func(_ context.Context, e Event) error {
			runtime.KeepAlive(e.Payload)
			return nil
		})
	}
}

func measure(scenario string, count int) (time.Duration, uint64) {
	var before, after runtime.MemStats
	ignore := func(error) {}
	e := event()
	ctx := context.Background()
	runtime.GC()
	runtime.ReadMemStats(&before)
	var start time.Time
	switch scenario {
	case "publish-0", "publish-10":
		bus := NewBus(0, ignore)
		if scenario == "publish-10" {
			subscribe(bus, 10)
		}
		start = time.Now()
		for i := 0; i < count; i++ {
			_ = bus.Publish(ctx, e)
		}
	case "threads-2":
		bus := NewBus(0, ignore)
		subscribeShared(bus, 10)
		var group sync.WaitGroup
		start = time.Now()
		for thread := 0; thread < 2; thread++ {
			group.Add(1)
			go func() {
				defer group.Done()
				for i := 0; i < count/2; i++ {
					_ = bus.Publish(ctx, e)
				}
			}()
		}
		group.Wait()
	case "threads-1":
		bus := NewBus(0, ignore)
		subscribeShared(bus, 10)
		start = time.Now()
		for i := 0; i < count; i++ {
			_ = bus.Publish(ctx, e)
		}
	case "async-1", "async-1-distinct":
		bus := NewBus(size, ignore)
		var seen uint64
		bus.Subscribe("order.placed", func(_ context.Context, e Event) error {
			atomic.AddUint64(&seen, 1)
			return nil
		})
		start = time.Now()
		if scenario == "async-1" {
			for i := 0; i < count; i++ {
				_ = bus.Publish(ctx, e)
			}
		} else {
			events := make([]Event, 1000)
			for i := range events {
				events[i] = event()
			}
			start = time.Now()
			for i := 0; i < count; i++ {
				_ = bus.Publish(ctx, events[i%len(events)])
			}
		}
		bus.Close()
		if seen != uint64(count) {
			panic("events were lost")
		}
	default:
		fmt.Fprintln(os.Stderr, "no scenario", scenario)
		os.Exit(2)
	}
	took := time.Since(start)
	runtime.ReadMemStats(&after)
	return took, after.TotalAlloc - before.TotalAlloc
}

// What all threads of the process have used of the processors.
func processorNanoseconds() int64 {
	var usage syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return usage.Utime.Nano() + usage.Stime.Nano()
}

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: bus SCENARIO [ROUNDS]")
		os.Exit(2)
	}
	rounds := 1
	if len(os.Args) > 2 {
		rounds, _ = strconv.Atoi(os.Args[2])
	}
	count := 2_000_000
	measure(os.Args[1], count/10)
	for i := 0; i < rounds; i++ {
		before := processorNanoseconds()
		took, bytes := measure(os.Args[1], count)
		processor := float64(processorNanoseconds()-before) / float64(count)
		fmt.Printf("{\"peer\":\"go\",\"scenario\":\"%s\",\"nanoseconds\":%.2f,\"cpu\":%.2f,\"bytes\":%.2f}\n",
			os.Args[1], float64(took.Nanoseconds())/float64(count), processor, float64(bytes)/float64(count))
	}
}
