import FaceModel
import Replication
import WriteAheadLog

/// The newest records of a replica's log, in memory: all that are not yet applied and, for copies that lag a little,
/// some of those that are. `Change` is what applying a record does.
struct ReplicaRecords<Change> {
    struct Entry {
        var record: ReplicaRecord
        /// What applying it does, where that is known without reading the payload again.
        var change: Change?
    }

    /// Bytes of applied records that are kept for other copies.
    private var keptBytesMax: Int
    private var entries: [Entry] = []
    /// Entries before this one were let go.
    private var start = 0
    private var keptBytes = 0
    /// As far as records were taken to be applied.
    private(set) var taken: LogIndex

    /// `taken`: the applied index; the next record to be added is behind it. `copies`: of the shard, with this one.
    init(after taken: LogIndex, copies: Int) {
        self.taken = taken
        keptBytesMax = Self.bytesKept(for: copies)
    }

    /// Copies come and go.
    mutating func keep(for copies: Int) { keptBytesMax = Self.bytesKept(for: copies) }

    private static func bytesKept(for copies: Int) -> Int { copies > 1 ? Limits.replicaRecordsKeptBytes : 0 }

    /// The position of the first record that is still here; one past the last where there is none.
    private var first: LogIndex { start < entries.count ? entries[start].record.lsn : taken.next }
    private var last: LogIndex { entries.last?.record.lsn ?? taken }

    /// `entry` follows on the last one.
    mutating func append(_ entry: Entry) {
        precondition(entry.record.lsn == last.next, "records follow on each other")
        entries.append(entry)
    }

    /// Forgets every record behind `index`, none of which was taken.
    mutating func truncate(after index: LogIndex) {
        precondition(index >= taken, "what was applied stays")
        while let last = entries.last, last.record.lsn > index, entries.count > start { entries.removeLast() }
    }

    /// The records to apply, as far as `index`; each is given once.
    mutating func take(through index: LogIndex) -> [Entry] {
        guard index > taken else { return [] }
        let begin = start + Int(taken.value + 1 - first.value)
        let end = begin + Int(index.value - taken.value)
        precondition(end <= entries.count, "only what is in the log is applied")
        let due = Array(entries[begin..<end])
        for position in begin..<end {
            entries[position].change = nil
            keptBytes += entries[position].record.weight
        }
        taken = index
        letGo()
        return due
    }

    /// A beginning of the records from `first` to `last`, at most `bytesMax` of them but at least one; nil where they are
    /// not here any more.
    func copy(from first: LogIndex, through last: LogIndex, bytesMax: Int) -> [ReplicaRecord]? {
        guard first >= self.first, last <= self.last else { return nil }
        var copied: [ReplicaRecord] = []
        var bytes = 0
        var position = start + Int(first.value - self.first.value)
        while copied.count < Int(last.value + 1 - first.value) {
            let record = entries[position].record
            bytes += record.weight
            if bytes > bytesMax, !copied.isEmpty { break }
            copied.append(record)
            position += 1
        }
        return copied
    }

    private mutating func letGo() {
        while keptBytes > keptBytesMax, start < entries.count, entries[start].record.lsn <= taken {
            keptBytes -= entries[start].record.weight
            entries[start].record.payload = []
            start += 1
        }
        if start == entries.count || start > 4_096 {
            entries.removeFirst(start)
            start = 0
        }
    }
}

extension [ReplicaRecord] {
    /// Records of one epoch after another.
    var runs: [LogRun] {
        var runs: [LogRun] = []
        for record in self {
            if runs.last?.epoch != record.epoch { runs.append(LogRun(epoch: record.epoch, entries: [])) }
            runs[runs.count - 1].entries.append(record.entry)
        }
        return runs
    }
}

extension ReplicaRecord {
    /// A type that this program does not know was never written by a release of the cluster's format.
    fileprivate var entry: LogEntry {
        guard let type = RecordType(rawValue: type) else { preconditionFailure("types are checked as records arrive") }
        return LogEntry(type: type, token: token, payload: payload)
    }

    /// Bytes it takes, about.
    var weight: Int { payload.count + 96 }

    init(_ record: LogRecord) {
        self.init(
            lsn: record.lsn, epoch: record.epoch, type: record.type.rawValue, token: record.token,
            payload: record.payload)
    }

    init(_ entry: LogEntry, lsn: LogIndex, epoch: Epoch) {
        self.init(lsn: lsn, epoch: epoch, type: entry.type.rawValue, token: entry.token, payload: entry.payload)
    }
}
