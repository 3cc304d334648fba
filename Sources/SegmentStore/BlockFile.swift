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
        if place.entry.codec == .raw, place.entry.storedBytes == target.count, place.entry.rawBytes == target.count {
            do { try file.read(into: target, at: place.offset) } catch { throw .file(error) }
            return try verify(place, UnsafeRawBufferPointer(target))
        }
        let memory = BlockMemory(bytes: max(place.entry.storedBytes, target.count))
        try read(place, memory)
        try decode(place, memory, into: target, elementBytes: elementBytes)
    }

    /// The raw bytes of a block of any length that a block may have.
    func raw(_ place: BlockPlace, elementBytes: Int) throws(SegmentError) -> [UInt8] {
        guard place.entry.rawBytes <= BlockEntry.rawBytesMax else { throw damaged(place, "block contents") }
        var failure: SegmentError?
        let raw = [UInt8](unsafeUninitializedCapacity: place.entry.rawBytes) { buffer, count in
            do throws(SegmentError) {
                let target = UnsafeMutableRawBufferPointer(
                    start: buffer.baseAddress, count: place.entry.rawBytes)
                try read(place, into: target, elementBytes: elementBytes)
                count = place.entry.rawBytes
            } catch {
                failure = error
            }
        }
        if let failure { throw failure }
        return raw
    }

    /// Reads fp32 rows, and refuses a component that is not finite.
    func read(_ place: BlockPlace, floats: UnsafeMutablePointer<Float>, count: Int) throws(SegmentError) {
        let target = UnsafeMutableRawBufferPointer(start: floats, count: count * MemoryLayout<Float>.size)
        try read(place, into: target, elementBytes: MemoryLayout<Float>.size)
        try requireFinite(floats, count, of: place)
    }

    func requireFinite(_ floats: UnsafePointer<Float>, _ count: Int, of place: BlockPlace) throws(SegmentError) {
        var largest: UInt32 = 0
        for index in 0..<count { largest = max(largest, floats[index].bitPattern & 0x7FFF_FFFF) }
        guard largest < Float.infinity.bitPattern else { throw damaged(place, "a component that is not finite") }
    }

    /// Reads the block as it stands in the file and verifies its checksum.
    func check(_ place: BlockPlace) throws(SegmentError) {
        let memory = BlockMemory(bytes: place.entry.storedBytes)
        try read(place, memory)
        try verify(place, UnsafeRawBufferPointer(memory.stored(place)))
    }

    // MARK: One block in memory that is used again

    /// The block's bytes as they stand in the file; nothing is verified yet.
    func read(_ place: BlockPlace, _ memory: borrowing BlockMemory) throws(SegmentError) {
        do { try file.read(into: memory.stored(place), at: place.offset) } catch { throw .file(error) }
    }

    /// As `read`, if that does not wait for a disk; false otherwise.
    func readCached(_ place: BlockPlace, _ memory: borrowing BlockMemory) -> Bool {
        file.readCached(into: memory.stored(place), at: place.offset)
    }

    /// Verifies what was read and fills `target`, whose length is the block's raw one.
    func decode(
        _ place: BlockPlace, _ memory: borrowing BlockMemory, into target: UnsafeMutableRawBufferPointer,
        elementBytes: Int
    ) throws(SegmentError) {
        try verify(place, UnsafeRawBufferPointer(memory.stored(place)))
        do {
            guard place.entry.rawBytes == target.count else { throw CodecError.malformed(reason: "another length") }
            try place.entry.codec.decode(
                UnsafeRawBufferPointer(memory.stored(place)), into: target, elementBytes: elementBytes,
                scratch: memory.shuffled)
        } catch {
            throw damaged(place, "block contents")
        }
    }

    private func verify(_ place: BlockPlace, _ stored: UnsafeRawBufferPointer) throws(SegmentError) {
        guard CRC32C.checksum(stored) == place.entry.checksum else {
            throw damaged(place, "block checksum")
        }
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
}

/// Memory for a block on its way from the file, as stored and half decoded: used for one after another.
struct BlockMemory: ~Copyable {
    private let memory: UnsafeMutableRawBufferPointer
    private let bytes: Int

    /// For blocks of at most `bytes`, stored and decoded.
    init(bytes: Int) {
        self.bytes = bytes
        memory = .allocate(byteCount: max(1, 2 * bytes), alignment: 64)
    }

    deinit { memory.deallocate() }

    func stored(_ place: BlockPlace) -> UnsafeMutableRawBufferPointer {
        precondition(place.entry.storedBytes <= bytes, "a block beyond its memory")
        return UnsafeMutableRawBufferPointer(rebasing: memory[..<place.entry.storedBytes])
    }

    var shuffled: UnsafeMutableRawBufferPointer { UnsafeMutableRawBufferPointer(rebasing: memory[bytes..<2 * bytes]) }
}
