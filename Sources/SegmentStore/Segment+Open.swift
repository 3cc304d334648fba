import FaceModel
package import StorageIO

extension Segment {
    /// Reads and checks the whole file. Throws `missing`, `damaged`, `newerFormat`, `wrongIdentity` or `file`.
    ///
    /// `footerChecksum` is what the manifest says, nil where no manifest does yet.
    package static func open(
        _ path: String, identity: SegmentIdentity, number: UInt64, footerChecksum: UInt32?, on files: any FileSystem
    ) throws(SegmentError) -> Segment {
        let file: any FileHandle
        do {
            file = try files.open(path, .read)
        } catch {
            if case .notFound = error { throw .missing(path: path) }
            throw .file(error)
        }
        defer { file.close() }
        var reader = try SegmentReader(file, dimension: identity.dimension)
        return try reader.read(identity: identity, number: number, footerChecksum: footerChecksum)
    }
}

/// Reads one segment file from front to back, believing nothing before its checksum held.
private struct SegmentReader {
    private let file: any FileHandle
    private let path: String
    private let size: Int
    private let dimension: Int
    private var ids: [FaceID] = []
    private var leaves: [Segment.LeafRows] = []
    private var vectorRows = 0
    private var recordRows = 0
    private var recordBlocks: [Segment.RecordBlock] = []

    init(_ file: any FileHandle, dimension: Int) throws(SegmentError) {
        self.file = file
        self.dimension = dimension
        path = file.path
        do { size = try file.size() } catch { throw .file(error) }
    }

    mutating func read(
        identity: SegmentIdentity, number: UInt64, footerChecksum: UInt32?
    ) throws(SegmentError) -> Segment {
        let (header, headerChecksum) = try readHeader()
        if let field = header.identity.firstDifference(from: identity) {
            throw .wrongIdentity(path: path, field: field)
        }
        guard header.number == number else { throw .wrongIdentity(path: path, field: "segment number") }
        let footer = try readFooter(expected: footerChecksum)
        guard footer.headerChecksum == headerChecksum else { throw damaged(0, "header of another file") }
        let vectors = AlignedFloats(count: header.rows * identity.dimension)
        ids.reserveCapacity(header.rows)
        for place in footer.columns { try readColumn(place, into: vectors, rows: header.rows) }
        guard ids.count == header.rows, vectorRows == header.rows, recordRows == header.rows else {
            throw damaged(0, "columns do not cover the rows")
        }
        return Segment(
            path: path, header: header, fileBytes: size, ids: ids, leaves: leaves, vectors: vectors,
            recordBlocks: recordBlocks)
    }

    private func readHeader() throws(SegmentError) -> (SegmentHeader, UInt32) {
        guard size >= SegmentHeader.bytes + SegmentTrailer.bytes else { throw damaged(size, "file too short") }
        let preamble = try bytes(SegmentHeader.preambleBytes, at: 0)
        guard preamble.starts(with: SegmentHeader.magic) else { throw damaged(0, "no segment file") }
        let version = Int(lastWord(Array(preamble[8..<12])))
        let length = Int(lastWord(preamble))
        if version > SegmentHeader.version, (20...SegmentHeader.bytesMax).contains(length), length <= size,
            isSealed(try bytes(length, at: 0))
        {
            throw .newerFormat(path: path, found: version, supported: Int(SegmentHeader.version))
        }
        let whole = try bytes(SegmentHeader.bytes, at: 0)
        guard let header = SegmentHeader.decode(whole) else { throw damaged(0, "file header") }
        return (header, lastWord(whole))
    }

    private func readFooter(expected: UInt32?) throws(SegmentError) -> SegmentFooter {
        let end = size - SegmentTrailer.bytes
        guard let trailer = SegmentTrailer.decode(try bytes(SegmentTrailer.bytes, at: end)) else {
            throw damaged(end, "trailer")
        }
        guard trailer.fileBytes == size, trailer.footerOffset >= SegmentHeader.bytes, trailer.footerOffset <= end,
            trailer.footerBytes == end - trailer.footerOffset
        else { throw damaged(end, "lengths in the trailer") }
        let raw = try bytes(trailer.footerBytes, at: trailer.footerOffset)
        guard checksum(raw[...]) == trailer.footerChecksum, let footer = SegmentFooter.decode(raw) else {
            throw damaged(trailer.footerOffset, "footer")
        }
        guard expected == nil || expected == trailer.footerChecksum else {
            throw damaged(trailer.footerOffset, "not the file the manifest names")
        }
        var offset = SegmentHeader.bytes
        for place in footer.columns {
            guard place.offset == offset, place.bytes >= ColumnHeader.bytes,
                place.bytes <= trailer.footerOffset - offset
            else { throw damaged(offset, "columns leave a gap") }
            offset += place.bytes
        }
        guard offset == trailer.footerOffset else { throw damaged(offset, "columns leave a gap") }
        return footer
    }

