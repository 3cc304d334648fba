import StorageIO
import Synchronization

/// A disk in memory that keeps only what was synced: contents by a file's `synchronize`, names by the directory's.
/// It stops at an operation of choice: that one and all later ones fail and change nothing.
final class ForgetfulDisk: FileSystem {
    fileprivate final class Inode: Sendable {
        let state = Mutex(Contents())
        struct Contents {
            var now: [UInt8] = []
            var durable: [UInt8] = []
        }
    }

    private struct State {
        var names: [String: Inode] = [:]
        var durableNames: [String: Inode] = [:]
        var operations = 0
        var stopAt = Int.max
        var noSpaceAt = Int.max
    }

    private let state = Mutex(State())

    /// Changing operations so far.
    var operations: Int { state.withLock { $0.operations } }

    /// Operation `number`, counted from now on and from 0, is the first that fails.
    func stop(at number: Int) {
        state.withLock {
            $0.operations = 0
            $0.stopAt = number
        }
    }

    /// Operation `number` alone fails, with a full disk.
    func fill(at number: Int) {
        state.withLock {
            $0.operations = 0
            $0.noSpaceAt = number
        }
    }

    /// The power goes: what was not synced is lost; with `keepingNames` the names are all there, their bytes not.
    func crash(keepingNames: Bool = false) {
        state.withLock {
            if !keepingNames { $0.names = $0.durableNames }
            $0.durableNames = $0.names
            $0.stopAt = .max
            $0.noSpaceAt = .max
            for inode in $0.names.values { inode.state.withLock { $0.now = $0.durable } }
        }
    }

    func contents(_ path: String) -> [UInt8]? {
        state.withLock { $0.names[path] }?.state.withLock { $0.now }
    }

    /// As if it had stood there since long.
    func place(_ bytes: [UInt8], at path: String) {
        let inode = Inode()
        inode.state.withLock { $0 = Inode.Contents(now: bytes, durable: bytes) }
        state.withLock {
            $0.names[path] = inode
            $0.durableNames[path] = inode
        }
    }

    /// Changes a byte where it stands, also for those who have the file open.
    func flip(_ path: String, at offset: Int, mask: UInt8) {
        state.withLock { $0.names[path] }?.state.withLock {
            $0.now[offset] ^= mask
            $0.durable[offset] ^= mask
        }
    }

    func remove(quietly path: String) {
        state.withLock {
            $0.names[path] = nil
            $0.durableNames[path] = nil
        }
    }

    fileprivate func change(_ path: String, _ operation: String) throws(FileError) {
        let error: FileError? = state.withLock {
            let number = $0.operations
            $0.operations += 1
            if number >= $0.stopAt { return .failed(path: path, operation: operation, code: 5) }
            return number == $0.noSpaceAt ? .noSpace(path: path, operation: operation) : nil
        }
        if let error { throw error }
    }

    func open(_ path: String, _ mode: FileOpenMode) throws(FileError) -> any FileHandle {
        let existing = state.withLock { $0.names[path] }
        if mode != .createNew {
            guard let existing else { throw .notFound(path: path) }
            return ForgetfulFile(path: path, inode: existing, disk: self)
        }
        guard existing == nil else { throw .alreadyExists(path: path) }
        try change(path, "open")
        let inode = Inode()
        state.withLock { $0.names[path] = inode }
        return ForgetfulFile(path: path, inode: inode, disk: self)
    }

    func exists(_ path: String) throws(FileError) -> Bool { state.withLock { $0.names[path] != nil } }

    func list(_ directory: String) throws(FileError) -> [String] {
        state.withLock {
            $0.names.keys.filter { $0.hasPrefix(directory + "/") }.map { String($0.dropFirst(directory.count + 1)) }
                .sorted()
        }
    }

    func createDirectory(_ path: String) throws(FileError) {}

    func rename(_ from: String, to: String) throws(FileError) {
        try change(from, "rename")
        let found = state.withLock { state in
            guard let inode = state.names.removeValue(forKey: from) else { return false }
            state.names[to] = inode
            return true
        }
        if !found { throw .notFound(path: from) }
    }

    func remove(_ path: String) throws(FileError) {
        try change(path, "remove")
        let found = state.withLock { $0.names.removeValue(forKey: path) != nil }
        if !found { throw .notFound(path: path) }
    }

    func removeDirectoryTree(_ path: String) throws(FileError) {
        state.withLock { $0.names = $0.names.filter { !$0.key.hasPrefix(path + "/") } }
    }

    func synchronizeDirectory(_ path: String) throws(FileError) {
        try change(path, "synchronizeDirectory")
        state.withLock { $0.durableNames = $0.names }
    }

    func space(at path: String) throws(FileError) -> DiskCapacity { DiskCapacity(total: 1 << 40, free: 1 << 39) }
}

private final class ForgetfulFile: FileHandle {
    let path: String
    private let inode: ForgetfulDisk.Inode
    private let disk: ForgetfulDisk

    init(path: String, inode: ForgetfulDisk.Inode, disk: ForgetfulDisk) {
        self.path = path
        self.inode = inode
        self.disk = disk
    }

    func size() throws(FileError) -> Int { inode.state.withLock { $0.now.count } }

    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws(FileError) {
        let end = offset + buffer.count
        let wanted = inode.state.withLock { state -> [UInt8]? in
            offset >= 0 && end <= state.now.count ? Array(state.now[offset..<end]) : nil
        }
        guard let wanted else { throw .truncated(path: path, offset: offset, wanted: buffer.count) }
        buffer.copyBytes(from: wanted)
    }

    func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(FileError) {
        try disk.change(path, "write")
        let more = Array(bytes)
        inode.state.withLock {
            if $0.now.count < offset + more.count {
                $0.now += [UInt8](repeating: 0, count: offset + more.count - $0.now.count)
            }
            $0.now.replaceSubrange(offset..<offset + more.count, with: more)
        }
    }

    func synchronize() throws(FileError) {
        try disk.change(path, "synchronize")
        inode.state.withLock { $0.durable = $0.now }
    }

    func resize(to size: Int) throws(FileError) {
        try disk.change(path, "resize")
        inode.state.withLock {
            let missing = max(0, size - $0.now.count)
            $0.now = Array($0.now.prefix(size)) + [UInt8](repeating: 0, count: missing)
        }
    }

    func close() {}
}
