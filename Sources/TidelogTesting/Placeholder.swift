import Tidelog
