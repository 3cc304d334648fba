package import FaceModel
package import StorageIO

/// What opening a log found.
package struct LogRecovery: Hashable, Sendable {
    package var tail: LogTail
    /// Records that no later record proved durable, and that were written again before they count.
    package var rewritten: Int

    package var isClean: Bool { tail == .clean }
}

/// A shard's write-ahead log. One thread owns it; nothing here may be called from two at once.
///
/// Invariants: a record at or below `durableIndex` survives any crash; records are never changed; a log segment is made
/// only when every record before it is durable; a log segment's unused bytes are zero; what a crash leaves of the log's
/// names is a sequence without a gap. The owner of an idle log appends a Noop within
/// `Limits.idleConfirmMilliseconds` and syncs it: only a later record proves the last batch durable.
package final class Log {
    private let directory: String
    private let identity: LogIdentity
    private let files: any FileSystem
    private var segments: [LogScan.Segment] = []
    private var active: (any FileHandle)?
    private var offset = 0
    private var checksum: UInt32 = 0
    private var epochs: [SegmentHeader.EpochStart] = []
    private var failed = false

    /// The last record appended, durable or not; `zero` for an empty log.
    package private(set) var lastIndex: LogIndex = .zero
    package private(set) var durableIndex: LogIndex = .zero

    /// The oldest record still held; one past `lastIndex` when there is none.
    package var firstIndex: LogIndex { segments.first?.header.firstIndex ?? lastIndex.next }
    /// The epoch of the newest record; 1 for a log that has none.
    package var epoch: Epoch { epochs.last?.epoch ?? Epoch(1) }

    private init(directory: String, identity: LogIdentity, files: any FileSystem) {
        self.directory = directory
        self.identity = identity
        self.files = files
    }

    /// Opens the log in `directory`, or begins one. Every record it then holds is durable: what no later record proved
    /// so is written again to a fresh log segment and synced first.
    package static func open(
        directory: String, identity: LogIdentity, on files: any FileSystem
    ) throws(LogError) -> (log: Log, recovery: LogRecovery) {
        let log = Log(directory: directory, identity: identity, files: files)
        return (log, try log.recover())
    }

    /// Appends entries after one another and returns the last one's position; not durable before `synchronize`.
    /// All of them or, after `noSpace` or `recordTooLarge` (one payload, or all of them for one log segment), none.
    package func append(_ entries: [LogEntry], epoch: Epoch) throws(LogError) -> LogIndex {
        guard !failed else { throw .stopped }
        precondition(epoch >= self.epoch && !entries.isEmpty, "epochs only grow, and a batch has entries")
        if let large = entries.first(where: { $0.payload.count > Limits.recordPayloadBytesMax }) {
            throw .recordTooLarge(bytes: large.payload.count, limit: Limits.recordPayloadBytesMax)
        }
        var records: [LogRecord] = []
        for (position, entry) in entries.enumerated() {
            records.append(
                LogRecord(
                    lsn: lastIndex.advanced(by: position + 1), epoch: epoch, batchDurable: durableIndex,
                    type: entry.type, token: entry.token, payload: entry.payload))
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

    /// Removes log segments all of whose records stand before `index`, oldest first; the active one stays.
    package func truncate(before index: LogIndex) throws(LogError) {
        guard !failed else { throw .stopped }
        while segments.count > 1, segments[1].header.firstIndex <= index {
            do throws(FileError) {
                try files.remove(segments[0].path)
            } catch {
                throw .file(error)
            }
            segments.removeFirst()
            // One at a time: a later name that goes before an earlier one would leave a gap after a crash.
            try synchronizeNames()
        }
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

    private func recover() throws(LogError) -> LogRecovery {
        do throws(FileError) {
            try files.createDirectory(directory)
            for name in try files.list(directory) where name.hasSuffix(AtomicFile.temporarySuffix) {
                try files.remove(directory + "/" + name)
            }
        } catch {
            throw .file(error)
        }
        let scan = try LogScan(directory: directory, on: files)
        for segment in scan.segments {
            guard let field = identity.firstDifference(from: segment.header.identity) else { continue }
            throw .wrongIdentity(path: segment.path, field: field)
        }
        epochs = scan.segments.first?.header.epochs ?? []
        var unproven = UnprovenRecords(chainStart: scan.segments.first?.header.chainStart ?? 0)
        let summary = try scan.walk { (record, checksum) throws(LogError) in
            unproven.add(record, checksum)
            note(record.epoch, from: record.lsn)
        }
        unproven.drop(through: summary.proven)
        segments = scan.segments
        lastIndex = LogIndex(summary.lastIndex.value - UInt64(unproven.records.count))
        (durableIndex, checksum) = (lastIndex, unproven.checksumBefore)
        if summary.tail != .clean || !unproven.records.isEmpty {
            try startSegment(holding: unproven.records.map(\.record), size: Limits.walSegmentBytesMin)
        } else if let last = segments.popLast() {
            try reopen(last)
        }
        return LogRecovery(tail: summary.tail, rewritten: unproven.records.count)
    }

    /// A log whose every record is proven ends in a log segment without records: it goes on there.
    private func reopen(_ segment: LogScan.Segment) throws(LogError) {
        segments.append(segment)
        guard segment.header.firstIndex == lastIndex.next else {
            return try startSegment(holding: [], size: Limits.walSegmentBytesMin)
        }
        do throws(FileError) {
            active = try files.open(segment.path, .readWrite)
            offset = SegmentHeader.bytes
        } catch {
            throw .file(error)
        }
    }

    private func write(_ records: [LogRecord]) throws(LogError) {
        guard let active, let segment = segments.last, offset + Self.bytesMax(records) <= segment.bytes else {
            try synchronize()
            return try startSegment(holding: records, size: nextSize())
        }
        let (bytes, sum) = encoded(records, salt: segment.salt)
        do throws(FileError) {
            try active.write(all: bytes, at: offset)
        } catch {
            failed = true
            throw .writeFailed(path: active.path, error)
        }
        took(records, bytes: bytes.count, checksum: sum)
    }

    private func encoded(_ records: [LogRecord], salt: UInt32) -> (bytes: [UInt8], checksum: UInt32) {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(Self.bytesMax(records))
        var sum = checksum
        for record in records { sum = RecordCodec.encode(record, previousChecksum: sum, salt: salt, into: &bytes) }
        return (bytes, sum)
    }

    /// Compression makes it less.
    private static func bytesMax(_ records: [LogRecord]) -> Int {
        records.reduce(0) { $0 + RecordCodec.bytesMax($1) }
    }

    private func took(_ records: [LogRecord], bytes: Int, checksum sum: UInt32) {
        offset += bytes
        checksum = sum
        for record in records { note(record.epoch, from: record.lsn) }
        lastIndex = records.last?.lsn ?? lastIndex
    }

    private func note(_ epoch: Epoch, from lsn: LogIndex) {
        if epochs.last.map({ $0.epoch < epoch }) ?? true { epochs.append(.init(epoch: epoch, first: lsn)) }
    }

    /// Makes a log segment that begins with `records`, zeros allocated behind them, everything durable before its name
    /// appears. It replaces a log segment of the same first position.
    private func startSegment(holding records: [LogRecord], size wanted: Int) throws(LogError) {
        let size = max(wanted, (SegmentHeader.bytes + Self.bytesMax(records) + 4_095) / 4_096 * 4_096)
        let header = SegmentHeader(
            identity: identity, firstIndex: lastIndex.next, fileBytes: size, chainStart: checksum, epochs: epochs)
        let beginning = header.encoded()
        let salt = SegmentHeader.salt(ofEncoded: beginning)
        let (body, sum) = encoded(records, salt: salt)
        let path = directory + "/" + LogScan.fileName(header.firstIndex)
        let handle = try SegmentAllocation.make(beginning + body, for: path, size: size, on: files)
        do throws(LogError) {
            try publish(path)
        } catch {
            handle.close()
            throw error
        }
        active?.close()
        active = handle
        if segments.last?.path == path { segments.removeLast() }
        if !segments.isEmpty { segments[segments.count - 1].supersededFrom = header.firstIndex }
        segments.append(.init(path: path, header: header, bytes: size, salt: salt, supersededFrom: nil))
        offset = SegmentHeader.bytes
        took(records, bytes: body.count, checksum: sum)
        durableIndex = lastIndex
    }

    /// Gives an allocated log segment its name. Where that may or may not have happened the log stops: the positions of
    /// the records in it must not be given twice.
    private func publish(_ path: String) throws(LogError) {
        do throws(FileError) {
            try files.rename(path + AtomicFile.temporarySuffix, to: path)
        } catch {
            if case .noSpace = error { throw .noSpace(path: path) }
            failed = true
            throw .writeFailed(path: path, error)
        }
        try synchronizeNames()
    }

    private func synchronizeNames() throws(LogError) {
        do throws(FileError) {
            try files.synchronizeDirectory(directory)
        } catch {
            failed = true
            throw .writeFailed(path: directory, error)
        }
    }

    /// Log segments double from 1 MiB to 64 MiB, so that a thousand small collections stay cheap.
    private func nextSize() -> Int {
        min(Limits.walSegmentBytesMax, max(Limits.walSegmentBytesMin, (segments.last?.bytes ?? 0) * 2))
    }
}
