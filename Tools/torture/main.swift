// The process that crash tests kill, and the campaign that kills it for hours.
import Foundation

// A write that is past the file-size limit is then an error like any other.
signal(SIGXFSZ, SIG_IGN)

let arguments = Array(CommandLine.arguments.dropFirst())
do {
    try Command.run(arguments)
} catch {
    FileHandle.standardError.write(Data("torture: \(error)\n".utf8))
    exit(1)
}
