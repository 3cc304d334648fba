/// Payload of one `Leaf` record of the write-ahead log: the leaf, its place in the tree, its sealed private record.
///
/// ```
/// 0 u8 version 1   1 u8 zero   2 u16 leaf bytes   4 u32 zero   8 u64 leaf index   16 leaf   then the sealed record
/// ```
package struct LeafPayload: Hashable, Sendable {
    private static let version: UInt8 = 1
    /// Bytes before the leaf.
    package static let headBytes = 16

    package var index: UInt64
    package var leaf: Leaf
    package var sealed: [UInt8]

    init(index: UInt64, leaf: Leaf, sealed: [UInt8]) {
        self.index = index
        self.leaf = leaf
        self.sealed = sealed
    }

    package var bytes: [UInt8] {
        let leaf = leaf.bytes
        var writer = LedgerWriter()
        writer.put(Self.version)
        writer.put(UInt8(0))
        writer.put(UInt16(leaf.count))
        writer.put(UInt32(0))
        writer.put(index)
        writer.put(bytes: leaf)
        writer.put(bytes: sealed)
        return writer.bytes
    }

    /// Nil for anything that is not such a payload.
    package init?(bytes: [UInt8]) {
        var reader = LedgerReader(bytes)
        guard reader.integer(UInt8.self) == Self.version, reader.integer(UInt8.self) == 0,
            let length = reader.integer(UInt16.self), reader.integer(UInt32.self) == 0,
            let index = reader.integer(UInt64.self), let leaf = reader.take(Int(length)).flatMap(Leaf.init(bytes:)),
            let sealed = reader.take(reader.remaining)
        else { return nil }
        self.init(index: index, leaf: leaf, sealed: sealed)
    }
}
