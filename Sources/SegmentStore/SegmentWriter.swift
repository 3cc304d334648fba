import FaceModel
import StorageIO
import VectorSearch

/// Writes one segment file from rows in order, a run of at most 4,096 and the planes of at most 16,384 at a time:
/// bounded memory, whatever the size.
///
/// Until `finish` the file has its temporary name; a writer that is dropped leaves that behind, and the next open of
/// the directory removes it.
struct SegmentWriter {
    static let idsPerBlock = 1_024
    static let planeRowsPerBlock = 1_024

    private let file: any FileHandle
    private let identity: SegmentIdentity
    private let number: UInt64
    private var run: [SegmentRow] = []
    private var rows = 0
    private var offset = SegmentHeader.bytes
    private var columns: [ColumnPlace] = []
    private var planes: PlaneFiller
    /// The first row whose planes are not written yet.
    private var firstPlaneRow = 0

    /// `file` is empty and stays the caller's to close.
    init(_ file: any FileHandle, identity: SegmentIdentity, number: UInt64) {
        self.file = file
        self.identity = identity
        self.number = number
        let tiles = PlaneBlock.tiles(of: ColumnHeader.planeRowsMax)
        planes = PlaneFiller(PlaneBlock(code: PlaneCode(dimension: identity.dimension), tiles: tiles))
    }

    /// Rows come in their order, (leaf, id) rising strictly; another order or dimension is a programming error.
    mutating func append(_ row: SegmentRow) throws(SegmentError) {
        precondition(row.vector.dimension == identity.dimension, "a vector of another collection")
        guard rows < Limits.segmentFacesMax else {
            throw .tooManyRows(count: rows + 1, limit: Limits.segmentFacesMax)
        }
        if let last = run.last {
            precondition(SegmentRow.precedes(last, row), "rows of a segment rise")
            if last.leaf != row.leaf || run.count == ColumnHeader.rowsMax { try writeRun() }
        }
        run.append(row)
        rows += 1
    }

    /// Writes what is left, header and footer; returns the footer's checksum and the file's length. Nothing is synced.
    mutating func finish(firstLSN: LogIndex, lastLSN: LogIndex) throws(SegmentError) -> (checksum: UInt32, bytes: Int) {
        precondition(rows > 0, "a segment has rows")
        try writeRun()
        planes.finish()
        try writePlanes()
        let header = SegmentHeader(
            identity: identity, number: number, rows: rows, firstLSN: firstLSN, lastLSN: lastLSN
        ).encoded()
        try write(header, at: 0)
        let footer = SegmentFooter(headerChecksum: lastWord(header), columns: columns).encoded()
        let trailer = SegmentTrailer(
            footerOffset: offset, fileBytes: offset + footer.count + SegmentTrailer.bytes, footerBytes: footer.count,
            footerChecksum: checksum(footer[...]))
        try write(footer + trailer.encoded(), at: offset)
        return (trailer.footerChecksum, trailer.fileBytes)
    }

    private mutating func writeRun() throws(SegmentError) {
        guard !run.isEmpty else { return }
        try writeColumn(.ids, rowsPerBlock: Self.idsPerBlock, elementBytes: 16, preferring: .bitshuffleLZ4) {
            $0.flatMap { $0.id.bits.bytes }
        }
        let floatBytes = MemoryLayout<Float>.size
        try writeColumn(
            .vectors, rowsPerBlock: Limits.vectorsPerBlock, elementBytes: floatBytes, preferring: .bitshuffleLZ4
        ) { rows in
            rows.flatMap(\.vector.values).withUnsafeBytes { Array($0) }
        }
        try writeColumn(.records, rowsPerBlock: Limits.recordsPerBlock, elementBytes: 1, preferring: .lz4) { rows in
            var writer = ByteWriter()
            for row in rows {
                let record = FaceRecordCodec.encode(row.record)
                writer.put(UInt16(record.count))
                writer.put(bytes: record)
            }
            return writer.bytes
        }
        for row in run {
            row.vector.values.withUnsafeBufferPointer { planes.append($0) }
            if planes.isFull { try writePlanes() }
        }
        run.removeAll(keepingCapacity: true)
    }

