/// The columns of a frame that keep each distinct value once, and a code per event.
package enum FrameColumn: Int, CaseIterable, Sendable {
    /// The event's type: a text, never absent.
    case type
    /// The stream that the event belongs to: a text or none.
    case stream
    /// What produced the event: a text or none.
    case source
    /// The media type of the payload: a text or none.
    case contentType
    /// The tenant: a text or none.
    case tenant
    /// The correlation id or none.
    case correlation
    /// The causation id or none.
    case causation

    /// Whether the values are identifiers and not texts.
    var holdsIdentifiers: Bool { self == .correlation || self == .causation }
}

/// Parts of a frame that a decoder unpacks together.
///
/// A reader names those that it looks at; the others cost it nothing.
package struct FrameParts: OptionSet, Sendable {
    package let rawValue: UInt32
    package init(rawValue: UInt32) { self.rawValue = rawValue }

    /// The types' values and codes.
    package static var types: Self { .column(.type) }
    /// The streams' values and codes.
    package static var streams: Self { .column(.stream) }
    /// The event ids; they need the timestamps.
    package static var ids: Self { Self(rawValue: 1 << 8) }
    /// The timestamps.
    package static var timestamps: Self { Self(rawValue: 1 << 9) }
    /// The revisions; they need the streams.
    package static var revisions: Self { Self(rawValue: 1 << 10) }
    /// The schema versions.
    package static var schemaVersions: Self { Self(rawValue: 1 << 11) }
    /// Where each event's metadata and payload lie; needs the types if there are several groups.
    package static var bodies: Self { Self(rawValue: 1 << 12) }
    /// Everything in the envelope.
    package static var all: Self { Self(rawValue: 0x1f7f) }

    /// The values and codes of one column.
    package static func column(_ column: FrameColumn) -> Self {
        Self(rawValue: 1 << UInt32(truncatingIfNeeded: column.rawValue))
    }
}
