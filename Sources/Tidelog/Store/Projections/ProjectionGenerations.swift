// Which generations of a projection stay, and how the others are removed.
//
// Invariants:
// - entries of a generation that is neither live nor being built stand in the head only while a note says which
//   session is to remove them; a rebuild has such a note from its beginning;
// - whoever finds the note of a session that is gone does what that one would have done, and then drops the note;
// - a generation is removed in slices, progress and all, and not before the control record says that it is none.
import TidelogStorage

/// The generations of one projection, as one open log sees them.
struct ProjectionGenerations: Sendable {
    let name: String
    private let engine: LogEngine
    private let hub: SubscriptionHub

    init(_ name: String, _ engine: LogEngine, _ hub: SubscriptionHub) {
        self.name = name
        self.engine = engine
        self.hub = hub
    }

    private var controlKey: [UInt8] { ProjectionKeys.control(self.name) }
    private var noteKey: [UInt8] { ProjectionKeys.note(self.name) }

    /// This session's note: that it builds a generation anew, or, with 0, that it removes old ones.
    ///
    /// From then on other processes can see whether the session lives.
    func note(building generation: UInt32 = 0) throws(EventLogError) -> ProjectionNote {
        try EventLogError.translating { () throws(StorageError) in try self.hub.announce() }
        return ProjectionNote(generation: generation, session: self.hub.session)
    }

    /// The change of the head that brings a note.
    func change(_ note: ProjectionNote) -> RecordChange {
        .set(.projections, key: self.noteKey, value: note.stored)
    }

    /// Takes over a generation that another session began to rebuild; false if the records have changed.
    func takeOver(_ generation: UInt32, _ control: ProjectionControl) throws(EventLogError) -> Bool {
        let note = try self.note(building: generation)
        let (known, _) = try self.records()
        if known == note { return true }
        return try self.engine.change(
            [self.change(note)],
            ifStill: [(self.controlKey, control.stored), (self.noteKey, known?.stored)])
    }

    private func records() throws(EventLogError) -> (note: ProjectionNote?, control: ProjectionControl?) {
        let name = self.name
        return try EventLogError.translating { () throws(StorageError) in
            try self.engine.readingRecords { view throws(StorageError) in
                (try view.note(name), try view.control(name))
            }
        }
    }

    // MARK: Removing

    /// Removes what a session that is gone has left.
    func removeOrphans() throws(EventLogError) {
        guard let note = try self.records().note else { return }
        try EventLogError.translating { () throws(StorageError) in try self.hub.announce() }
        if !self.hub.isPresent(note.session) { try self.giveUp(note) }
    }

    /// Removes the generation that this session was rebuilding, if it still was.
    func abandon() throws(EventLogError) {
        guard let note = try self.records().note, note.session == self.hub.session, note.generation > 0
        else { return }
        try self.giveUp(note)
    }

    private func giveUp(_ note: ProjectionNote) throws(EventLogError) {
        while true {
            let (known, control) = try self.records()
            // Somebody else may have begun anew meanwhile, and sees to what is left.
            guard known == note else { return }
            if let control, note.generation > 0, control.building == note.generation {
                var without = control
                without.building = 0
                let isDone = try self.engine.change(
                    [.set(.projections, key: self.controlKey, value: without.stored)],
                    ifStill: [(self.controlKey, control.stored), (self.noteKey, note.stored)])
                if !isDone { continue }
            }
            return try self.removeOld(then: note)
        }
    }

    /// Removes the projection, if its control record is still this one; false if it is not.
    func removeAll(_ control: ProjectionControl) throws(EventLogError) -> Bool {
        // Without a live generation there is no projection; that record goes last, so that a crash on the way
        // leaves no value that another projection of the name could take for its own.
        let none = ProjectionControl(live: 0, building: 0, highest: control.highest)
        let note = try self.note()
        let isDone = try self.engine.change(
            [.set(.projections, key: self.controlKey, value: none.stored), self.change(note)],
            ifStill: [(self.controlKey, control.stored)])
        if isDone { try self.removeOld(then: note) }
        return isDone
    }

    /// Removes the state of every generation that is neither live nor being built, and then the note.
    func removeOld(then note: ProjectionNote) throws(EventLogError) {
        try self.removeOld()
        let control = try self.records().control
        var removals: [RecordChange] = [.remove(.projections, key: self.noteKey)]
        // Without any generation it was being deleted.
        if control?.live == 0, control?.building == 0 {
            removals.append(.remove(.projections, key: self.controlKey))
        }
        _ = try self.engine.change(
            removals, ifStill: [(self.controlKey, control?.stored), (self.noteKey, note.stored)])
    }

    /// Removes the state of every generation that is neither live nor being built.
    func removeOld() throws(EventLogError) {
        while true {
            // In slices: one huge transaction would make later ones slower.
            let (removals, control) = try self.slice()
            if removals.isEmpty { return }
            // The generation of a rebuild that began meanwhile is not among them: its number is new.
            _ = try self.engine.change(removals, ifStill: [(self.controlKey, control?.stored)])
        }
    }

    private static let sliceLimit = 4096

    private func slice() throws(EventLogError) -> (removals: [RecordChange], control: ProjectionControl?) {
        let name = self.name
        return try EventLogError.translating { () throws(StorageError) in
            try self.engine.readingRecords { view throws(StorageError) in
                let control = try view.control(name)
                var removals: [RecordChange] = []
                let kept = [control?.live ?? 0, control?.building ?? 0]
                for kind in [UInt8(2), 1] {
                    var start: [UInt8] = []
                    let prefix = [kind] + Array(name.utf8) + [0]
                    repeat {
                        var next: [UInt8]?
                        try view.forEach(.projections, prefix: prefix, from: start) { key, _ in
                            let generation = key.prefix(4).reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
                            if kept.contains(generation) {
                                let after = generation &+ 1
                                next =
                                    after == 0
                                    ? nil : withUnsafeBytes(of: after.bigEndian) { [UInt8]($0) }
                                return false
                            }
                            removals.append(.remove(.projections, key: prefix + key))
                            return removals.count < Self.sliceLimit
                        }
                        start = next ?? []
                    } while !start.isEmpty && removals.count < Self.sliceLimit
                }
                return (removals, control)
            }
        }
    }
}

extension EventLog {
    /// Removes, on a thread of the log's own, what rebuilds of processes that are gone have left of projections.
    func removeOrphans() {
        let (engine, hub) = (self.engine, self.subscriptions)
        guard !engine.options.isReadOnly else { return }
        let names = try? engine.readingRecords { view throws(StorageError) in
            var names: [String] = []
            try view.forEach(.projections, prefix: ProjectionKeys.note("")) { key, _ in
                names.append(String(decoding: key, as: UTF8.self))
                return true
            }
            return names
        }
        guard let names, !names.isEmpty else { return }
        _ = engine.pool.submit {
            // What cannot be removed now is, at the next opening or when the projection runs.
            for name in names { try? ProjectionGenerations(name, engine, hub).removeOrphans() }
        }
    }
}
