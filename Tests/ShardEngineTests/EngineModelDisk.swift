import StorageIO
import Synchronization

/// A disk as one life of a process sees it: after the end, whatever that process still runs touches nothing.
///
/// In one test process a merge may outlive the node that began it, as it never outlives a process.
final class EngineModelDisk: FileSystem {
    private let disk: any FileSystem
    /// SQLite's files are elsewhere; told when the shard wants them durable.
    private let state: StateImage
    private let alive = Mutex(true)

    init(_ disk: any FileSystem, state: StateImage) { (self.disk, self.state) = (disk, state) }

    func end() { alive.withLock { $0 = false } }

    fileprivate func living<Value>(
        _ path: String, _ body: () throws(FileError) -> sending Value
    ) throws(FileError) -> sending Value {
        try alive.withLock { (alive) throws(FileError) -> sending Value in
            guard alive else { throw .failed(path: path, operation: "life", code: 5) }
            return try body()
        }
    }

    func open(_ path: String, _ mode: FileOpenMode) throws(FileError) -> any FileHandle {
        let file = try living(path) { () throws(FileError) in try disk.open(path, mode) }
        return EngineModelFile(file, of: self)
    }

    func exists(_ path: String) throws(FileError) -> Bool {
        try living(path) { () throws(FileError) in
            // What `ShardState.synchronize` asks first, and only it.
            if path.hasSuffix("state.sqlite-wal") { state.take() }
            return try disk.exists(path)
        }
    }

    func list(_ directory: String) throws(FileError) -> [String] {
        try living(directory) { () throws(FileError) in try disk.list(directory) }
    }

    func createDirectory(_ path: String) throws(FileError) {
        try living(path) { () throws(FileError) in try disk.createDirectory(path) }
    }

    func rename(_ from: String, to: String) throws(FileError) {
        try living(from) { () throws(FileError) in try disk.rename(from, to: to) }
    }

    func remove(_ path: String) throws(FileError) {
        try living(path) { () throws(FileError) in try disk.remove(path) }
    }

    func removeDirectoryTree(_ path: String) throws(FileError) {
        try living(path) { () throws(FileError) in try disk.removeDirectoryTree(path) }
    }

    func synchronizeDirectory(_ path: String) throws(FileError) {
        try living(path) { () throws(FileError) in try disk.synchronizeDirectory(path) }
    }

    func space(at path: String) throws(FileError) -> DiskCapacity {
        try living(path) { () throws(FileError) in try disk.space(at: path) }
    }
}

private final class EngineModelFile: FileHandle {
    private let file: any FileHandle
    private let life: EngineModelDisk

    init(_ file: any FileHandle, of life: EngineModelDisk) { (self.file, self.life) = (file, life) }

    var path: String { file.path }

    func size() throws(FileError) -> Int {
        try life.living(path) { () throws(FileError) in try file.size() }
    }

    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws(FileError) {
        try life.living(path) { () throws(FileError) in try file.read(into: buffer, at: offset) }
    }

    func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(FileError) {
        try life.living(path) { () throws(FileError) in try file.write(bytes, at: offset) }
    }

    func synchronize() throws(FileError) {
        try life.living(path) { () throws(FileError) in try file.synchronize() }
    }

    func resize(to size: Int) throws(FileError) {
        try life.living(path) { () throws(FileError) in try file.resize(to: size) }
    }

    func close() { file.close() }
}
