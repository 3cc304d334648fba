import FaceModel
import SimulatedDisk
import StorageIO
import Testing

@testable import WriteAheadLog

/// Removing the end of a log, as a replica does whose primary wrote something else there.
@Suite struct LogTruncationTests {
    /// Every end that a log of several log segments and epochs can have, followed by other records, and opened again.
    @Test func everyEndCanBeCutAndWrittenOver() throws {
        let image = LogImage()
        let first = try image.make(SimulatedDisk()).log.firstIndex.value
        #expect(first > 1)
        for last in first - 1...image.count {
            let (disk, log) = try image.make(SimulatedDisk())
            try log.truncate(after: LogIndex(last))
            let kept = Array(image.records.prefix(Int(last)).dropFirst(Int(first) - 1))
            #expect(log.lastIndex == LogIndex(last) && log.durableIndex == log.lastIndex)
            #expect(log.epoch == image.epoch(at: last) && log.firstIndex == LogIndex(first))
            #expect(log.epochStarts == image.epochStarts(through: last))
            #expect(try held(log) == kept, "cut after \(last)")
            let others = others(after: last, epoch: log.epoch)
            _ = try log.append(runs(of: others))
            try log.synchronize()
            for log in [log, try open(disk).log, try open(disk).log] {
                #expect(try held(log) == kept + others, "cut after \(last)")
                #expect(log.lastIndex == LogIndex(last + UInt64(others.count)))
                #expect(log.epoch == log.epochStarts.last?.epoch && log.epoch == others.last?.epoch)
            }
        }
    }

    /// Power fails at every operation of two truncations, the second below the first, with other records between and
    /// behind, and in the opening that follows: there is never anything but what one of the steps left.
    @Test func aCrashAtAnyOperationLeavesTheOldLogOrTheNewOne() throws {
        let image = LogImage()
        var operation = 1
        var isFinished = false
        while !isFinished {
            let (disk, log) = try image.make(SimulatedDisk())
            var life = TruncatedLife(records: image.records)
            disk.crash(atOperation: disk.operations + operation)
            isFinished = life.run(log)
            for restart in 0..<3 {
                disk.restart(seed: UInt64(operation * 7 + restart))
                // The first opening crashes somewhere too.
                if restart == 0 { disk.crash(atOperation: disk.operations + 1 + operation % 7) }
                guard let (log, recovery) = restart == 0 ? try? open(disk) : try open(disk) else { continue }
                disk.crash(atOperation: .max)
                let found = try held(log)
                #expect(life.allows(found, from: log.firstIndex), "operation \(operation), restart \(restart)")
                #expect(log.durableIndex == log.lastIndex && log.epoch == found.last?.epoch)
                if recovery.isClean { #expect(disk.paths.allSatisfy { $0.hasSuffix(".log") }) }
                guard restart == 1 else { continue }
                // It goes on: nothing of what was removed turns up behind what follows.
                let others = others(after: log.lastIndex.value, epoch: log.epoch.next)
                _ = try log.append(runs(of: others))
                try log.synchronize()
                life.states = [Array(image.records.prefix(Int(log.firstIndex.value) - 1)) + found + others]
            }
            operation += 1
        }
        #expect(operation > 30)
    }

    /// What was removed is neither a record nor proof of a loss, whatever becomes of it; what was kept is proven.
    @Test func onlyWhatIsKeptIsUnderGuard() throws {
        let records = (0..<6).map { HeldRecord(epoch: Epoch(UInt64(1 + $0 / 2)), entry: noise($0, bytes: 300)) }
        let disk = SimulatedDisk()
        let log = try open(disk).log
        _ = try log.append(runs(of: records))
        try log.synchronize()
        _ = try log.append([entry(77)], epoch: log.epoch)
        try log.synchronize()
        let path = try #require(disk.paths.first)
        let offsets = recordOffsets(try #require(disk.contents(path)))
        try log.truncate(after: LogIndex(3))
        let bytes = try #require(disk.contents(path))
        let end = try #require(offsets.last) + 512
        for offset in stride(from: offsets[0], to: end, by: 5) {
            disk.flip(path, at: offset)
            if offset < offsets[3] {
                #expect { try open(copy(of: disk)) } throws: {
                    if case .lossProven? = $0 as? LogError { true } else { false }
                }
            } else {
                #expect(try held(open(copy(of: disk)).log) == Array(records.prefix(3)))
            }
            disk.install(path, bytes)
        }
    }

    /// Log segments that a crash left behind a truncation are void whatever their length and their records are.
    @Test func voidLogSegmentsAreNotReadAndAreRemoved() throws {
        let image = LogImage()
        let (disk, log) = try image.make(SimulatedDisk())
        let old = disk.paths.map { ($0, disk.contents($0) ?? []) }
        let last = log.firstIndex.value
        try log.truncate(after: LogIndex(last))
        let kept = disk.paths.count
        for (path, bytes) in old where disk.contents(path) == nil {
            disk.install(path, Array(bytes.prefix(SegmentHeader.bytes + 100)))
        }
        #expect(disk.paths.count > kept)
        let before = disk.operations
        #expect(try Log.inspect(directory: directory, on: disk).lastIndex == LogIndex(last))
        #expect(disk.operations == before)
        let again = try open(disk).log
        #expect(try held(again) == [image.records[Int(last) - 1]])
        #expect(disk.paths.count <= kept + 1)
    }

    @Test func aFullDiskChangesNothing() throws {
        let image = LogImage()
        let (disk, log) = try image.make(SimulatedDisk())
        let before = try held(log)
        disk.setCapacity(disk.bytesInUse + 100_000)
        #expect { try log.truncate(after: LogIndex(image.count - 2)) } throws: {
            ($0 as? LogError)?.isTransient == true
        }
        #expect(try held(log) == before && log.lastIndex == LogIndex(image.count))
        disk.setCapacity(.max)
        let epoch = log.epoch
        _ = try log.append([entry(900)], epoch: epoch)
        try log.truncate(after: LogIndex(image.count - 2))
        #expect(try held(open(disk).log) == before.dropLast(2))
    }

