/// Builds little-endian bytes, field by field.
package struct ByteWriter {
    package private(set) var bytes: [UInt8] = []

    package init() {}

    package init(reserving capacity: Int) { bytes.reserveCapacity(capacity) }

    package mutating func put(_ value: UInt8) { bytes.append(value) }
    package mutating func put(_ value: UInt16) { put(integer: value) }
    package mutating func put(_ value: UInt32) { put(integer: value) }
    package mutating func put(_ value: UInt64) { put(integer: value) }
    /// The float's bits.
    package mutating func put(_ value: Float) { put(integer: value.bitPattern) }
    /// The floats' bits, one after another.
    package mutating func put(floats: [Float]) {
        precondition(UInt32(1).littleEndian == 1, "a machine whose floats stand as files have them")
        floats.withUnsafeBytes { bytes.append(contentsOf: $0) }
    }
    package mutating func put(bytes more: some Collection<UInt8>) { bytes.append(contentsOf: more) }

    /// Adds zero bytes until the length is a multiple of `alignment`.
    package mutating func pad(toMultipleOf alignment: Int) {
        while !bytes.count.isMultiple(of: alignment) { bytes.append(0) }
    }

    private mutating func put<Value: FixedWidthInteger>(integer value: Value) {
        withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
    }
}

/// Bytes ended before a field did.
package struct ByteReadError: Error, Hashable, Sendable {
    package var offset: Int
    package var wanted: Int
    package init(offset: Int, wanted: Int) {
        self.offset = offset
        self.wanted = wanted
    }
}

/// Reads little-endian bytes, field by field; never beyond its range, whatever the bytes say.
package struct ByteReader {
    private let source: [UInt8]
    private let end: Int
    /// Position in the source of the next byte.
    package private(set) var offset: Int

    /// A range outside of `bytes` is a programming error.
    package init(_ bytes: [UInt8], range: Range<Int>? = nil) {
        let range = range ?? 0..<bytes.count
        precondition(range.lowerBound >= 0 && range.upperBound <= bytes.count, "a range within the bytes")
        source = bytes
        offset = range.lowerBound
        end = range.upperBound
    }

    package var remaining: Int { end - offset }

    package mutating func u8() throws(ByteReadError) -> UInt8 { try integer() }
    package mutating func u16() throws(ByteReadError) -> UInt16 { try integer() }
    package mutating func u32() throws(ByteReadError) -> UInt32 { try integer() }
    package mutating func u64() throws(ByteReadError) -> UInt64 { try integer() }
    package mutating func float() throws(ByteReadError) -> Float { Float(bitPattern: try integer()) }

    package mutating func bytes(_ count: Int) throws(ByteReadError) -> [UInt8] {
        let start = try advance(count)
        return Array(source[start..<start + count])
    }

    private mutating func integer<Value: FixedWidthInteger>() throws(ByteReadError) -> Value {
        let start = try advance(MemoryLayout<Value>.size)
        return source.withUnsafeBytes { Value(littleEndian: $0.loadUnaligned(fromByteOffset: start, as: Value.self)) }
    }

    private mutating func advance(_ count: Int) throws(ByteReadError) -> Int {
        guard count >= 0, count <= remaining else { throw ByteReadError(offset: offset, wanted: count) }
        defer { offset += count }
        return offset
    }
}
