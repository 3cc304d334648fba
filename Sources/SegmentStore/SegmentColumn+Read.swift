import FaceModel
import StorageIO

/// One column's bytes, header, table and block checksums verified.
struct Column {
    struct Block: Hashable {
        var number: Int
        var firstRow: Int
        var rows: Int
        var entry: BlockEntry
        /// From the column's first byte.
        var start: Int
    }

    let header: ColumnHeader
    /// Of the column in its file.
    let offset: Int
    private(set) var blocks: [Block] = []
    private let bytes: [UInt8]
    private let path: String

    /// Throws `damaged` unless the bytes are the column that `place` names, whole and unchanged.
    init(_ bytes: [UInt8], place: ColumnPlace, path: String) throws(SegmentError) {
        self.bytes = bytes
        self.path = path
        offset = place.offset
        let head = Array(bytes.prefix(ColumnHeader.bytes))
        guard let header = ColumnHeader.decode(head), lastWord(head) == place.headerChecksum,
            header.kind == place.kind, header.leaf == place.leaf, header.firstRow == place.firstRow,
            header.rows == place.rows, header.payloadBytes == bytes.count - ColumnHeader.bytes
        else { throw .damaged(path: path, offset: place.offset, block: nil, reason: "column header") }
        self.header = header
        let tableEnd = ColumnHeader.bytes + header.blocks * BlockEntry.bytes
        guard tableEnd <= bytes.count, checksum(bytes[ColumnHeader.bytes..<tableEnd]) == header.tableChecksum else {
            throw damaged(nil, at: ColumnHeader.bytes, "block table")
        }
        try readTable(tableEnd)
    }

    private mutating func readTable(_ tableEnd: Int) throws(SegmentError) {
        var reader = ByteReader(Array(bytes[ColumnHeader.bytes..<tableEnd]))
        var start = tableEnd
        blocks.reserveCapacity(header.blocks)
        for number in 0..<header.blocks {
            guard let entry = blockEntry(&reader), entry.storedBytes <= bytes.count - start else {
                throw damaged(number, at: ColumnHeader.bytes, "block table")
            }
            let before = number * header.rowsPerBlock
            let block = Block(
                number: number, firstRow: header.firstRow + before,
                rows: min(header.rowsPerBlock, header.rows - before), entry: entry, start: start)
            guard checksum(stored(block)) == entry.checksum else {
                throw damaged(number, at: start, "block checksum")
            }
            blocks.append(block)
            start += entry.storedBytes
        }
        guard start == bytes.count else { throw damaged(nil, at: start, "bytes behind the last block") }
    }

    private func blockEntry(_ reader: inout ByteReader) -> BlockEntry? {
        do { return try BlockEntry.decode(&reader) } catch { return nil }
    }

    func stored(_ block: Block) -> ArraySlice<UInt8> { bytes[block.start..<block.start + block.entry.storedBytes] }

    /// The block's raw bytes, exactly `rawBytes` of them.
    func decoded(_ block: Block, rawBytes: Int, elementBytes: Int) throws(SegmentError) -> [UInt8] {
        guard block.entry.rawBytes == rawBytes,
            let raw = block.entry.decoded(stored(block), elementBytes: elementBytes)
        else { throw damaged(block.number, at: block.start, "block contents") }
        return raw
    }

    /// Decodes fp32 rows to where they stay, and refuses a component that is not finite.
    func decode(_ block: Block, into floats: UnsafeMutablePointer<Float>, floats count: Int) throws(SegmentError) {
        let target = UnsafeMutableRawBufferPointer(start: floats, count: count * MemoryLayout<Float>.size)
        guard block.entry.rawBytes == target.count,
            block.entry.decode(stored(block), into: target, elementBytes: MemoryLayout<Float>.size)
        else { throw damaged(block.number, at: block.start, "block contents") }
        var largest: UInt32 = 0
        for index in 0..<count { largest = max(largest, floats[index].bitPattern & 0x7FFF_FFFF) }
        guard largest < Float.infinity.bitPattern else {
            throw damaged(block.number, at: block.start, "a component that is not finite")
        }
    }

    private func damaged(_ block: Int?, at start: Int, _ reason: String) -> SegmentError {
        .damaged(path: path, offset: offset + start, block: block, reason: reason)
    }
}

extension BlockEntry {
    /// Raw bytes a block may have: 4 vectors, 1,024 ids, or 256 records of the longest kind.
    static let rawBytesMax = 1 << 20

    /// Nil when the stored bytes do not decode to `rawBytes`.
    func decoded(_ stored: some Collection<UInt8>, elementBytes: Int) -> [UInt8]? {
        guard rawBytes <= Self.rawBytesMax else { return nil }
        var raw = [UInt8](repeating: 0, count: rawBytes)
        let whole = raw.withUnsafeMutableBytes { decode(stored, into: $0, elementBytes: elementBytes) }
        return whole ? raw : nil
    }

    /// False when the stored bytes do not decode to exactly `target`.
    func decode(
        _ stored: some Collection<UInt8>, into target: UnsafeMutableRawBufferPointer, elementBytes: Int
    ) -> Bool {
        let result = stored.withContiguousStorageIfAvailable { bytes in
            do {
                try codec.decode(UnsafeRawBufferPointer(bytes), into: target, elementBytes: elementBytes)
                return true
            } catch {
                return false
            }
        }
        return result ?? false
    }
}
