/// Little-endian values appended to a message.
struct WireWriter {
    private(set) var bytes: [UInt8] = []

    mutating func integer<T: FixedWidthInteger>(_ value: T) {
        withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
    }

    mutating func float(_ value: Float) { integer(value.bitPattern) }

    mutating func raw(_ value: some Sequence<UInt8>) { bytes.append(contentsOf: value) }
}

/// Little-endian values taken from a message; every read is bounded.
struct WireReader {
    private let bytes: ArraySlice<UInt8>
    private var at: Int

    init(_ bytes: ArraySlice<UInt8>) {
        self.bytes = bytes
        at = bytes.startIndex
    }

    var remaining: Int { bytes.endIndex - at }

    mutating func integer<T: FixedWidthInteger>(_: T.Type = T.self) throws(FaceExtractionError) -> T {
        let size = MemoryLayout<T>.size
        let part = try raw(size)
        return part.reversed().reduce(0) { $0 << 8 | T(truncatingIfNeeded: $1) }
    }

    /// Refuses what is no number: nothing computed from such a value would mean anything.
    mutating func float() throws(FaceExtractionError) -> Float {
        let value = Float(bitPattern: try integer())
        guard value.isFinite else { throw .message(problem: "a value is not finite") }
        return value
    }

    mutating func raw(_ count: Int) throws(FaceExtractionError) -> ArraySlice<UInt8> {
        guard count >= 0, count <= remaining else { throw .message(problem: "is shorter than it says") }
        defer { at += count }
        return bytes[at..<at + count]
    }

    func finish() throws(FaceExtractionError) {
        guard remaining == 0 else { throw .message(problem: "has \(remaining) bytes too many") }
    }
}
