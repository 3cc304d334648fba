import FaceModel
package import StorageIO
import VectorSearch

extension Segment {
    /// Reads and checks header, footer, ids, planes and the tables of every column; blocks of vectors and records are
    /// checked when they are read. A file of format 1, or with planes of other rules, has its planes made from its
    /// vectors. Throws `missing`, `damaged`, `newerFormat`, `wrongIdentity` or `file`.
    ///
    /// `footerChecksum` is what the manifest says, nil where no manifest does yet. With `mapsPlanes`, planes that not every
    /// search reads stay in the file, where it was written so that they can be mapped.
    package static func open(
        _ path: String, identity: SegmentIdentity, number: UInt64, footerChecksum: UInt32?, mapsPlanes: Bool = false,
        on files: any FileSystem
    ) throws(SegmentError) -> Segment {
        let file: any FileHandle
        do {
            file = try files.open(path, .read)
        } catch {
            if case .notFound = error { throw .missing(path: path) }
            throw .file(error)
        }
        // Here a quarter of the file is wanted, in a search some vectors of many: what lies around them would cost a cold
        // disk several times as much.
        file.willReadAtRandom()
        var reader = try SegmentReader(BlockFile(file: file), dimension: identity.dimension, mapsPlanes: mapsPlanes)
        return try reader.read(identity: identity, number: number, footerChecksum: footerChecksum)
    }
}

/// What a segment keeps in memory.
struct SegmentContents {
    var ids: [FaceID] = []
    var leaves: [Segment.LeafRows] = []
    var vectors: StoredVectors
    var recordBlocks: [BlockPlace] = []
}

/// Reads one segment file from front to back, believing nothing before its checksum held.
struct SegmentReader {
    let file: BlockFile
    private let size: Int
    private let dimension: Int
    private let mapsPlanes: Bool
    private var vectorRows = 0
    private var recordRows = 0

    init(_ file: BlockFile, dimension: Int, mapsPlanes: Bool) throws(SegmentError) {
        self.file = file
        self.dimension = dimension
        self.mapsPlanes = mapsPlanes
        do { size = try file.file.size() } catch { throw .file(error) }
    }

    mutating func read(
        identity: SegmentIdentity, number: UInt64, footerChecksum: UInt32?
    ) throws(SegmentError) -> Segment {
        let (header, headerChecksum) = try readHeader()
        if let field = header.identity.firstDifference(from: identity) {
            throw .wrongIdentity(path: file.path, field: field)
        }
        guard header.number == number else { throw .wrongIdentity(path: file.path, field: "segment number") }
        let footer = try readFooter(expected: footerChecksum)
        guard footer.headerChecksum == headerChecksum else { throw file.damaged(0, "header of another file") }
        var contents = SegmentContents(vectors: StoredVectors(dimension: dimension))
        contents.ids.reserveCapacity(header.rows)
        var planes = PlaneSource(header, dimension: dimension)
        for place in footer.columns where place.kind.isReadWhole { file.file.willRead(place.bytes, at: place.offset) }
        for place in footer.columns { try readColumn(place, header, &contents, &planes) }
        guard contents.ids.count == header.rows, vectorRows == header.rows, recordRows == header.rows else {
            throw file.damaged(0, "columns do not cover the rows")
        }
        contents.vectors.shrink()
        let block = try planes.block(from: file, mapping: mapsPlanes)
        return Segment(contents, planes: block, header: header, fileBytes: size, file: file)
    }

    func readHeader() throws(SegmentError) -> (SegmentHeader, UInt32) {
        guard size >= SegmentHeader.bytes + SegmentTrailer.bytes else { throw file.damaged(size, "file too short") }
        let preamble = try file.bytes(SegmentHeader.preambleBytes, at: 0)
        guard preamble.starts(with: SegmentHeader.magic) else { throw file.damaged(0, "no segment file") }
        let version = Int(lastWord(Array(preamble[8..<12])))
        let length = Int(lastWord(preamble))
        if version > SegmentHeader.version, (20...SegmentHeader.bytesMax).contains(length), length <= size,
            isSealed(try file.bytes(length, at: 0))
        {
            throw .newerFormat(path: file.path, found: version, supported: Int(SegmentHeader.version))
        }
        let whole = try file.bytes(SegmentHeader.bytes, at: 0)
        guard let header = SegmentHeader.decode(whole) else { throw file.damaged(0, "file header") }
        return (header, lastWord(whole))
    }

    func readFooter(expected: UInt32?) throws(SegmentError) -> SegmentFooter {
        let end = size - SegmentTrailer.bytes
        guard let trailer = SegmentTrailer.decode(try file.bytes(SegmentTrailer.bytes, at: end)) else {
            throw file.damaged(end, "trailer")
        }
        guard trailer.fileBytes == size, trailer.footerOffset >= SegmentHeader.bytes, trailer.footerOffset <= end,
            trailer.footerBytes == end - trailer.footerOffset
        else { throw file.damaged(end, "lengths in the trailer") }
        let raw = try file.bytes(trailer.footerBytes, at: trailer.footerOffset)
        guard checksum(raw[...]) == trailer.footerChecksum, let footer = SegmentFooter.decode(raw) else {
            throw file.damaged(trailer.footerOffset, "footer")
        }
        guard expected == nil || expected == trailer.footerChecksum else {
            throw file.damaged(trailer.footerOffset, "not the file the manifest names")
        }
        var offset = SegmentHeader.bytes
        for place in footer.columns {
            guard place.offset == offset, place.bytes >= ColumnHeader.bytes,
                place.bytes <= trailer.footerOffset - offset
            else { throw file.damaged(offset, "columns leave a gap") }
            offset += place.bytes
        }
        guard offset == trailer.footerOffset else { throw file.damaged(offset, "columns leave a gap") }
        return footer
    }

