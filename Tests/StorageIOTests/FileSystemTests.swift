import Foundation
import SimulatedDisk
import StorageIO
import Testing

/// The same expectations of the real disk and of the simulated one, so that tests on the second mean something.
@Suite struct FileSystemTests {
    private func onBoth(_ check: (any FileSystem, String) throws -> Void) throws {
        try check(SimulatedDisk(), "/disk")
        let scratch = NSTemporaryDirectory() + "facet-files-\(ProcessInfo.processInfo.globallyUniqueString)"
        defer { _ = try? FileManager.default.removeItem(atPath: scratch) }
        try check(POSIXFileSystem(), scratch)
    }

    @Test func filesKeepWhatIsWrittenWhereItIsWritten() throws {
        try onBoth { files, root in
            try files.createDirectory(root + "/a/b")
            let file = try files.open(root + "/a/b/one", .createNew)
            try file.write(all: [1, 2, 3], at: 5)
            try file.synchronize()
            #expect(try file.size() == 8)
            #expect(try file.read(count: 8, at: 0) == [0, 0, 0, 0, 0, 1, 2, 3])
            try file.resize(to: 6)
            #expect(try file.size() == 6)
            #expect(throws: FileError.self) { try file.read(count: 7, at: 0) }
            #expect(throws: FileError.alreadyExists(path: root + "/a/b/one")) {
                try files.open(root + "/a/b/one", .createNew)
            }
        }
    }

    @Test func aMappingShowsItsPartsAsLongAsItLives() throws {
        try onBoth { files, root in
            try files.createDirectory(root)
            var bytes = (0..<4 * FileMapping.alignment).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) }
            let file = try files.open(root + "/one", .createNew)
            try file.write(all: bytes, at: 0)
            file.close()
            let page = FileMapping.alignment
            let parts = [
                MappedPart(offset: 2 * page, count: 100, place: 0),
                MappedPart(offset: page, count: page, place: 2 * page),
            ]
            let mapped = try files.open(root + "/one", .read)
            // A machine with larger pages cannot.
            guard let mapping = try mapped.map(parts, bytes: 3 * page + 64) else { return }
            mapped.close()
            try files.remove(root + "/one")
            let shown = UnsafeRawBufferPointer(start: mapping.base, count: mapping.bytes)
            #expect(Array(shown[..<100]) == Array(bytes[2 * page..<2 * page + 100]))
            #expect(shown[page..<2 * page].allSatisfy { $0 == 0 })
            #expect(Array(shown[2 * page..<3 * page]) == Array(bytes[page..<2 * page]))
            #expect(shown[(3 * page)...].allSatisfy { $0 == 0 })

            bytes = [1, 2, 3]
            let short = try files.open(root + "/two", .createNew)
            try short.write(all: bytes, at: 0)
            #expect(throws: FileError.self) {
                try short.map([MappedPart(offset: 0, count: 4, place: 0)], bytes: page)
            }
        }
    }

    @Test func namesAreListedRenamedAndRemoved() throws {
        try onBoth { files, root in
            try files.createDirectory(root)
            for name in ["b", "a", "c"] { try files.open(root + "/" + name, .createNew).close() }
            try files.rename(root + "/c", to: root + "/d")
            #expect(try files.list(root) == ["a", "b", "d"])
            try files.remove(root + "/a")
            #expect(try !files.exists(root + "/a"))
            #expect(throws: FileError.notFound(path: root + "/a")) { try files.open(root + "/a", .read) }
            try files.synchronizeDirectory(root)
            try files.removeDirectoryTree(root)
            #expect(try !files.exists(root))
        }
    }

    @Test func anAtomicFileIsOldOrNewAfterACrashAtAnyOperation() throws {
        for operation in 1...30 {
            let disk = SimulatedDisk()
            try disk.createDirectory("/d")
            try AtomicFile.write([1, 1, 1], to: "/d/f", on: disk)
            let before = disk.operations
            disk.crash(atOperation: before + operation)
            let written = (try? AtomicFile.write([2, 2, 2, 2], to: "/d/f", on: disk)) != nil
            disk.restart(seed: UInt64(operation))
            let found = try AtomicFile.read("/d/f", on: disk, limit: 100)
            #expect(found == [2, 2, 2, 2] || (!written && found == [1, 1, 1]))
        }
    }

    /// Blocks that the file system keeps back for root once counted as used: a disk a quarter full refused enrolments.
    @Test func theRealDiskTellsItsSpaceWithoutWhatRootKeepsBack() throws {
        let space = try POSIXFileSystem().space(at: NSTemporaryDirectory())
        var info = statvfs()
        try #require(statvfs(NSTemporaryDirectory(), &info) == 0)
        let keptBack = Int(info.f_bfree) - Int(info.f_bavail)
        #expect(space.total == (Int(info.f_blocks) - keptBack) * Int(info.f_frsize))
        #expect(space.free > 0 && space.free <= space.total)
    }

    @Test func aLockIsHeldOnce() throws {
        let path = NSTemporaryDirectory() + "facet-lock-\(ProcessInfo.processInfo.globallyUniqueString)"
        defer { _ = try? FileManager.default.removeItem(atPath: path) }
        let lock = try FileLock(path: path)
        #expect(throws: FileError.alreadyExists(path: path)) { try FileLock(path: path) }
        withExtendedLifetime(lock) {}
    }
}
