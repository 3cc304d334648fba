/// Little-endian bytes of the ledger's formats.
struct LedgerWriter {
    private(set) var bytes: [UInt8] = []

    mutating func put(_ integer: some FixedWidthInteger) {
        withUnsafeBytes(of: integer.littleEndian) { bytes.append(contentsOf: $0) }
    }
    mutating func put(bytes more: [UInt8]) { bytes.append(contentsOf: more) }
}

/// Reads what `LedgerWriter` wrote; nil beyond the end, whatever the bytes say.
struct LedgerReader {
    private let source: [UInt8]
    private(set) var offset = 0

    init(_ source: [UInt8]) { self.source = source }

    var remaining: Int { source.count - offset }

    mutating func integer<Value: FixedWidthInteger>(_: Value.Type) -> Value? {
        guard let bytes = take(MemoryLayout<Value>.size) else { return nil }
        return bytes.reversed().reduce(Value(0)) { $0 << 8 | Value(truncatingIfNeeded: $1) }
    }

    mutating func take(_ count: Int) -> [UInt8]? {
        guard count >= 0, count <= remaining else { return nil }
        defer { offset += count }
        return Array(source[offset..<offset + count])
    }
}
