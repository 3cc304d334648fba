package import FaceModel
import StorageIO

/// Reading records again, for replicas that lack them.
extension Log {
    /// The records from `index` through `end`, as far as the log goes, or a beginning of them: at least one where there
    /// is one, and no more than `bytesMax` of payloads and 64 bytes a record allow. Not yet durable ones too.
    ///
    /// Begins at a remembered place near `index`, so that reading on where a reading ended costs what it returns.
    /// `recordsRemoved` where the log no longer reaches back to `index`; `lossProven` where a record is not what was
    /// written. The log stays usable whatever is thrown.
    package func records(
        from index: LogIndex, through end: LogIndex, bytesMax: Int
    ) throws(LogError) -> [LogRecord] {
        guard index >= firstIndex else { throw .recordsRemoved(wanted: index, first: firstIndex) }
        var batch = RecordBatch(next: index, end: min(end, lastIndex), room: bytesMax)
        while batch.isOpen {
            let number = segmentNumber(of: batch.next)
            let segmentEnd = segments[number].supersededFrom
            try walk(number, to: batch.next) { (reader) throws(LogError) in
                while batch.isOpen, segmentEnd.map({ batch.next < $0 }) ?? true {
                    batch.take(try reader.next())
                    segments[number].mark(reader.place)
                }
            }
        }
        return batch.records
    }

    /// Where the record at `index` stands: one that the log holds, or the next after one.
    func place(of index: LogIndex) throws(LogError) -> RecordPlace {
        var place = RecordPlace(index: index, offset: 0, checksum: 0)
        try walk(segmentNumber(of: index), to: index) { (reader) throws(LogError) in place = reader.place }
        return place
    }

    private func segmentNumber(of index: LogIndex) -> Int {
        guard let number = segments.lastIndex(where: { $0.header.firstIndex <= index }) else {
            preconditionFailure("a record that the log holds")
        }
        return number
    }

    /// Calls `body` with a reader that stands before the record at `index` in a log segment.
    private func walk(
        _ number: Int, to index: LogIndex, _ body: (inout SegmentReader) throws(LogError) -> Void
    ) throws(LogError) {
        let segment = segments[number]
        let handle: any FileHandle
        do throws(FileError) {
            handle = try files.open(segment.path, .read)
        } catch {
            throw .file(error)
        }
        defer { handle.close() }
        var reader = SegmentReader(segment, handle, at: segment.place(atOrBefore: index))
        while reader.place.index < index {
            _ = try reader.next()
            segments[number].mark(reader.place)
        }
        try body(&reader)
    }
}

/// Records found so far, and what may still be added.
private struct RecordBatch {
    var records: [LogRecord] = []
    var next: LogIndex
    let end: LogIndex
    var room: Int

    init(next: LogIndex, end: LogIndex, room: Int) {
        self.next = next
        self.end = end
        self.room = room
    }

    var isOpen: Bool { next <= end && room >= 0 }

    mutating func take(_ record: LogRecord) {
        room -= RecordCodec.bytesMax(record)
        guard room >= 0 || records.isEmpty else { return }
        records.append(record)
        next = record.lsn.next
    }
}
