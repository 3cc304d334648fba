import FaceModel
import SimulatedDisk
import StorageIO
import Synchronization
import Testing

@testable import WriteAheadLog

/// Reading for a replica that lacks records.
@Suite struct LogReadingTests {
    @Test func everyRangeAndEveryRoomGivesABeginningOfIt() throws {
        let image = LogImage()
        let (_, log) = try image.make(SimulatedDisk())
        let first = log.firstIndex.value
        for from in first...image.count {
            for through in [from - 1, from, from + 3, image.count, image.count + 5] {
                for room in [0, 800, 2_000, 1 << 20, .max / 2] {
                    let found = try log.records(from: LogIndex(from), through: LogIndex(through), bytesMax: room)
                    let wanted = Array(image.records[Int(from) - 1..<max(Int(from) - 1, min(Int(through), 17))])
                    #expect(found.map(HeldRecord.init) == Array(wanted.prefix(found.count)))
                    #expect(found.map(\.lsn.value) == Array(from..<from + UInt64(found.count)))
                    let next = found.count < wanted.count ? wanted[found.count].entry.payload.count + 64 : 0
                    let taken = found.reduce(0) { $0 + $1.payload.count + 64 }
                    #expect(taken <= room || found.count == 1 || wanted.isEmpty)
                    #expect(found.count == wanted.count || taken + next > room, "it stopped early")
                }
            }
        }
        #expect(throws: LogError.recordsRemoved(wanted: LogIndex(first - 1), first: LogIndex(first))) {
            try log.records(from: LogIndex(first - 1), through: log.lastIndex, bytesMax: 1_000)
        }
        #expect(try log.records(from: log.lastIndex.next, through: LogIndex(99), bytesMax: 1_000).isEmpty)
        let empty = try open(SimulatedDisk()).log
        #expect(try empty.records(from: LogIndex(1), through: LogIndex(9), bytesMax: 1_000).isEmpty)
    }

    /// Three replicas that catch up in turn, from different places, in small batches: the files are not read again for
    /// each batch.
    @Test func readingOnCostsWhatItReturns() throws {
        let disk = CountingDisk()
        var log = try Log.open(directory: directory, identity: identity, on: disk).log
        let total = 6_000
        for batch in 0..<total / 50 {
            _ = try log.append((0..<50).map { noise(batch * 50 + $0, bytes: 2_000) }, epoch: Epoch(1))
            try log.synchronize()
        }
        for life in 0..<2 {
            var places = [1, 2_501, 4_001].map { LogIndex(UInt64($0)) }
            disk.forgetReads()
            var returned = 0
            while places.contains(where: { $0 <= log.lastIndex }) {
                for number in places.indices where places[number] <= log.lastIndex {
                    let found = try log.records(from: places[number], through: log.lastIndex, bytesMax: 100_000)
                    places[number] = try #require(found.last).lsn.next
                    returned += found.reduce(0) { $0 + $1.payload.count }
                }
            }
            #expect(returned == (6_000 + 3_500 + 2_000) * 2_000)
            // A piece of 256 KiB a batch of 100 kB, and once the way to the places where they begin.
            #expect(disk.bytesRead < returned * 4, "life \(life): \(disk.bytesRead) bytes read for \(returned)")
            log = try Log.open(directory: directory, identity: identity, on: disk).log
        }
    }

    @Test func recordsThatAreNotYetDurableAreReadAndAppendsGoOn() throws {
        let disk = SimulatedDisk()
        let (log, _) = try open(disk)
        for number in 1...30 {
            _ = try log.append([noise(number, bytes: number * 3_000)], epoch: Epoch(1))
            let found = try log.records(from: LogIndex(1), through: log.lastIndex, bytesMax: 4 << 20)
            #expect(found.map(\.payload) == (1...number).map { noise($0, bytes: $0 * 3_000).payload })
        }
        try log.synchronize()
        #expect(try contents(open(disk).log).count == 30)
    }

    /// Places remembered before a truncation say nothing of what is written there afterwards.
    @Test func readingFollowsATruncation() throws {
        let disk = SimulatedDisk()
        let (log, _) = try open(disk)
        var model: [HeldRecord] = []
        for round in 0..<12 {
            for number in 0..<40 {
                model.append(
                    HeldRecord(epoch: Epoch(UInt64(round + 1)), entry: noise(round * 100 + number, bytes: 9_000)))
                _ = try log.append(runs(of: [model[model.count - 1]]))
            }
            let all = try log.records(from: LogIndex(1), through: log.lastIndex, bytesMax: 64 << 20)
            #expect(all.map(HeldRecord.init) == model)
            model.removeLast(25)
            try log.truncate(after: LogIndex(UInt64(model.count)))
        }
        #expect(try held(open(disk).log) == model)
    }

    @Test func anAlteredRecordIsNamedAndTheLogGoesOn() throws {
        let disk = SimulatedDisk()
        _ = try makeLog(on: disk, batches: 6)
        let (log, _) = try open(disk)
        let path = try #require(disk.paths.first)
        let bytes = try #require(disk.contents(path))
        let offsets = recordOffsets(bytes)
        for offset in offsets[3]..<offsets[4] {
            disk.flip(path, at: offset)
            #expect(throws: LogError.lossProven(path: path, offset: offsets[3], lsn: LogIndex(4))) {
                try log.records(from: LogIndex(2), through: log.lastIndex, bytesMax: 1 << 20)
            }
            #expect(throws: LogError.self) { try log.truncate(after: LogIndex(5)) }
            disk.install(path, bytes)
        }
        #expect(try log.records(from: LogIndex(2), through: log.lastIndex, bytesMax: 1 << 20).count == 12)
        _ = try log.append([entry(900)], epoch: Epoch(1))
        try log.synchronize()
        #expect(try contents(open(disk).log).last == entry(900))
    }
}

