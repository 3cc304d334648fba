import FaceModel
import StorageIO
import VectorSearch

/// Where the planes of a file that is being opened come from: its columns of planes, or where it has none, or some by
/// other rules, its vectors.
struct PlaneSource {
    private let code: PlaneCode
    private let tiles: Int
    private var columns: [(section: PlaneSection, column: ColumnTable)] = []
    /// Of the columns so far, by section.
    private var rows: [PlaneSection: Int] = [:]
    /// Where planes are made from vectors.
    private var filler: PlaneFiller?

    init(_ header: SegmentHeader, dimension: Int) {
        code = PlaneCode(dimension: dimension)
        tiles = PlaneBlock.tiles(of: header.rows)
        if header.planeRules != PlaneCode.rulesVersion { filler = PlaneFiller(PlaneBlock(code: code, tiles: tiles)) }
    }

    /// Whether planes are made from vectors.
    var areMade: Bool { filler != nil }

    mutating func make(_ vector: UnsafeBufferPointer<Float>) { filler?.append(vector) }

    /// Remembers a column of planes; false where it is of no use. Throws `damaged` unless columns of a section come in
    /// row order, in whole tiles.
    mutating func take(
        _ column: ColumnTable, _ section: PlaneSection, _ place: ColumnPlace, _ file: BlockFile
    ) throws(SegmentError) -> Bool {
        guard !areMade else { return false }
        let (header, tile) = (column.header, PlaneCode.tileRows)
        guard code.sections.contains(section), header.leaf == LeafID(0),
            header.firstRow == rows[section, default: 0], header.rows.isMultiple(of: tile),
            header.rowsPerBlock.isMultiple(of: tile), header.firstRow + header.rows <= tiles * tile
        else { throw file.damaged(place.offset, "planes out of place") }
        columns.append((section, column))
        rows[section, default: 0] += header.rows
        return true
    }

    /// The planes, when all columns are known. `mapping`: those of later stages stay in the file, if it lets them.
    mutating func block(from file: BlockFile, mapping: Bool) throws(SegmentError) -> PlaneBlock {
        if filler != nil { filler?.finish() }
        if let filler {
            guard filler.isFull else { throw file.damaged(0, "columns do not cover the rows") }
            return filler.block
        }
        guard code.sections.allSatisfy({ rows[$0] == tiles * PlaneCode.tileRows }) else {
            throw file.damaged(0, "columns do not cover the rows")
        }
        if mapping, let block = try mapped(file) { return block }
        let block = PlaneBlock(code: code, tiles: tiles)
        for (section, column) in columns { try read(column, section, file, into: block) }
        return block
    }

    /// Planes go from the file to where they stay.
    private func read(
        _ column: ColumnTable, _ section: PlaneSection, _ file: BlockFile, into block: PlaneBlock
    ) throws(SegmentError) {
        for place in column.blocks {
            let first = place.firstRow / PlaneCode.tileRows
            let tiles = first..<first + place.rows / PlaneCode.tileRows
            try file.read(place, into: block.bytes(of: section, tiles: tiles), elementBytes: 1)
        }
    }

    /// Nil where the file, or the machine, does not allow it.
    ///
    /// The blocks are read and checked once, here, and by reading: a disk that fails is an error now, not a signal.
    private func mapped(_ file: BlockFile) throws(SegmentError) -> PlaneBlock? {
        let layout = LaterPlanes(code: code, tiles: tiles, alignment: FileMapping.alignment)
        guard layout.bytes > 0, let parts = parts(layout) else { return nil }
        let mapping: FileMapping?
        do { mapping = try file.file.map(parts, bytes: layout.bytes) } catch { throw .file(error) }
        guard let mapping else { return nil }
        let memory = AlignedMemory(of: mapping, at: mapping.base, bytes: mapping.bytes)
        let block = PlaneBlock(layout, in: memory)
        for (section, column) in columns {
            if section == .tiles {
                try read(column, section, file, into: block)
            } else {
                for place in column.blocks { try file.check(place) }
            }
        }
        return block
    }

    /// The columns of later stages; nil unless each is as in memory, byte for byte, and stands on pages.
    private func parts(_ layout: LaterPlanes) -> [MappedPart]? {
        var parts: [MappedPart] = []
        for (section, column) in columns where section != .tiles {
            let tileBytes = code.tileBytes(of: section)
            guard let start = column.blocks.first?.offset,
                let place = layout.place(of: section, tile: column.header.firstRow / PlaneCode.tileRows),
                start.isMultiple(of: FileMapping.alignment), place.isMultiple(of: FileMapping.alignment)
            else { return nil }
            for block in column.blocks {
                let bytes = block.rows / PlaneCode.tileRows * tileBytes
                guard block.entry.codec == .raw, block.entry.storedBytes == bytes, block.entry.rawBytes == bytes else {
                    return nil
                }
            }
            let count = column.header.rows / PlaneCode.tileRows * tileBytes
            parts.append(MappedPart(offset: start, count: count, place: place))
        }
        return parts
    }
}
