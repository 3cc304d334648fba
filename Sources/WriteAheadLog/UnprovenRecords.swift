import FaceModel

/// The newest records of a walk, as far as nothing yet proved them durable.
struct UnprovenRecords {
    private(set) var records: [(record: LogRecord, checksum: UInt32)] = []
    /// Checksum of the record before the first of `records`.
    private(set) var checksumBefore: UInt32

    init(chainStart: UInt32) { checksumBefore = chainStart }

    mutating func add(_ record: LogRecord, _ checksum: UInt32) {
        drop(through: record.batchDurable)
        records.append((record, checksum))
    }

    mutating func drop(through index: LogIndex) {
        guard let first = records.first?.record.lsn, first <= index else { return }
        let count = min(records.count, Int(index.value - first.value) + 1)
        checksumBefore = records[count - 1].checksum
        records.removeFirst(count)
    }
}