    /// The planes of the rows since the last time, every section by itself: as they stand in memory.
    private mutating func writePlanes() throws(SegmentError) {
        guard planes.tiles > 0 else { return }
        let tilesPerBlock = Self.planeRowsPerBlock / PlaneCode.tileRows
        for section in planes.block.code.sections {
            if section != .tiles { try pad(blocks: (planes.tiles + tilesPerBlock - 1) / tilesPerBlock) }
            var payload = ColumnPayload()
            for tile in stride(from: 0, to: planes.tiles, by: tilesPerBlock) {
                let tiles = tile..<min(tile + tilesPerBlock, planes.tiles)
                let raw = UnsafeRawBufferPointer(planes.block.bytes(of: section, tiles: tiles))
                payload.add(raw, elementBytes: 1, preferring: .raw)
            }
            try write(
                payload, .planes(section), leaf: LeafID(0), firstRow: firstPlaneRow,
                rows: planes.tiles * PlaneCode.tileRows, rowsPerBlock: Self.planeRowsPerBlock)
        }
        firstPlaneRow += planes.tiles * PlaneCode.tileRows
        planes.restart()
    }

    /// Moves the end of the file to where the first block of the next column, of so many, stands on a page and can be
    /// mapped.
    private mutating func pad(blocks: Int) throws(SegmentError) {
        let page = FileMapping.alignment
        let beyond = (offset + ColumnHeader.bytes + blocks * BlockEntry.bytes) % page
        guard beyond > 0 else { return }
        let least = ColumnHeader.bytes + BlockEntry.bytes
        let gap = page - beyond
        var payload = ColumnPayload()
        [UInt8](repeating: 0, count: gap < least ? gap + page - least : gap - least).withUnsafeBytes {
            payload.add($0, elementBytes: 1, preferring: .raw)
        }
        try write(payload, .padding, leaf: LeafID(0), firstRow: 0, rows: 1, rowsPerBlock: 1)
    }

    private mutating func writeColumn(
        _ kind: ColumnKind, rowsPerBlock: Int, elementBytes: Int, preferring codec: BlockCodec,
        raw: (ArraySlice<SegmentRow>) -> [UInt8]
    ) throws(SegmentError) {
        var payload = ColumnPayload()
        for start in stride(from: 0, to: run.count, by: rowsPerBlock) {
            raw(run[start..<min(start + rowsPerBlock, run.count)]).withUnsafeBytes {
                payload.add($0, elementBytes: elementBytes, preferring: codec)
            }
        }
        try write(
            payload, kind, leaf: run[0].leaf, firstRow: rows - run.count, rows: run.count, rowsPerBlock: rowsPerBlock)
    }

    private mutating func write(
        _ payload: ColumnPayload, _ kind: ColumnKind, leaf: LeafID, firstRow: Int, rows: Int, rowsPerBlock: Int
    ) throws(SegmentError) {
        let table = payload.table.bytes
        let header = ColumnHeader(
            kind: kind, leaf: leaf, firstRow: firstRow, rows: rows, rowsPerBlock: rowsPerBlock,
            payloadBytes: table.count + payload.blocks.count, tableChecksum: checksum(table[...]))
        let head = header.encoded()
        let bytes = head + table + payload.blocks
        try write(bytes, at: offset)
        columns.append(
            ColumnPlace(
                offset: offset, bytes: bytes.count, kind: kind, leaf: leaf, firstRow: firstRow, rows: rows,
                headerChecksum: lastWord(head)))
        offset += bytes.count
    }

    private func write(_ bytes: [UInt8], at offset: Int) throws(SegmentError) {
        do { try file.write(all: bytes, at: offset) } catch { throw .file(error) }
    }
}

/// A column's block table and blocks as they grow.
private struct ColumnPayload {
    private(set) var table = ByteWriter()
    private(set) var blocks: [UInt8] = []

    mutating func add(_ raw: UnsafeRawBufferPointer, elementBytes: Int, preferring codec: BlockCodec) {
        let (used, stored) = BlockCodec.encode(raw, elementBytes: elementBytes, preferring: codec)
        BlockEntry(
            codec: used, storedBytes: stored.count, rawBytes: raw.count, checksum: checksum(stored[...])
        ).encode(into: &table)
        blocks += stored
    }
}