    private mutating func readColumn(
        _ place: ColumnPlace, into vectors: AlignedFloats, rows: Int
    ) throws(SegmentError) {
        let raw = try bytes(place.bytes, at: place.offset)
        let column = try Column(raw, place: place, path: path)
        guard column.header.firstRow + column.header.rows <= rows else {
            throw damaged(place.offset, "rows beyond the segment")
        }
        switch place.kind {
        case .ids: try readIDs(column)
        case .vectors: try readVectors(column, into: vectors)
        case .records: try readRecords(column)
        default:
            guard !place.kind.isRequired else {
                throw .newerFormat(path: path, found: Int(place.kind.code), supported: Int(ColumnKind.records.code))
            }
        }
    }

    private mutating func readIDs(_ column: Column) throws(SegmentError) {
        let header = column.header
        guard header.firstRow == ids.count, vectorRows == ids.count, recordRows == ids.count else {
            throw damaged(column.offset, "ids out of place")
        }
        for block in column.blocks {
            let raw = try column.decoded(block, rawBytes: block.rows * 16, elementBytes: 16)
            raw.withUnsafeBytes { bytes in
                for at in stride(from: 0, to: bytes.count, by: 16) {
                    let high = UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: at, as: UInt64.self))
                    let low = UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: at + 8, as: UInt64.self))
                    ids.append(FaceID(Bits128(high: high, low: low)))
                }
            }
        }
        let rows = header.firstRow..<ids.count
        let continued = leaves.last?.leaf == header.leaf
        let first = continued ? max(rows.lowerBound - 1, 0) : rows.lowerBound
        guard (first + 1..<max(rows.upperBound, first + 1)).allSatisfy({ ids[$0 - 1] < ids[$0] }) else {
            throw damaged(column.offset, "ids do not rise")
        }
        if continued {
            leaves[leaves.count - 1].rows = leaves[leaves.count - 1].rows.lowerBound..<rows.upperBound
        } else {
            guard leaves.last.map({ $0.leaf < header.leaf }) ?? true else {
                throw damaged(column.offset, "leaves do not rise")
            }
            leaves.append(Segment.LeafRows(leaf: header.leaf, rows: rows))
        }
    }

    private mutating func readVectors(_ column: Column, into vectors: AlignedFloats) throws(SegmentError) {
        try checkRun(column.header, done: vectorRows, at: column.offset)
        for block in column.blocks {
            let first = vectors.base + block.firstRow * dimension
            try column.decode(block, into: first, floats: block.rows * dimension)
        }
        vectorRows += column.header.rows
    }

    private mutating func readRecords(_ column: Column) throws(SegmentError) {
        try checkRun(column.header, done: recordRows, at: column.offset)
        for block in column.blocks {
            recordBlocks.append(
                Segment.RecordBlock(
                    firstRow: block.firstRow, rows: block.rows, entry: block.entry, stored: Array(column.stored(block)),
                    offset: column.offset + block.start, block: block.number))
        }
        recordRows += column.header.rows
    }

    /// Vectors and records stand behind the ids of the same run.
    private func checkRun(_ header: ColumnHeader, done: Int, at offset: Int) throws(SegmentError) {
        guard header.firstRow == done, done + header.rows == ids.count, leaves.last?.leaf == header.leaf else {
            throw damaged(offset, "column out of place")
        }
    }

    private func bytes(_ count: Int, at offset: Int) throws(SegmentError) -> [UInt8] {
        do { return try file.read(count: count, at: offset) } catch { throw .file(error) }
    }

    private func damaged(_ offset: Int, _ reason: String) -> SegmentError {
        .damaged(path: path, offset: offset, block: nil, reason: reason)
    }
}
