import FaceModel
import SimulatedDisk
import StorageIO
import Testing

@testable import WriteAheadLog

/// A log that begins behind what another replica's files hold.
@Suite struct LogBeginningTests {
    private static let epochs = [(2, 1), (5, 40), (9, 77)].map {
        LogEpochStart(epoch: Epoch($0), first: LogIndex($1))
    }

    private func begin(_ last: UInt64, _ disk: SimulatedDisk, epochs: [LogEpochStart] = epochs) throws {
        try Log.begin(
            after: LogIndex(last), epochs: epochs, directory: directory, identity: identity, on: disk)
    }

    @Test func goesOnWhereTheFilesEnd() throws {
        let disk = SimulatedDisk()
        try begin(100, disk)
        for _ in 0..<2 {
            let (log, recovery) = try open(disk)
            #expect(recovery == LogRecovery(tail: .clean, rewritten: 0))
            #expect(log.firstIndex == LogIndex(101) && log.lastIndex == LogIndex(100))
            #expect(log.durableIndex == LogIndex(100) && log.epoch == Epoch(9))
            #expect(log.epochStarts == Self.epochs)
            #expect(throws: LogError.recordsRemoved(wanted: LogIndex(100), first: LogIndex(101))) {
                try log.records(from: LogIndex(100), through: LogIndex(100), bytesMax: 1_000)
            }
        }
        let (log, _) = try open(disk)
        #expect(try log.append([entry(1), entry(2)], epoch: Epoch(9)) == LogIndex(102))
        _ = try log.append([entry(3)], epoch: Epoch(12))
        try log.synchronize()
        for log in [log, try open(disk).log, try open(disk).log] {
            #expect(try contents(log) == [entry(1), entry(2), entry(3)])
            #expect(log.epochStarts == Self.epochs + [LogEpochStart(epoch: Epoch(12), first: LogIndex(103))])
        }
        let (again, _) = try open(disk)
        try again.truncate(after: LogIndex(100))
        #expect(again.epochStarts == Self.epochs && again.lastIndex == LogIndex(100))
        #expect(try contents(open(disk).log).isEmpty)
    }

    @Test func knowsTheNewestEpochsOfMany() throws {
        let disk = SimulatedDisk()
        let many = (1...500 as ClosedRange<UInt64>).map { LogEpochStart(epoch: Epoch($0 * 2), first: LogIndex($0 * 3)) }
        try begin(1_500, disk, epochs: many)
        #expect(try open(disk).log.epochStarts == Array(many.suffix(SegmentHeader.epochsMax)))
    }

    @Test func beforeTheFirstRecordItIsAnEmptyLog() throws {
        let disk = SimulatedDisk()
        try begin(0, disk, epochs: [])
        let (log, _) = try open(disk)
        #expect(log.firstIndex == LogIndex(1) && log.lastIndex == .zero && log.epoch == Epoch(1))
        #expect(try log.append([entry(1)], epoch: Epoch(1)) == LogIndex(1))
    }

    @Test func takesThePlaceOfNoOther() throws {
        let disk = SimulatedDisk()
        let written = try makeLog(on: disk, batches: 3)
        #expect { try begin(100, disk) } throws: {
            if case .damaged? = $0 as? LogError { true } else { false }
        }
        #expect(try contents(open(disk).log) == written)
    }

    /// Power fails at every operation: there is no log, and it is made again, or it is whole.
    @Test func aCrashLeavesNoneOrAWholeOne() throws {
        var operation = 0
        var isFinished = false
        while !isFinished {
            operation += 1
            for seed in 0..<4 {
                let disk = SimulatedDisk()
                disk.crash(atOperation: disk.operations + operation)
                isFinished = (try? begin(100, disk)) != nil
                disk.restart(seed: UInt64(operation * 16 + seed))
                let isMade = disk.paths.contains { $0.hasSuffix(".log") }
                #expect(isMade || !isFinished)
                if !isMade { try begin(100, disk) }
                let (log, recovery) = try open(disk)
                #expect(recovery.isClean && log.lastIndex == LogIndex(100) && log.epochStarts == Self.epochs)
                #expect(disk.paths.count == 1)
            }
        }
        #expect(operation > 4)
    }

    @Test func withoutSpaceThereIsNone() throws {
        let disk = SimulatedDisk()
        disk.setCapacity(100_000)
        #expect { try begin(100, disk) } throws: { ($0 as? LogError)?.isTransient == true }
        disk.setCapacity(.max)
        try begin(100, disk)
        #expect(try open(disk).log.lastIndex == LogIndex(100))
    }
}
