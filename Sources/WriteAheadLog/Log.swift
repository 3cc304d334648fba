package import FaceModel
package import StorageIO

/// What opening a log found.
package struct LogRecovery: Hashable, Sendable {
    package var tail: LogTail
    /// Records that no later record proved durable, and that were written again before they count.
    package var rewritten: Int

    package var isClean: Bool { tail == .clean }
}

/// Where a log ends.
package struct LogEnding: Hashable, Sendable {
    package var lastIndex: LogIndex
    /// Of the last record; of that before the first where the log holds none.
    package var lastEpoch: Epoch
    package var tail: LogTail
}

/// A shard's write-ahead log. One thread owns it; nothing here may be called from two at once.
///
/// Invariants: a record at or below `durableIndex` survives any crash, until a truncation removes it; records are never
/// changed; a log segment is made only when every record before it is durable; a log segment's unused bytes are zero;
/// what a crash leaves of the log's names is a sequence without a gap. The owner of an idle log appends a Noop within
/// `Limits.idleConfirmMilliseconds` and syncs it: only a later record proves the last batch durable.
package final class Log {
    let directory: String
    let identity: LogIdentity
    let files: any FileSystem
    var segments: [LogScan.Segment] = []
    var active: (any FileHandle)?
    /// Where in the active log segment the next record will stand.
    var offset = 0
    /// Of the newest record.
    var checksum: UInt32 = 0
    var epochs: [LogEpochStart] = []
    var failed = false

    /// The last record appended, durable or not; `zero` for an empty log.
    package internal(set) var lastIndex: LogIndex = .zero
    package internal(set) var durableIndex: LogIndex = .zero

    /// The oldest record still held; one past `lastIndex` when there is none.
    package var firstIndex: LogIndex { segments.first?.header.firstIndex ?? lastIndex.next }
    /// The epoch of the newest record; 1 for a log that has none.
    package var epoch: Epoch { epochs.last?.epoch ?? Epoch(1) }
    /// Where each epoch began, rising in both fields: every epoch of the records still held, and the newest of those
    /// before, at most 200.
    package var epochStarts: [LogEpochStart] { epochs }

    init(directory: String, identity: LogIdentity, files: any FileSystem) {
        self.directory = directory
        self.identity = identity
        self.files = files
    }

    /// Appends entries after one another and returns the last one's position; not durable before `synchronize`.
    /// All of them or, after `noSpace` or `recordTooLarge` (one payload, or all of them for one log segment), none.
    package func append(_ entries: [LogEntry], epoch: Epoch) throws(LogError) -> LogIndex {
        try append([LogRun(epoch: epoch, entries: entries)])
    }

    /// Appends the entries of several epochs, as another replica wrote them, in one write; else as `append` of one.
    package func append(_ runs: [LogRun]) throws(LogError) -> LogIndex {
        guard !failed else { throw .stopped }
        let epochs = [epoch] + runs.map(\.epoch)
        precondition(zip(epochs, epochs.dropFirst()).allSatisfy { $0 <= $1 }, "epochs only grow")
        precondition(!runs.isEmpty && runs.allSatisfy { !$0.entries.isEmpty }, "a batch has entries")
        var records: [LogRecord] = []
        for run in runs {
            for entry in run.entries {
                guard entry.payload.count <= Limits.recordPayloadBytesMax else {
                    throw .recordTooLarge(bytes: entry.payload.count, limit: Limits.recordPayloadBytesMax)
                }
                records.append(
                    LogRecord(
                        lsn: lastIndex.advanced(by: records.count + 1), epoch: run.epoch, batchDurable: durableIndex,
                        type: entry.type, token: entry.token, payload: entry.payload))
            }
        }
        let bytes = Self.bytesMax(records)
        let limit = Limits.walSegmentBytesMax - SegmentHeader.bytes
        guard bytes <= limit else { throw .recordTooLarge(bytes: bytes, limit: limit) }
        try write(records)
        return lastIndex
    }

    /// Makes everything appended durable. After a failure the log takes nothing more.
    package func synchronize() throws(LogError) {
        guard !failed else { throw .stopped }
        guard let active, durableIndex < lastIndex else { return }
        do throws(FileError) {
            try active.synchronize()
        } catch {
            failed = true
            throw .writeFailed(path: active.path, error)
        }
        durableIndex = lastIndex
    }

    /// Calls `body` for every record from `index` on, checksums checked again.
    package func read(
        from index: LogIndex, _ body: (LogRecord) throws(LogError) -> Void
    ) throws(LogError) {
        _ = try LogScan(directory: directory, on: files).walk(from: index) { (record, _) throws(LogError) in
            if record.lsn >= index { try body(record) }
        }
    }

    /// Walks a log that another process may be writing; changes nothing. Returns the last record's position. Beside a
    /// writer the tail may look torn, and a log segment that was truncated meanwhile is `file(.notFound)`: try again.
    package static func inspect(
        directory: String, on files: any FileSystem,
        _ body: (LogRecord) throws(LogError) -> Void = { (_) throws(LogError) in }
    ) throws(LogError) -> (lastIndex: LogIndex, tail: LogTail) {
        let summary = try LogScan(directory: directory, on: files).walk { (record, _) throws(LogError) in
            try body(record)
        }
        return (summary.lastIndex, summary.tail)
    }

    /// Reads every record of the log in `directory` from the disk, as `inspect`. `goesOn` is told of the bytes of each piece
    /// that was read, and ends the check by saying no.
    package static func check(
        directory: String, on files: any FileSystem, _ goesOn: (_ bytes: Int) -> Bool
    ) throws(LogError) {
        let pieceBytes = 1 << 20
        let scan = try LogScan(directory: directory, on: files)
        try scan.forget()
        var bytes = 0
        do throws(LogError) {
            _ = try scan.walk { (record, _) throws(LogError) in
                bytes += RecordCodec.bytesMax(record)
                guard bytes >= pieceBytes else { return }
                defer { bytes = 0 }
                if !goesOn(bytes) { throw .stopped }
            }
        } catch .stopped {
            return
        }
        _ = goesOn(bytes)
    }

    /// How far the log in `directory` is whole, also where it proves a loss; changes nothing. Beside a writer as `inspect`.
    package static func ending(directory: String, on files: any FileSystem) throws(LogError) -> LogEnding {
        let summary = try LogScan(directory: directory, on: files).walk(acceptingLoss: true) {
            (_, _) throws(LogError) in
        }
        return LogEnding(lastIndex: summary.lastIndex, lastEpoch: summary.lastEpoch, tail: summary.tail)
    }

    private func write(_ records: [LogRecord]) throws(LogError) {
        guard let active, let segment = segments.last, offset + Self.bytesMax(records) <= segment.bytes else {
            try synchronize()
            return try startSegment(at: end, holding: records, size: nextSize())
        }
        let encoding = RecordCodec.encode(records, at: end, salt: segment.salt)
        do throws(FileError) {
            try active.write(all: encoding.bytes, at: offset)
        } catch {
            failed = true
            throw .writeFailed(path: active.path, error)
        }
        took(records, encoding)
    }

    /// Where the next record will stand.
    var end: RecordPlace { RecordPlace(index: lastIndex.next, offset: offset, checksum: checksum) }

    /// Compression makes it less.
    static func bytesMax(_ records: [LogRecord]) -> Int {
        records.reduce(0) { $0 + RecordCodec.bytesMax($1) }
    }

    /// `records` are in the active log segment.
    func took(_ records: [LogRecord], _ encoding: RecordCodec.Encoding) {
        for place in encoding.places { segments[segments.count - 1].mark(place) }
        (offset, checksum) = (encoding.end.offset, encoding.end.checksum)
        for record in records { note(record.epoch, from: record.lsn) }
        lastIndex = records.last?.lsn ?? lastIndex
    }

    func note(_ epoch: Epoch, from lsn: LogIndex) {
        if epochs.last.map({ $0.epoch < epoch }) ?? true { epochs.append(LogEpochStart(epoch: epoch, first: lsn)) }
    }
}
