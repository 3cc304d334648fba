import FaceModel
import SimulatedDisk
import StorageIO
import Testing

@testable import WriteAheadLog

/// A log with proof of loss is cut where an operator accepts that, and only then.
@Suite struct LogCuttingTests {
    private func cut(_ disk: SimulatedDisk) throws -> (log: Log, recovery: LogRecovery) {
        try Log.open(directory: directory, identity: identity, on: disk, acceptingLoss: true)
    }

    private func isLossProven(_ error: any Error) -> Bool {
        if case .lossProven? = error as? LogError { true } else { false }
    }

    /// The oldest log segment, and where the records begin in it that no other supersedes.
    private func firstSegment(of disk: SimulatedDisk) throws -> (path: String, offsets: [Int]) {
        let segment = try #require(try LogScan(directory: directory, on: disk).segments.first)
        let end = try #require(segment.supersededFrom)
        let bytes = try #require(disk.contents(segment.path))
        var (offset, checksum, offsets) = (SegmentHeader.bytes, segment.header.chainStart, [Int]())
        while offsets.count < Int(end.value - segment.header.firstIndex.value),
            case .record(_, let sum, let next) = RecordCodec.decode(
                bytes, at: offset, previousChecksum: checksum, salt: segment.salt)
        {
            offsets.append(offset)
            (offset, checksum) = (next, sum)
        }
        return (segment.path, offsets)
    }

    @Test func aLogIsCutBeforeWhicheverRecordIsLost() throws {
        let disk = SimulatedDisk()
        let written = try makeLog(on: disk, batches: 4)
        let path = try #require(disk.paths.first)
        for (number, offset) in recordOffsets(try #require(disk.contents(path))).dropLast().enumerated() {
            let damaged = try copy(of: disk)
            damaged.flip(path, at: offset + 20)
            #expect(throws: (any Error).self) { try open(damaged) }
            let ending = try Log.ending(directory: directory, on: damaged)
            #expect(ending.lastIndex == LogIndex(UInt64(number)))
            #expect(ending.tail == .lost(path: path, offset: offset))
            let (log, recovery) = try cut(damaged)
            #expect(try contents(log) == Array(written[..<number]) && !recovery.isClean)
            #expect(log.lastIndex == LogIndex(UInt64(number)) && log.durableIndex == log.lastIndex)
            _ = try log.append([entry(90)], epoch: Epoch(7))
            try log.synchronize()
            #expect(try contents(open(damaged).log) == Array(written[..<number]) + [entry(90)])
            #expect(try Log.ending(directory: directory, on: damaged).lastEpoch == Epoch(7))
        }
    }

    @Test func whatIsWholeIsNotCut() throws {
        let disk = SimulatedDisk()
        let written = try makeLog(on: disk, batches: 3)
        let (log, recovery) = try cut(disk)
        #expect(try contents(log) == written && recovery.isClean)
        #expect(try Log.ending(directory: directory, on: disk).tail == .clean)
    }

    /// The record is lost in an early log segment of several; those behind it go, whatever operation a crash comes at.
    @Test func logSegmentsBehindTheLossGoWithIt() throws {
        let image = LogImage()
        let (disk, log) = try image.make(SimulatedDisk())
        let first = Int(log.firstIndex.value)
        let (path, offsets) = try firstSegment(of: disk)
        disk.flip(path, at: try #require(offsets.last) + 20)
        let kept = Array(image.records[(first - 1)...].prefix(offsets.count - 1))
        #expect(disk.paths.count > 2 && !offsets.isEmpty)
        #expect { try open(copy(of: disk)) } throws: { isLossProven($0) }
        var operation = 1
        while true {
            let damaged = try copy(of: disk)
            damaged.crash(atOperation: damaged.operations + operation)
            let cutAtOnce = try? cut(damaged)
            damaged.restart(seed: UInt64(operation))
            let (log, _) = try cut(damaged)
            #expect(try held(log) == kept, "crash at operation \(operation)")
            #expect(try held(open(damaged).log) == kept)
            if cutAtOnce != nil { break }
            operation += 1
        }
        #expect(operation > 3)
    }

    /// Also one that nothing chains to.
    @Test func aLogSegmentThatIsGoneEndsTheLog() throws {
        let image = LogImage()
        let (disk, log) = try image.make(SimulatedDisk())
        let first = Int(log.firstIndex.value)
        let gone = try #require(disk.paths.dropFirst().first)
        let count = try firstSegment(of: disk).offsets.count
        try disk.remove(gone)
        #expect(throws: LogError.self) { try open(copy(of: disk)) }
        let kept = try held(cut(disk).log)
        // Records that the one that is gone had superseded are as good as they were there.
        #expect(kept.count >= count && image.records[(first - 1)...].dropLast().starts(with: kept))
        #expect(try held(open(disk).log) == kept)
    }
}
