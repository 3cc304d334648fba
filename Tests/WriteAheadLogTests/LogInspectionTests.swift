import FaceModel
import SimulatedDisk
import StorageIO
import Synchronization
import Testing

@testable import WriteAheadLog

@Suite struct LogInspectionTests {
    /// A server writes between the two halves of a reader's read: the reader sees a hole before newer records.
    @Test func aReaderBesideAWriterSeesNoLossWhereThereIsNone() throws {
        let disk = SimulatedDisk()
        let (log, _) = try open(disk)
        for number in 1...4 {
            _ = try log.append([entry(number, bytes: 100)], epoch: Epoch(1))
            try log.synchronize()
        }
        let path = try #require(disk.paths.first)
        // The image a torn read gives: the place of record 3 from before it was written, the rest from after.
        let now = try #require(disk.contents(path))
        let offsets = recordOffsets(now)
        var torn = now
        for offset in offsets[2]..<offsets[3] { torn[offset] = 0 }
        let files = StaleReads(disk: disk, path: path, first: torn)
        var seen = 0
        let (last, tail) = try Log.inspect(directory: directory, on: files) { (_) throws(LogError) in seen += 1 }
        #expect(last == LogIndex(4) && tail == .clean && seen == 4)
        #expect(files.staleReads == 1)
        disk.install(path, torn)
        #expect(throws: LogError.lossProven(path: path, offset: offsets[2], lsn: LogIndex(3))) {
            try Log.inspect(directory: directory, on: disk)
        }
    }

    @Test func anInspectionChangesNothing() throws {
        let disk = SimulatedDisk()
        _ = try makeLog(on: disk, batches: 3, confirmed: false)
        try disk.open(directory + "/0000000000000009.log.tmp", .createNew).close()
        let path = try #require(disk.paths.first)
        let end = try #require(disk.contents(path)?.lastIndex { $0 != 0 })
        disk.flip(path, at: end)
        let (operations, image) = (disk.operations, disk.contents(path))
        let (last, tail) = try Log.inspect(directory: directory, on: disk)
        #expect(last == LogIndex(5))
        #expect(tail != .clean)
        #expect(disk.operations == operations && disk.contents(path) == image && disk.paths.count == 2)
    }

    /// What a fresh log segment superseded stays in the old file; whatever becomes of it there is nobody's business.
    @Test func supersededAndStaleBytesAreNeverRecords() throws {
        let disk = SimulatedDisk()
        let written = try makeLog(on: disk, batches: 4)
        let old = try #require(disk.paths.first)
        let offsets = recordOffsets(try #require(disk.contents(old)))
        _ = try open(disk)
        let fresh = try #require(disk.paths.last)
        #expect(fresh != old)
        disk.flip(old, at: try #require(offsets.last) + 20)
        #expect(try contents(open(disk).log) == written)
        // A whole record of the old log segment where the fresh one's next record would be: misdirected or stale.
        var bytes = try #require(disk.contents(fresh))
        let source = try #require(disk.contents(old))
        let place = try #require(bytes.lastIndex { $0 != 0 }) / 8 * 8 + 64
        for offset in 0..<96 { bytes[place + offset] = source[offsets[1] + offset] }
        disk.install(fresh, bytes)
        let (log, recovery) = try open(disk)
        #expect(recovery.tail != .clean)
        #expect(try contents(log) == written)
    }

    @Test func aDamagedHeaderOrAForeignNameIsNamed() throws {
        let disk = SimulatedDisk()
        _ = try makeLog(on: disk, batches: 1)
        let path = try #require(disk.paths.first)
        let bytes = try #require(disk.contents(path))
        for offset in stride(from: 0, to: SegmentHeader.bytes, by: 37) {
            disk.flip(path, at: offset)
            #expect { try open(disk) } throws: {
                if case .damaged(path: path, _, _)? = $0 as? LogError { true } else { false }
            }
            disk.install(path, bytes)
        }
        try disk.rename(path, to: directory + "/0000000000000002.log")
        #expect(throws: LogError.self) { try open(disk) }
    }
}

/// A disk on which the first whole read of one file gives an image of the past.
private final class StaleReads: FileSystem {
    private let disk: SimulatedDisk
    private let path: String
    private let image: [UInt8]
    private let reads = Atomic(0)

    init(disk: SimulatedDisk, path: String, first image: [UInt8]) {
        self.disk = disk
        self.path = path
        self.image = image
    }

    var staleReads: Int { reads.load(ordering: .relaxed) }

    func open(_ path: String, _ mode: FileOpenMode) throws(FileError) -> any FileHandle {
        let handle = try disk.open(path, mode)
        return path == self.path ? Handle(handle, self) : handle
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
        private let owner: StaleReads
        var path: String { base.path }

        init(_ base: any FileHandle, _ owner: StaleReads) {
            self.base = base
            self.owner = owner
        }

        func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws(FileError) {
            try base.read(into: buffer, at: offset)
            guard buffer.count == owner.image.count, owner.staleReads == 0 else { return }
            owner.reads.add(1, ordering: .relaxed)
            buffer.copyBytes(from: owner.image)
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
