import Foundation
import Testing
import Tidelog

@Suite("The commands of the store")
struct StoreCommandTests {
    private static func opened(_ log: String, _ body: (EventLog) async throws -> Void) async throws {
        let opened = try await EventLog.open(at: .init(log))
        try await body(opened)
        await opened.close()
    }

    @Test("state merges the payloads of a stream, now and as of a position or a time")
    func state() throws {
        try TemporaryFolder.withLog { folder, log in
            for (time, json) in [
                ("2024-01-01T00:00:00Z", #"{"name":"Ada","address":{"city":"Rome","zip":1}}"#),
                ("2024-06-01T00:00:00Z", #"{"address":{"zip":2},"tags":["a"]}"#),
                ("2025-01-01T00:00:00Z", #"{"name":null}"#), ("2025-06-01T00:00:00Z", "[1]"),
            ] {
                try Tool.succeed(
                    "append", log, "--type", "user.changed", "--stream", "u", "--data", json, "--time", time)
            }
            let now = try jsonObject(try Tool.succeed("state", log, "u", "--json").output)
            #expect(now["events"] as? Int == 4 && now["passed_over"] as? Int == 1)
            #expect(now["revision"] as? Int == 3)
            #expect((now["state"] as? [String: Any])?["name"] == nil)
            #expect(((now["state"] as? [String: Any])?["address"] as? [String: Any])?["zip"] as? Int == 2)
            let first = try jsonObject(try Tool.succeed("state", log, "u", "--as-of", "0", "--json").output)
            #expect((first["state"] as? [String: Any])?["name"] as? String == "Ada")
            let summer = try Tool.succeed("state", log, "u", "--as-of", "2024-07-01").output
            #expect(
                summer.contains(#"{"name":"Ada","address":{"city":"Rome","zip":2},"tags":["a"]}"#),
                "\(summer)")
            try Tool.fail(1, "state", log, "u", "--as-of", "2023-01-01")
            try Tool.fail(1, "state", log, "none")
            try Tool.fail(2, "state", log, "u", "--as-of", "yesterday")
        }
    }

    @Test("state shows numbers as they were written, also those that are no doubles")
    func numbers() throws {
        try TemporaryFolder.withLog { folder, log in
            let json = #"{"id":9007199254740993,"rate":0.12345678901,"price":1.50,"huge":-1e400}"#
            try Tool.succeed("append", log, "--type", "t", "--stream", "s", "--data", json)
            try Tool.succeed("append", log, "--type", "t", "--stream", "s", "--data", #"{"more":[1e3]}"#)
            let wanted = String(json.dropLast()) + #","more":[1e3]}"#
            #expect(try Tool.succeed("state", log, "s").output.contains(wanted))
            #expect(try Tool.succeed("state", log, "s", "--json").output.contains(#""state":"# + wanted))
        }
    }

    @Test("streams tells how many events each has, of which revisions, and their first and last times")
    func streams() throws {
        try TemporaryFolder.withLog { folder, log in
            for (stream, time) in [
                ("a", "2024-01-01T00:00:00Z"), ("b", "2024-02-01T00:00:00Z"), ("a", "2024-03-01T00:00:00Z"),
                ("a", "2024-04-01T00:00:00Z"), ("c", "2024-05-01T00:00:00Z"),
            ] {
                try Tool.succeed("append", log, "--type", "t", "--stream", stream, "--time", time)
            }
            try Tool.succeed("truncate", log, "a", "--before", "1")
            try Tool.succeed("delete", log, "c")
            let all = try Tool.succeed("streams", log, "--json").lines.map { try jsonObject(String($0)) }
            #expect(all.map { $0["stream"] as? String } == ["a", "b", "c"])
            #expect(all.map { $0["events"] as? Int } == [2, 1, 0])
            #expect(all.map { $0["first_revision"] as? Int } == [1, 0, 1])
            #expect(all.map { $0["last_revision"] as? Int } == [2, 0, 0])
            #expect(
                all.map { $0["first_event"] as? String }
                    == ["2024-03-01T00:00:00Z", "2024-02-01T00:00:00Z", nil])
            #expect(
                all.map { $0["last_event"] as? String }
                    == ["2024-04-01T00:00:00Z", "2024-02-01T00:00:00Z", nil])
            #expect(all.map { $0["deleted"] as? Bool } == [false, false, true])
            let lines = try Tool.succeed("streams", log).lines
            #expect(
                lines == [
                    "stream  events  revisions  first event           last event            state",
                    "a            2     1 to 2  2024-03-01T00:00:00Z  2024-04-01T00:00:00Z",
                    "b            1     0 to 0  2024-02-01T00:00:00Z  2024-02-01T00:00:00Z",
                    "c            0                                                         deleted",
                ])
            #expect(try Tool.succeed("streams", log, "--prefix", "b", "--limit", "1").lines.count == 2)
        }
    }

    @Test("projections lists them and their entries, tells what one stopped at, and deletes")
    func projections() async throws {
        try await TemporaryFolder.withLogAsync { folder, log in
            try await Self.opened(log) { log in
                struct Refused: Error {}
                try await log.append((0..<4).map { Event(id: .init("e\($0)"), type: "t.\($0)") })
                try await log.catchUp(
                    Projection("sums", of: .all) { stored, state in
                        try state.add(3, to: "sum/\(stored.type)")
                        try state.set("json", .json(Array(#"{"a":1}"#.utf8)))
                    })
                _ = try? await log.catchUp(
                    Projection("broken", of: .all) { stored, state in
                        if stored.type == "t.2" { throw Refused() }
                        try state.add(1, to: "n")
                    })
            }
            let all = try Tool.succeed("projections", log, "--json").lines.map { try jsonObject(String($0)) }
            #expect(all.map { $0["projection"] as? String } == ["broken", "sums"])
            #expect(all.map { $0["lag"] as? Int } == [2, 0])
            #expect((all[0]["failure"] as? [String: Any])?["id"] as? String == "e2")
            #expect(try Tool.succeed("projections", log).output.contains("stopped at 2"))
            #expect(
                try Tool.succeed("projections", log, "sums", "--prefix", "sum/", "--limit", "2").lines
                    == ["sum/t.0  3", "sum/t.1  3"])
            let value = try jsonObject(
                try Tool.succeed("projections", log, "sums", "--key", "json", "--json").output)
            #expect((value["value"] as? [String: Any])?["a"] as? Int == 1)
            try Tool.fail(1, "projections", log, "sums", "--key", "none")
            try Tool.fail(1, "projections", log, "none")
            try Tool.fail(2, "projections", log, "--key", "k")
            let deleted = try jsonObject(
                try Tool.succeed("projections", log, "broken", "--delete", "--json").output)
            #expect(deleted["projection"] as? String == "broken" && deleted["deleted"] as? Bool == true)
            #expect(try Tool.succeed("projections", log, "--json").lines.count == 1)
        }
    }

    /// A process manager that sends an event of type `type` to the stream "gone" for each of type "go", and
    /// one to the stream "kept" before; its timers throw.
    private static func process(_ name: String, sending type: String?, waits: Bool = false) -> ProcessManager<
        Int
    > {
        struct Late: Error {}
        var process = ProcessManager(name, state: 0, of: .types("go")) {
            $0.event.id.description
        } handle: { _, _, actions in
            if waits { actions.setTimer("wake", after: .zero) }
            guard let type else { return }
            actions.send(Event(type: "first", stream: "kept"))
            actions.send(Event(id: .init("out-\(name)"), type: type, stream: "gone"))
        } timer: { _, _, _ in
            throw Late()
        }
        process.now = { Timestamp(nanosecondsSinceEpoch: 1000) }
        return process
    }

    @Test("processes lists them, and tells event or timer, instance, code and output of what one stopped at")
    func processes() async throws {
        try await TemporaryFolder.withLogAsync { folder, log in
            #expect(try Tool.succeed("processes", log).output == "")
            try await Self.opened(log) { log in
                try await log.append(Event(type: "x"), to: "gone")
                try await log.delete(stream: "gone")
                try await log.append([Event(type: "x"), Event(id: "go-1", type: "go")])
                try await log.catchUp(Self.process("fine", sending: nil))
                _ = try? await log.catchUp(Self.process("refused", sending: "out"))
                _ = try? await log.catchUp(Self.process("timed", sending: nil, waits: true))
            }
            let all = try Tool.succeed("processes", log, "--json").lines.map { try jsonObject(String($0)) }
            #expect(all.map { $0["process"] as? String } == ["fine", "refused", "timed"])
            #expect(all.map { $0["next_position"] as? Int } == [3, 2, 3])
            #expect(all.map { $0["lag"] as? Int } == [0, 1, 0])
            #expect(all[0]["failure"] is NSNull)
            let refused = try #require(all[1]["failure"] as? [String: Any])
            #expect(refused["position"] as? Int == 2 && refused["timer"] is NSNull)
            #expect(refused["instance"] as? String == "go-1" && refused["code"] as? String == "streamDeleted")
            #expect((refused["message"] as? String)?.contains("'gone' was deleted") == true)
            let output = try #require(refused["output"] as? [String: Any])
            #expect(output["index"] as? Int == 1 && output["id"] as? String == "out-refused")
            #expect(output["type"] as? String == "out" && output["stream"] as? String == "gone")
            let timed = try #require(all[2]["failure"] as? [String: Any])
            #expect(timed["position"] is NSNull && timed["timer"] as? String == "wake")
            #expect(timed["code"] is NSNull && timed["output"] is NSNull)
            #expect((timed["message"] as? String)?.contains("Late") == true)

            let lines = try Tool.succeed("processes", log).lines
            #expect(lines.first == "process  next position  behind  state")
            #expect(lines.count == 4 && lines[1] == "fine                 3       0")
            #expect(
                lines[2].contains("stopped at 2 of go-1, event 1 of those sent (out to gone): streamDeleted"),
                "\(lines[2])")
            #expect(lines[3].contains("stopped at timer wake of go-1: Late"), "\(lines[3])")
            // Once it works, the failure is gone.
            try await Self.opened(log) { log in
                try await log.catchUp(Self.process("refused", sending: nil))
            }
            #expect(!(try Tool.succeed("processes", log).output.contains("go-1, event")))
        }
    }

    @Test(
        "schema registers, lists and checks; what does not fit, or does not go together, ends with status 1")
    func schema() throws {
        try TemporaryFolder.withLog { folder, log in
            try Tool.succeed("append", log, "--type", "order.placed", "--data", #"{"total":"free"}"#)
            let file = try folder.write(
                #"{"required":["total"],"properties":{"total":{"type":"integer"}}}"#, to: "s")
            try Tool.succeed("schema", log, "order.placed", "--register", file)
            let listed = try jsonObject(try Tool.succeed("schema", log, "--json").output)
            #expect(listed["type"] as? String == "order.placed" && listed["mode"] as? String == "enforce")
            try Tool.fail(1, "append", log, "--type", "order.placed", "--data", #"{"total":"free"}"#)
            try Tool.succeed("append", log, "--type", "order.placed", "--data", #"{"total":1}"#)
            let problem = try Tool.fail(1, "schema", log, "order.placed", "--check").error
            #expect(problem.contains("1 of 2") && problem.contains("/total"), "\(problem)")
            let checked = try jsonObject(
                try Tool.fail(1, "schema", log, "order.placed", "--check", "--json").output)
            #expect(checked["misfits"] as? Int == 1)
            #expect((checked["first"] as? String)?.contains("position 0") == true, "\(checked)")
            try Tool.fail(
                1, "schema", log, "order.placed", "--register", "-", "--schema-version", "2",
                input: #"{"required":["other"]}"#)
            try Tool.fail(3, "schema", log, "order.placed", "--register", "-", input: #"{"pattern":"a"}"#)
            try Tool.succeed("schema", log, "order.placed", "--mode", "off")
            try Tool.succeed("append", log, "--type", "order.placed", "--data", "[]")
            #expect(try Tool.succeed("schema", log).output.contains("off"))
            try Tool.fail(2, "schema", log, "--check")
        }
    }
}

extension TemporaryFolder {
    /// A folder with an empty log in it, for a body that awaits.
    fileprivate static func withLogAsync(_ body: (TemporaryFolder, String) async throws -> Void) async throws
    {
        let root = FileManager.default.temporaryDirectory.appending(path: "tidelog-tool-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: root, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: root) }
        let folder = TemporaryFolder(root: root)
        try Tool.succeed("init", folder.path("log"))
        try await body(folder, folder.path("log"))
    }
}