/// A disk that counts the bytes read.
private final class CountingDisk: FileSystem {
    private let disk = SimulatedDisk()
    private let count = Atomic(0)

    var bytesRead: Int { count.load(ordering: .relaxed) }
    func forgetReads() { count.store(0, ordering: .relaxed) }

    func open(_ path: String, _ mode: FileOpenMode) throws(FileError) -> any FileHandle {
        Handle(try disk.open(path, mode), self)
    }

    func exists(_ path: String) throws(FileError) -> Bool { try disk.exists(path) }
    func list(_ directory: String) throws(FileError) -> [String] { try disk.list(directory) }
    func createDirectory(_ path: String) throws(FileError) { try disk.createDirectory(path) }
    func rename(_ from: String, to: String) throws(FileError) { try disk.rename(from, to: to) }
    func remove(_ path: String) throws(FileError) { try disk.remove(path) }
    func removeDirectoryTree(_ path: String) throws(FileError) { try disk.removeDirectoryTree(path) }
    func synchronizeDirectory(_ path: String) throws(FileError) { try disk.synchronizeDirectory(path) }
    func space(at path: String) throws(FileError) -> DiskCapacity { try disk.space(at: path) }

    private final class Handle: FileHandle {
        private let base: any FileHandle
        private let owner: CountingDisk
        var path: String { base.path }

        init(_ base: any FileHandle, _ owner: CountingDisk) {
            self.base = base
            self.owner = owner
        }

        func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws(FileError) {
            try base.read(into: buffer, at: offset)
            owner.count.add(buffer.count, ordering: .relaxed)
        }

        func size() throws(FileError) -> Int { try base.size() }
        func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(FileError) {
            try base.write(bytes, at: offset)
        }
        func synchronize() throws(FileError) { try base.synchronize() }
        func resize(to size: Int) throws(FileError) { try base.resize(to: size) }
        func close() { base.close() }
    }
}
