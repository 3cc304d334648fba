import FaceModel
import SimulatedDisk
import StorageIO
import Testing

@testable import WriteAheadLog

/// What an opening tells before it changes anything, and what it leaves of epochs.
@Suite struct LogOpeningTests {
    /// A log whose last batch is torn.
    private func torn() throws -> SimulatedDisk {
        let disk = SimulatedDisk()
        _ = try makeLog(on: disk, batches: 3, confirmed: false)
        let path = try #require(disk.paths.first)
        disk.flip(path, at: try #require(disk.contents(path)?.lastIndex { $0 != 0 }))
        return disk
    }

    @Test func theCallerHearsOfATornTailBeforeAnythingIsCut() throws {
        let disk = try torn()
        let images = disk.paths.map { disk.contents($0) }
        let operations = disk.operations
        var told: [LogRecovery] = []
        let (log, recovery) = try Log.open(directory: directory, identity: identity, on: disk) {
            (found) throws(LogError) in
            told.append(found)
            #expect(disk.operations == operations && disk.paths.map { disk.contents($0) } == images)
        }
        #expect(told == [recovery] && !recovery.isClean && log.lastIndex == LogIndex(5))
        _ = try Log.open(directory: directory, identity: identity, on: disk) { (_) throws(LogError) in
            Issue.record("the log is whole now")
        }
    }

    @Test func whoCannotNoteItStopsTheOpening() throws {
        let disk = try torn()
        let operations = disk.operations
        let full = FileError.noSpace(path: "/replica", operation: "write")
        for _ in 0..<2 {
            #expect(throws: LogError.file(full)) {
                try Log.open(directory: directory, identity: identity, on: disk) { (_) throws(LogError) in
                    throw .file(full)
                }
            }
        }
        #expect(disk.operations == operations)
    }

    /// Power fails at every operation of the opening: where the log is whole afterwards, the note is there.
    @Test func theNoteIsThereBeforeTheTailIsGone() throws {
        for operation in 1...12 {
            for seed in 0..<4 {
                let disk = try torn()
                disk.crash(atOperation: disk.operations + operation)
                _ = try? Log.open(directory: directory, identity: identity, on: disk) { (_) throws(LogError) in
                    do throws(FileError) {
                        try AtomicFile.write([1], to: directory + "/note", on: disk)
                    } catch {
                        throw .file(error)
                    }
                }
                disk.restart(seed: UInt64(operation * 16 + seed))
                let isNoted = disk.contents(directory + "/note") == [1]
                let (_, recovery) = try open(disk)
                #expect(isNoted || !recovery.isClean, "operation \(operation), seed \(seed)")
            }
        }
    }

    /// A batch of several epochs that had to be written again: its log segment's header says nothing of them, and a
    /// reader that begins there takes the first of them for what it is.
    @Test func epochsOfRecordsWrittenAgainAreTheirs() throws {
        let disk = SimulatedDisk()
        let (log, _) = try open(disk)
        let records = (0..<6).map { HeldRecord(epoch: Epoch(UInt64($0 / 2 * 3 + 1)), entry: entry($0)) }
        _ = try log.append(runs(of: Array(records[..<2])))
        try log.synchronize()
        _ = try log.append(runs(of: Array(records[2...])))
        try log.synchronize()
        let (again, recovery) = try open(disk)
        #expect(recovery.rewritten == 4)
        var found: [HeldRecord] = []
        try again.read(from: LogIndex(3)) { (record) throws(LogError) in found.append(HeldRecord(record)) }
        #expect(found == Array(records[2...]))
        try again.truncate(before: LogIndex(3))
        let starts = [(1, 1), (4, 3), (7, 5)].map { LogEpochStart(epoch: Epoch($0), first: LogIndex($1)) }
        for log in [again, try open(disk).log, try open(disk).log] {
            #expect(log.firstIndex == LogIndex(3) && log.epochStarts == starts)
            #expect(try held(log) == Array(records[2...]))
        }
    }
}
