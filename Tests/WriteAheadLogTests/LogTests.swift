import FaceModel
import SimulatedDisk
import StorageIO
import Testing

@testable import WriteAheadLog

@Suite struct LogTests {
    @Test func recordsComeBackInOrderAfterReopening() throws {
        let disk = SimulatedDisk()
        let written = try makeLog(on: disk, batches: 20)
        let (log, recovery) = try open(disk)
        #expect(recovery.isClean)
        #expect(recovery.rewritten == 1)
        #expect(log.lastIndex == LogIndex(41))
        #expect(log.durableIndex == log.lastIndex)
        #expect(try contents(log) == written)
    }

    @Test(arguments: [0, 1, 511, 513, 5_000, 1 << 20])
    func payloadsOfAnySizeAreKept(bytes: Int) throws {
        let disk = SimulatedDisk()
        let (log, _) = try open(disk)
        let entries = [entry(1, bytes: bytes), entry(2, bytes: 3), entry(3, bytes: bytes)]
        for entry in entries { _ = try log.append([entry], epoch: Epoch(1)) }
        try log.synchronize()
        #expect(try contents(try open(disk).log) == entries)
    }

    @Test func aRecordOverTheLimitIsRefusedAndChangesNothing() throws {
        let disk = SimulatedDisk()
        let (log, _) = try open(disk)
        #expect(throws: LogError.recordTooLarge(bytes: (1 << 20) + 1, limit: 1 << 20)) {
            try log.append([entry(1, bytes: (1 << 20) + 1)], epoch: Epoch(1))
        }
        #expect(log.lastIndex == .zero)
    }

    @Test func logSegmentsRollAndAreTruncatedWhole() throws {
        let disk = SimulatedDisk()
        let (log, _) = try open(disk)
        var random = SplitMix(state: 9)
        for number in 1...40 {
            let noise = (0..<150_000).map { _ in UInt8.random(in: 0...255, using: &random) }
            _ = try log.append([LogEntry(type: .put, token: .none, payload: noise)], epoch: Epoch(UInt64(number)))
            try log.synchronize()
        }
        let before = disk.paths.count
        #expect(before >= 3)
        try log.truncate(before: LogIndex(30))
        #expect(disk.paths.count < before)
        #expect(log.firstIndex <= LogIndex(30))
        let (again, _) = try open(disk)
        #expect(again.firstIndex == log.firstIndex)
        #expect(again.lastIndex == LogIndex(40))
        #expect(again.epoch == Epoch(40))
        #expect(try contents(again).count == Int(41 - log.firstIndex.value))
    }

    @Test func aFullDiskTakesNothingAndRecoversAlone() throws {
        let disk = SimulatedDisk(capacity: 3 << 20)
        let (log, _) = try open(disk)
        var random = SplitMix(state: 1)
        var taken: [LogEntry] = []
        func add() throws {
            let noise = (0..<100_000).map { _ in UInt8.random(in: 0...255, using: &random) }
            let entry = LogEntry(type: .put, token: .none, payload: noise)
            _ = try log.append([entry], epoch: Epoch(1))
            try log.synchronize()
            taken.append(entry)
        }
        #expect(throws: LogError.self) { while true { try add() } }
        #expect { try add() } throws: { ($0 as? LogError)?.isTransient == true }
        disk.setCapacity(64 << 20)
        try add()
        #expect(try contents(log) == taken)
        #expect(try contents(try open(disk).log) == taken)
    }

    @Test func afterAFailedSyncTheLogTakesNothingMore() throws {
        let disk = SimulatedDisk()
        let (log, _) = try open(disk)
        _ = try log.append([entry(1)], epoch: Epoch(1))
        try log.synchronize()
        _ = try log.append([entry(2)], epoch: Epoch(1))
        disk.failNextSync()
        #expect(throws: LogError.self) { try log.synchronize() }
        #expect(throws: LogError.stopped) { try log.append([entry(3)], epoch: Epoch(1)) }
    }

    @Test func anotherShardsLogIsRefused() throws {
        let disk = SimulatedDisk()
        _ = try makeLog(on: disk, batches: 1)
        var other = identity
        other.shard = ShardID(Bits128(high: 9, low: 9))
        #expect { try Log.open(directory: directory, identity: other, on: disk) } throws: {
            if case .wrongIdentity(_, field: "shard")? = $0 as? LogError { true } else { false }
        }
    }

    @Test func aNewerFormatIsNamed() throws {
        let disk = SimulatedDisk()
        let header = SegmentHeader(
            identity: identity, firstIndex: LogIndex(1), fileBytes: 4_096, chainStart: 0, ordinal: 1, epochs: [])
        var bytes = header.encoded()
        bytes[8] = 7
        let sum = CRC32C.checksum(Array(bytes[..<4_092]))
        for byte in 0..<4 { bytes[4_092 + byte] = UInt8(truncatingIfNeeded: sum >> UInt32(8 * byte)) }
        try disk.createDirectory(directory)
        disk.install("\(directory)/0000000000000001.log", bytes)
        #expect { try open(disk) } throws: {
            if case .newerFormat(_, found: 7, supported: 2)? = $0 as? LogError { true } else { false }
        }
    }

    @Test func aMissingLogSegmentIsNamed() throws {
        let disk = SimulatedDisk()
        let (log, _) = try open(disk)
        for number in 1...60 {
            _ = try log.append([entry(number, bytes: 200_000)], epoch: Epoch(1))
            _ = try log.append([LogEntry(type: .put, token: .none, payload: noise(number))], epoch: Epoch(1))
            try log.synchronize()
        }
        let paths = disk.paths
        #expect(paths.count > 2)
        try disk.remove(paths[1])
        #expect { try open(disk) } throws: {
            if case .lossProven(path: paths[0], _, _)? = $0 as? LogError { true } else { false }
        }
    }

    private func noise(_ seed: Int) -> [UInt8] {
        var random = SplitMix(state: UInt64(seed))
        return (0..<100_000).map { _ in UInt8.random(in: 0...255, using: &random) }
    }
}
