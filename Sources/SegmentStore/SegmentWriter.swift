import FaceModel
import StorageIO

/// Writes one segment file from rows in order, a run of at most 4,096 at a time: bounded memory, whatever the size.
///
/// Until `finish` the file has its temporary name; a writer that is dropped leaves that behind, and the next open of
/// the directory removes it.
struct SegmentWriter {
    static let idsPerBlock = 1_024

    private let file: any FileHandle
    private let identity: SegmentIdentity
    private let number: UInt64
    private var run: [SegmentRow] = []
    private var rows = 0
    private var offset = SegmentHeader.bytes
    private var columns: [ColumnPlace] = []

    /// `file` is empty and stays the caller's to close.
    init(_ file: any FileHandle, identity: SegmentIdentity, number: UInt64) {
        self.file = file
        self.identity = identity
        self.number = number
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
        run.removeAll(keepingCapacity: true)
    }

    private mutating func writeColumn(
        _ kind: ColumnKind, rowsPerBlock: Int, elementBytes: Int, preferring codec: BlockCodec,
        raw: (ArraySlice<SegmentRow>) -> [UInt8]
    ) throws(SegmentError) {
        var table = ByteWriter()
        var blocks: [UInt8] = []
        for start in stride(from: 0, to: run.count, by: rowsPerBlock) {
            let bytes = raw(run[start..<min(start + rowsPerBlock, run.count)])
            let (used, stored) = bytes.withUnsafeBytes {
                BlockCodec.encode($0, elementBytes: elementBytes, preferring: codec)
            }
            BlockEntry(
                codec: used, storedBytes: stored.count, rawBytes: bytes.count, checksum: checksum(stored[...])
            ).encode(into: &table)
            blocks += stored
        }
        let header = ColumnHeader(
            kind: kind, leaf: run[0].leaf, firstRow: rows - run.count, rows: run.count, rowsPerBlock: rowsPerBlock,
            payloadBytes: table.bytes.count + blocks.count, tableChecksum: checksum(table.bytes[...]))
        try writeColumn(header, table.bytes + blocks)
    }

    private mutating func writeColumn(_ header: ColumnHeader, _ payload: [UInt8]) throws(SegmentError) {
        let head = header.encoded()
        try write(head + payload, at: offset)
        columns.append(
            ColumnPlace(
                offset: offset, bytes: head.count + payload.count, kind: header.kind, leaf: header.leaf,
                firstRow: header.firstRow, rows: header.rows, headerChecksum: lastWord(head)))
        offset += head.count + payload.count
    }

    private func write(_ bytes: [UInt8], at offset: Int) throws(SegmentError) {
        do { try file.write(all: bytes, at: offset) } catch { throw .file(error) }
    }
}
