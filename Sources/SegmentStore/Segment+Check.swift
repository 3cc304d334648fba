import StorageIO

extension Segment {
    /// Reads the whole file again and verifies every checksum; `fromDisk`: where the system lets go of what it holds of
    /// it. `goesOn` is told the bytes of each piece that was read, and ends the check by saying no.
    ///
    /// Throws what is wrong with the first piece that is not as it was written, or cannot be read.
    package func check(fromDisk: Bool, _ goesOn: (_ bytes: Int) -> Bool) throws(SegmentError) {
        let reader = try SegmentReader(file, dimension: dimension, mapsPlanes: false)
        let (_, headerChecksum) = try reader.readHeader()
        let footer = try reader.readFooter(expected: nil)
        guard footer.headerChecksum == headerChecksum else { throw file.damaged(0, "header of another file") }
        for place in footer.columns {
            if fromDisk { file.file.forget(place.bytes, at: place.offset) }
            file.file.willRead(place.bytes, at: place.offset)
            let column = try ColumnTable(place, in: file)
            for block in column.blocks { try file.check(block) }
            guard goesOn(place.bytes) else { return }
        }
    }
}

extension SegmentError {
    /// The number of the segment whose file is not what was written, is gone, or can no longer be read; nil for whatever
    /// else went wrong.
    package var rottenSegment: UInt64? {
        switch self {
        case .damaged(let path, _, _, _), .missing(let path), .file(.truncated(let path, _, _)),
            .file(.failed(let path, operation: "read", _)):
            Manifest.number(ofPath: path)
        case .file, .newerFormat, .wrongIdentity, .manifestMissing, .tooManyRows, .bufferFull: nil
        }
    }

    /// One sentence for an operator: what, where.
    package var sentence: String {
        switch self {
        case .file(let error): error.sentence
        case .damaged(let path, let offset, let block?, let reason):
            "\(path) is damaged at byte \(offset), block \(block) of its column: \(reason)"
        case .damaged(let path, let offset, nil, let reason): "\(path) is damaged at byte \(offset): \(reason)"
        case .newerFormat(let path, let found, let supported):
            "\(path) was written by a newer version: format \(found); this one reads \(supported) at most"
        case .wrongIdentity(let path, let field): "\(path) is of another \(field)"
        case .missing(let path): "\(path) is missing, though the manifest names it"
        case .manifestMissing(let directory): "\(directory) has segments and no manifest: nothing was removed"
        case .tooManyRows(let count, let limit): "\(count) rows; a segment has \(limit) at most"
        case .bufferFull(let limit): "the buffer holds \(limit) faces and takes no more before a flush"
        }
    }
}