    private mutating func readColumn(
        _ place: ColumnPlace, _ header: SegmentHeader, _ contents: inout SegmentContents, _ planes: inout PlaneSource
    ) throws(SegmentError) {
        let column = try ColumnTable(place, in: file)
        if let section = place.kind.section, try planes.take(column, section, place, file) { return }
        switch place.kind {
        case .ids:
            guard column.header.firstRow + column.header.rows <= header.rows else {
                throw file.damaged(place.offset, "rows beyond the segment")
            }
            try readIDs(column, place, &contents)
        case .vectors: try readVectors(column, place, &contents, &planes)
        case .records:
            try checkRun(column.header, done: recordRows, contents, at: place.offset)
            contents.recordBlocks += column.blocks
            recordRows += column.header.rows
        default:
            guard !place.kind.isRequired else {
                throw .newerFormat(
                    path: file.path, found: Int(place.kind.code), supported: Int(ColumnKind.newest.code))
            }
            for block in column.blocks { try file.check(block) }
        }
    }

    private mutating func readIDs(
        _ column: ColumnTable, _ place: ColumnPlace, _ contents: inout SegmentContents
    ) throws(SegmentError) {
        let header = column.header
        guard header.firstRow == contents.ids.count, vectorRows == header.firstRow, recordRows == header.firstRow
        else { throw file.damaged(place.offset, "ids out of place") }
        for block in column.blocks {
            var raw = [UInt8](repeating: 0, count: block.rows * 16)
            try Self.fill(&raw) { target throws(SegmentError) in try file.read(block, into: target, elementBytes: 16) }
            raw.withUnsafeBytes { bytes in
                for at in stride(from: 0, to: bytes.count, by: 16) {
                    let high = UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: at, as: UInt64.self))
                    let low = UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: at + 8, as: UInt64.self))
                    contents.ids.append(FaceID(Bits128(high: high, low: low)))
                }
            }
        }
        try addLeaf(header, place, &contents)
    }

    private func addLeaf(
        _ header: ColumnHeader, _ place: ColumnPlace, _ contents: inout SegmentContents
    ) throws(SegmentError) {
        let rows = header.firstRow..<contents.ids.count
        let continued = contents.leaves.last?.leaf == header.leaf
        let first = continued ? max(rows.lowerBound - 1, 0) : rows.lowerBound
        let ids = contents.ids
        guard (first + 1..<max(rows.upperBound, first + 1)).allSatisfy({ ids[$0 - 1] < ids[$0] }) else {
            throw file.damaged(place.offset, "ids do not rise")
        }
        if continued {
            let last = contents.leaves.count - 1
            contents.leaves[last].rows = contents.leaves[last].rows.lowerBound..<rows.upperBound
        } else {
            guard contents.leaves.last.map({ $0.leaf < header.leaf }) ?? true else {
                throw file.damaged(place.offset, "leaves do not rise")
            }
            contents.leaves.append(Segment.LeafRows(leaf: header.leaf, rows: rows))
        }
    }

    /// Vectors stay in the file; they are decoded only where planes have to be made from them.
    private mutating func readVectors(
        _ column: ColumnTable, _ place: ColumnPlace, _ contents: inout SegmentContents, _ planes: inout PlaneSource
    ) throws(SegmentError) {
        try checkRun(column.header, done: vectorRows, contents, at: place.offset)
        guard contents.vectors.add(column) else { throw file.damaged(place.offset, "lengths in the block table") }
        vectorRows += column.header.rows
        guard planes.areMade else { return }
        for block in column.blocks {
            let rows = UnsafeMutableBufferPointer<Float>.allocate(capacity: block.rows * dimension)
            defer { rows.deallocate() }
            guard let base = rows.baseAddress else { preconditionFailure("a block has rows") }
            try file.read(block, floats: base, count: rows.count)
            for row in 0..<block.rows {
                planes.make(UnsafeBufferPointer(start: base + row * dimension, count: dimension))
            }
        }
    }

    /// Vectors and records stand behind the ids of the same run.
    private func checkRun(
        _ header: ColumnHeader, done: Int, _ contents: SegmentContents, at offset: Int
    ) throws(SegmentError) {
        guard header.firstRow == done, done + header.rows == contents.ids.count,
            contents.leaves.last?.leaf == header.leaf
        else { throw file.damaged(offset, "column out of place") }
    }

    private static func fill(
        _ bytes: inout [UInt8], _ body: (UnsafeMutableRawBufferPointer) throws(SegmentError) -> Void
    ) throws(SegmentError) {
        var failure: SegmentError?
        bytes.withUnsafeMutableBytes { target in
            do throws(SegmentError) { try body(target) } catch { failure = error }
        }
        if let failure { throw failure }
    }
}
