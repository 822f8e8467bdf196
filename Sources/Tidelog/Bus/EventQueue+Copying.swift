// How an event is put into a slot where another one lies. Copying it and letting go of the other one would
// count some ten references up and as many down, nearly all of them of what both have in common: type, source
// and content type of a publisher's events, and all that neither has.
import TidelogStorage

extension Event {
    /// Becomes another event, and leaves alone what has the same bits already.
    ///
    /// Such a part refers to the same object, which has been counted for this place: there is nothing to do.
    /// What differs is copied as ever. Each field of a record must be here; a test compares.
    @inline(__always)
    mutating func become(_ other: Event) {
        Part.put(other.record.id, at: &self.record.id)
        Part.put(other.record.type, at: &self.record.type)
        Part.put(other.record.stream, at: &self.record.stream)
        self.record.timestamp = other.record.timestamp
        Part.put(other.record.source, at: &self.record.source)
        Part.put(other.record.contentType, at: &self.record.contentType)
        Part.put(other.record.tenant, at: &self.record.tenant)
        Part.put(other.record.correlation, at: &self.record.correlation)
        Part.put(other.record.causation, at: &self.record.causation)
        self.record.schemaVersion = other.record.schemaVersion
        Part.put(other.record.metadata, at: &self.record.metadata)
        Part.put(other.record.payload, at: &self.record.payload)
    }
}

/// Puts a part of an event where another one lies, unless that has the same bits.
///
/// One function for each type, since the compiler sees through casts of types that it knows. Where a type has
/// another size than expected, everything differs.
private enum Part {
    typealias Text = (UInt64, UInt64)
    typealias Tagged = (UInt64, UInt64, UInt8)
    typealias Slice = (UInt64, UInt64, UInt64, UInt64)

    @inline(__always)
    static func put(_ text: String, at place: UnsafeMutablePointer<String>) {
        guard MemoryLayout<String>.size == MemoryLayout<Text>.size else { return place.pointee = text }
        let before = UnsafeRawPointer(place).load(as: Text.self)
        if before != unsafeBitCast(text, to: Text.self) { place.pointee = text }
    }

    @inline(__always)
    static func put(_ text: String?, at place: UnsafeMutablePointer<String?>) {
        guard MemoryLayout<String?>.size == MemoryLayout<Text>.size else { return place.pointee = text }
        let before = UnsafeRawPointer(place).load(as: Text.self)
        if before != unsafeBitCast(text, to: Text.self) { place.pointee = text }
    }

    @inline(__always)
    static func put(_ id: Identifier, at place: UnsafeMutablePointer<Identifier>) {
        guard MemoryLayout<Identifier>.size == MemoryLayout<Tagged>.size else { return place.pointee = id }
        let before = UnsafeRawPointer(place).load(as: Tagged.self)
        if before != unsafeBitCast(id, to: Tagged.self) { place.pointee = id }
    }

    @inline(__always)
    static func put(_ id: Identifier?, at place: UnsafeMutablePointer<Identifier?>) {
        guard MemoryLayout<Identifier?>.size == MemoryLayout<Tagged>.size else { return place.pointee = id }
        let before = UnsafeRawPointer(place).load(as: Tagged.self)
        if before != unsafeBitCast(id, to: Tagged.self) { place.pointee = id }
    }

    @inline(__always)
    static func put(_ bytes: ArraySlice<UInt8>, at place: UnsafeMutablePointer<ArraySlice<UInt8>>) {
        guard MemoryLayout<ArraySlice<UInt8>>.size == MemoryLayout<Slice>.size else {
            return place.pointee = bytes
        }
        let before = UnsafeRawPointer(place).load(as: Slice.self)
        if before != unsafeBitCast(bytes, to: Slice.self) { place.pointee = bytes }
    }
}
