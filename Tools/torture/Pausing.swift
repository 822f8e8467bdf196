import Glibc
import SystemPackage
import Tidelog

/// Pauses a consumer, or resumes it, stops behind one of the calls that this takes, and ends without another change.
enum Pausing {
    static func run(_ options: Options) throws {
        let (path, resumes) = (try options.path(), options.has("resume"))
        let step = Int(options.number("step") ?? 0)
        try Consuming.blocking {
            let log = try await EventLog.open(at: FilePath(path), configuration: Appender.configuration)
            Fault(.stopAfter, at: step).arm()
            if resumes {
                try await log.consumers.resume("c")
            } else {
                try await log.consumers.pause("c")
            }
            acknowledge("CALLS \(Fault.disarm())")
            // Closing might commit something.
            _exit(0)
        }
    }
}
