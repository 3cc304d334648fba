import FaceModel
import SimulatedDisk
import Testing

@testable import WriteAheadLog

/// A record as replicas agree on it.
struct HeldRecord: Hashable {
    var epoch: Epoch
    var entry: LogEntry
}

/// Everything the log holds.
func held(_ log: Log) throws -> [HeldRecord] {
    var found: [HeldRecord] = []
    var expected = log.firstIndex
    try log.read(from: .zero) { (record) throws(LogError) in
        #expect(record.lsn == expected)
        expected = expected.next
        found.append(HeldRecord(record))
    }
    #expect(expected == log.lastIndex.next)
    return found
}

extension HeldRecord {
    init(_ record: LogRecord) {
        epoch = record.epoch
        entry = LogEntry(type: record.type, token: record.token, payload: record.payload)
    }
}

/// As one batch: a run an epoch.
func runs(of records: [HeldRecord]) -> [LogRun] {
    var runs: [LogRun] = []
    for record in records {
        if runs.last?.epoch != record.epoch { runs.append(LogRun(epoch: record.epoch, entries: [])) }
        runs[runs.count - 1].entries.append(record.entry)
    }
    return runs
}

/// What another primary might write behind `last`, in two epochs.
func others(after last: UInt64, epoch: Epoch) -> [HeldRecord] {
    (0..<4).map { number in
        let seed = Int(last) * 1_000 + Int(epoch.value) * 100_000 + number
        return HeldRecord(
            epoch: number < 2 ? epoch : Epoch(epoch.value + 2), entry: noise(seed, bytes: [3, 1_100, 90, 700][number]))
    }
}

/// A log of several log segments and epochs whose first records are gone.
struct LogImage {
    /// From lsn 1 on.
    let records: [HeldRecord]

    init() {
        let sizes = [60, 700, 5, 300_000, 500_000, 9, 400_000, 80, 900_000, 40, 700_000, 30, 20, 1_000, 600_000, 50, 7]
        records = sizes.enumerated().map { number, bytes in
            HeldRecord(
                epoch: Epoch(UInt64([1, 1, 2, 2, 2, 4, 4, 4, 5][number / 2])), entry: noise(number, bytes: bytes))
        }
    }

    var count: UInt64 { UInt64(records.count) }

    func epoch(at index: UInt64) -> Epoch { index == 0 ? Epoch(1) : records[Int(index) - 1].epoch }

    func epochStarts(through last: UInt64) -> [LogEpochStart] {
        var starts: [LogEpochStart] = []
        for (number, record) in records.prefix(Int(last)).enumerated() where starts.last?.epoch != record.epoch {
            starts.append(LogEpochStart(epoch: record.epoch, first: LogIndex(UInt64(number + 1))))
        }
        return starts
    }

    /// Written in small batches over two lives.
    func make(_ disk: SimulatedDisk) throws -> (disk: SimulatedDisk, log: Log) {
        var log = try open(disk).log
        for start in stride(from: 0, to: records.count, by: 2) {
            _ = try log.append(runs(of: Array(records[start..<min(start + 2, records.count)])))
            try log.synchronize()
            if start == 8 { log = try open(disk).log }
        }
        try log.truncate(before: LogIndex(7))
        return (disk, log)
    }
}

/// The same files on another disk.
func copy(of disk: SimulatedDisk) throws -> SimulatedDisk {
    let copy = SimulatedDisk()
    try copy.createDirectory(directory)
    for path in disk.paths { copy.install(path, disk.contents(path) ?? []) }
    return copy
}
