import StorageIO

/// A segment's open file, read block by block; every block is checked each time. Any number of threads may read.
///
/// It stays open as long as the segment lives, so that a snapshot goes on when the file's name is gone.
struct BlockFile: Sendable {
    let file: any FileHandle
    var path: String { file.path }

    func bytes(_ count: Int, at offset: Int) throws(SegmentError) -> [UInt8] {
        do { return try file.read(count: count, at: offset) } catch { throw .file(error) }
    }

    /// Fills `target`, whose length is the block's raw one.
    func read(
        _ place: BlockPlace, into target: UnsafeMutableRawBufferPointer, elementBytes: Int
    ) throws(SegmentError) {
        let stored = try storedBytes(place)
        guard place.entry.rawBytes == target.count,
            place.entry.decode(stored, into: target, elementBytes: elementBytes)
        else { throw damaged(place, "block contents") }
    }

    /// The raw bytes of a block of any length that a block may have.
    func raw(_ place: BlockPlace, elementBytes: Int) throws(SegmentError) -> [UInt8] {
        guard let raw = place.entry.decoded(try storedBytes(place), elementBytes: elementBytes) else {
            throw damaged(place, "block contents")
        }
        return raw
    }

    /// Reads fp32 rows, and refuses a component that is not finite.
    func read(_ place: BlockPlace, floats: UnsafeMutablePointer<Float>, count: Int) throws(SegmentError) {
        let target = UnsafeMutableRawBufferPointer(start: floats, count: count * MemoryLayout<Float>.size)
        try read(place, into: target, elementBytes: MemoryLayout<Float>.size)
        var largest: UInt32 = 0
        for index in 0..<count { largest = max(largest, floats[index].bitPattern & 0x7FFF_FFFF) }
        guard largest < Float.infinity.bitPattern else { throw damaged(place, "a component that is not finite") }
    }

    /// The block's bytes as they stand in the file, their checksum verified.
    @discardableResult
    func storedBytes(_ place: BlockPlace) throws(SegmentError) -> [UInt8] {
        let stored = try bytes(place.entry.storedBytes, at: place.offset)
        guard checksum(stored[...]) == place.entry.checksum else { throw damaged(place, "block checksum") }
        return stored
    }

    func damaged(_ place: BlockPlace, _ reason: String) -> SegmentError {
        .damaged(path: path, offset: place.offset, block: place.number, reason: reason)
    }

    func damaged(_ offset: Int, _ reason: String) -> SegmentError {
        .damaged(path: path, offset: offset, block: nil, reason: reason)
    }
}

/// A block of a column: where it stands in the file, and what the column's table says of it.
struct BlockPlace: Hashable, Sendable {
    /// Within its column.
    var number: Int
    var firstRow: Int
    var rows: Int
    var entry: BlockEntry
    /// Of the block in the file.
    var offset: Int
}

/// A column's header and block table, verified; its blocks are not read.
struct ColumnTable {
    let header: ColumnHeader
    private(set) var blocks: [BlockPlace] = []

    /// Throws `damaged` unless they are those of the column that `place` names.
    init(_ place: ColumnPlace, in file: BlockFile) throws(SegmentError) {
        let head = try file.bytes(ColumnHeader.bytes, at: place.offset)
        guard let header = ColumnHeader.decode(head), lastWord(head) == place.headerChecksum,
            header.kind == place.kind, header.leaf == place.leaf, header.firstRow == place.firstRow,
            header.rows == place.rows, header.payloadBytes == place.bytes - ColumnHeader.bytes
        else { throw file.damaged(place.offset, "column header") }
        self.header = header
        let tableBytes = header.blocks * BlockEntry.bytes
        guard tableBytes <= header.payloadBytes else {
            throw file.damaged(place.offset + ColumnHeader.bytes, "block table")
        }
        let table = try file.bytes(tableBytes, at: place.offset + ColumnHeader.bytes)
        guard checksum(table[...]) == header.tableChecksum else {
            throw file.damaged(place.offset + ColumnHeader.bytes, "block table")
        }
        try readTable(table, place, file)
    }

    private mutating func readTable(
        _ table: [UInt8], _ place: ColumnPlace, _ file: BlockFile
    ) throws(SegmentError) {
        var reader = ByteReader(table)
        var offset = place.offset + ColumnHeader.bytes + table.count
        let end = place.offset + place.bytes
        blocks.reserveCapacity(header.blocks)
        for number in 0..<header.blocks {
            guard let entry = Self.entry(&reader), entry.storedBytes <= end - offset else {
                throw file.damaged(place.offset + ColumnHeader.bytes, "block table")
            }
            let before = number * header.rowsPerBlock
            blocks.append(
                BlockPlace(
                    number: number, firstRow: header.firstRow + before,
                    rows: min(header.rowsPerBlock, header.rows - before), entry: entry, offset: offset))
            offset += entry.storedBytes
        }
        guard offset == end else { throw file.damaged(offset, "bytes behind the last block") }
    }

    private static func entry(_ reader: inout ByteReader) -> BlockEntry? {
        do { return try BlockEntry.decode(&reader) } catch { return nil }
    }
}

extension BlockEntry {
    /// Raw bytes a block may have: 4 vectors, 1,024 ids or rows of planes, or 256 records of the longest kind.
    static let rawBytesMax = 1 << 20

    /// Nil when the stored bytes do not decode to `rawBytes`.
    func decoded(_ stored: [UInt8], elementBytes: Int) -> [UInt8]? {
        guard rawBytes <= Self.rawBytesMax else { return nil }
        var raw = [UInt8](repeating: 0, count: rawBytes)
        let whole = raw.withUnsafeMutableBytes { decode(stored, into: $0, elementBytes: elementBytes) }
        return whole ? raw : nil
    }

    /// False when the stored bytes do not decode to exactly `target`.
    func decode(_ stored: [UInt8], into target: UnsafeMutableRawBufferPointer, elementBytes: Int) -> Bool {
        stored.withUnsafeBytes { bytes in
            do {
                try codec.decode(bytes, into: target, elementBytes: elementBytes)
                return true
            } catch {
                return false
            }
        }
    }
}