    /// Each sync of a truncation fails in turn: the log stops, and what is opened is the old one or the new one.
    @Test func afterAFailedSyncTheLogTakesNothingMore() throws {
        let image = LogImage()
        for failing in 1...3 {
            for seed in 0..<4 {
                let (disk, log) = try image.make(SimulatedDisk())
                let before = try held(log)
                _ = try log.append([entry(900)], epoch: log.epoch)
                disk.failSync(number: failing)
                #expect(throws: LogError.self) { try log.truncate(after: log.firstIndex) }
                if failing != 2 {
                    #expect(throws: LogError.stopped) { try log.append([entry(1)], epoch: log.epoch) }
                    #expect(throws: LogError.stopped) { try log.truncate(after: log.firstIndex) }
                }
                disk.restart(seed: UInt64(seed))
                let found = try held(open(disk).log)
                #expect(found == [before[0]] || found.starts(with: before), "sync \(failing), seed \(seed)")
            }
        }
    }

    /// Files of before log segments had ordinals are read, and superseded like others.
    @Test func filesOfVersionOneAreReadAndTruncated() throws {
        let disk = SimulatedDisk()
        try disk.createDirectory(directory)
        let records = (1...6).map { number in
            LogRecord(
                lsn: LogIndex(UInt64(number)), epoch: Epoch(1), batchDurable: .zero, type: .put, token: .none,
                payload: [UInt8](repeating: UInt8(number), count: 70))
        }
        var checksum: UInt32 = 0
        for half in [records[..<3], records[3...]] {
            let first = try #require(half.first?.lsn)
            let (bytes, end) = versionOne(Array(half), from: first, chainStart: checksum)
            disk.install(directory + "/" + LogScan.fileName(first), bytes)
            checksum = end
        }
        let left = disk.paths.map { ($0, disk.contents($0) ?? []) }
        let (log, _) = try open(disk)
        #expect(try contents(log).map(\.payload) == records.map(\.payload))
        try log.truncate(after: LogIndex(2))
        for (path, bytes) in left where disk.contents(path) == nil { disk.install(path, bytes) }
        #expect(try contents(open(disk).log).map(\.payload) == records.prefix(2).map(\.payload))
    }

    private func versionOne(
        _ records: [LogRecord], from first: LogIndex, chainStart: UInt32
    ) -> (bytes: [UInt8], checksum: UInt32) {
        let header = SegmentHeader(
            identity: identity, firstIndex: first, fileBytes: 8_192, chainStart: chainStart, ordinal: 0, epochs: [])
        var bytes = header.encoded()
        bytes[8] = 1
        let sum = CRC32C.checksum(Array(bytes[..<4_092]))
        for byte in 0..<4 { bytes[4_092 + byte] = UInt8(truncatingIfNeeded: sum >> UInt32(8 * byte)) }
        let start = RecordPlace(index: first, offset: SegmentHeader.bytes, checksum: chainStart)
        let encoding = RecordCodec.encode(records, at: start, salt: SegmentHeader.salt(ofEncoded: bytes))
        bytes += encoding.bytes
        return (bytes + [UInt8](repeating: 0, count: 8_192 - bytes.count), encoding.end.checksum)
    }
}

/// What a log may hold at each step of a life with two truncations.
private struct TruncatedLife {
    /// The states a crash may leave: the one before the step under way, the one after, and beginnings of what a step
    /// appends.
    var states: [[HeldRecord]]
    private var tails: [HeldRecord] = []

    init(records: [HeldRecord]) { states = [records] }

    func allows(_ found: [HeldRecord], from first: LogIndex) -> Bool {
        states.contains { state in
            let state = Array(state.dropFirst(Int(first.value) - 1))
            return found == state || (found.count > state.count && found == Array((state + tails).prefix(found.count)))
        }
    }

    /// True when nothing failed.
    mutating func run(_ log: Log) -> Bool {
        do throws(LogError) {
            let top = log.lastIndex.value
            try cut(log, after: top - 2)
            for _ in 0..<3 { try add(log, epoch: log.epoch.next) }
            try cut(log, after: top - 5)
            try add(log, epoch: log.epoch)
            try cut(log, after: log.firstIndex.value + 1)
            try add(log, epoch: log.epoch.next)
            return true
        } catch {
            return false
        }
    }

    private mutating func cut(_ log: Log, after last: UInt64) throws(LogError) {
        let whole = states[states.count - 1]
        states = [whole, Array(whole.prefix(Int(last)))]
        try log.truncate(after: LogIndex(last))
        states.removeFirst()
    }

    private mutating func add(_ log: Log, epoch: Epoch) throws(LogError) {
        tails = others(after: log.lastIndex.value, epoch: epoch)
        _ = try log.append(runs(of: tails))
        try log.synchronize()
        states = [states[states.count - 1] + tails]
        tails = []
    }
}
