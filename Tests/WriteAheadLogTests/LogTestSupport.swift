import FaceModel
import SimulatedDisk
import StorageIO
import Testing

@testable import WriteAheadLog

let directory = "/wal"
let identity = LogIdentity(
    tenant: .embedded, collection: CollectionUID(Bits128(high: 1, low: 2)), shard: ShardID(Bits128(high: 3, low: 4)),
    replica: ReplicaID(Bits128(high: 5, low: 6)), generation: Generation(0))

func entry(_ number: Int, bytes: Int = 40) -> LogEntry {
    var random = SplitMix(state: UInt64(number))
    return LogEntry(
        type: number.isMultiple(of: 3) ? .delete : .put, token: RequestToken(.random(using: &random)),
        payload: (0..<bytes).map { UInt8(truncatingIfNeeded: number &* 31 &+ $0 / 7) })
}

func open(_ disk: SimulatedDisk) throws -> (log: Log, recovery: LogRecovery) {
    try Log.open(directory: directory, identity: identity, on: disk)
}

/// Everything the log holds, as entries, and that their positions follow one another.
func contents(_ log: Log) throws -> [LogEntry] {
    var entries: [LogEntry] = []
    var expected = log.firstIndex
    try log.read(from: .zero) { (record) throws(LogError) in
        #expect(record.lsn == expected)
        expected = expected.next
        entries.append(LogEntry(type: record.type, token: record.token, payload: record.payload))
    }
    return entries
}

/// A log of `batches` batches of `size` entries, each synced, the last confirmed by a Noop.
func makeLog(on disk: SimulatedDisk, batches: Int, size: Int = 2, confirmed: Bool = true) throws -> [LogEntry] {
    let (log, _) = try open(disk)
    var written: [LogEntry] = []
    for batch in 0..<batches {
        let entries = (0..<size).map { entry(batch * size + $0 + 1) }
        _ = try log.append(entries, epoch: Epoch(1))
        try log.synchronize()
        written += entries
    }
    if confirmed {
        let noop = LogEntry(type: .noop, token: .none, payload: [])
        _ = try log.append([noop], epoch: Epoch(1))
        try log.synchronize()
        written.append(noop)
    }
    return written
}

/// An entry that LZ4 cannot make smaller.
func noise(_ seed: Int, bytes: Int) -> LogEntry {
    var random = SplitMix(state: UInt64(seed))
    var payload: [UInt8] = []
    payload.reserveCapacity(bytes + 8)
    while payload.count < bytes { withUnsafeBytes(of: random.next()) { payload.append(contentsOf: $0) } }
    return LogEntry(type: .put, token: .none, payload: Array(payload[..<bytes]))
}

/// Where each record of a log segment begins.
func recordOffsets(_ bytes: [UInt8]) -> [Int] {
    var offsets: [Int] = []
    var offset = SegmentHeader.bytes
    var checksum: UInt32 = 0
    let salt = SegmentHeader.salt(ofEncoded: bytes)
    while case .record(_, let sum, let end) = RecordCodec.decode(
        bytes, at: offset, previousChecksum: checksum, salt: salt)
    {
        offsets.append(offset)
        (offset, checksum) = (end, sum)
    }
    return offsets
}
