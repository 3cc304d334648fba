package import StorageIO
import Synchronization

/// A disk in memory that keeps only what was synced.
///
/// Writes, sizes and names that were not synced are lost or kept in part when `crash` is called: every 512-byte sector
/// of an unsynced write for itself, every unsynced name for itself, as the seed decides. A crash can be ordered at the
/// n-th operation; from then on everything throws until `restart`.
package final class SimulatedDisk: FileSystem {
    private let state: Mutex<DiskState>

    package init(capacity: Int = .max) {
        state = Mutex(DiskState(capacity: capacity))
    }

    /// Operations that change something (write, resize, sync, create, rename, remove), since the disk was made.
    package var operations: Int { state.withLock { $0.operations } }
    package var bytesInUse: Int { state.withLock { $0.bytesInUse } }

    /// The n-th changing operation from the beginning and all after it fail; a write among them may be torn.
    package func crash(atOperation number: Int) { state.withLock { $0.crashAt = number } }

    /// The next sync fails, once.
    package func failNextSync() { failSync(number: 1) }

    /// The n-th sync from now, of a file or of a directory, fails, once.
    package func failSync(number: Int) { state.withLock { $0.failSync = number } }

    package func setCapacity(_ bytes: Int) { state.withLock { $0.capacity = bytes } }

    /// Power is lost and comes back: what was not synced is gone or torn.
    package func restart(seed: UInt64) { state.withLock { $0.restart(seed: seed) } }

    /// Changes one byte behind everybody's back.
    package func flip(_ path: String, at offset: Int, mask: UInt8 = 0xFF) {
        state.withLock { state in
            guard let file = state.names[path] else { preconditionFailure("no file \(path)") }
            file.current[offset] ^= mask
            file.durable[offset] ^= mask
        }
    }

    package func contents(_ path: String) -> [UInt8]? { state.withLock { $0.names[path]?.current } }

    /// Puts a file there, durable at once.
    package func install(_ path: String, _ bytes: [UInt8]) {
        state.withLock { state in
            let file = DiskFile()
            (file.current, file.durable) = (bytes, bytes)
            state.names[path] = file
            state.durableNames[path] = file
        }
    }

    /// All files, by path.
    package var paths: [String] { state.withLock { $0.names.keys.sorted() } }

    // MARK: FileSystem

    package func open(_ path: String, _ mode: FileOpenMode) throws(FileError) -> any FileHandle {
        try change { state throws(FileError) in
            if mode == .createNew {
                guard state.names[path] == nil else { throw .alreadyExists(path: path) }
                try state.count(path, "open")
                state.names[path] = DiskFile()
            }
            guard let file = state.names[path] else { throw .notFound(path: path) }
            return SimulatedFile(path: path, file: file, disk: self)
        }
    }

    package func exists(_ path: String) throws(FileError) -> Bool {
        try change { state throws(FileError) in
            try state.requirePower(path)
            return state.names[path] != nil || state.directories.contains(path)
        }
    }

    package func list(_ directory: String) throws(FileError) -> [String] {
        try change { state throws(FileError) in
            try state.requirePower(directory)
            guard state.directories.contains(directory) else { throw .notFound(path: directory) }
            let prefix = directory + "/"
            let children = (Array(state.names.keys) + Array(state.directories)).filter { $0.hasPrefix(prefix) }
            return Set(children.map { String($0.dropFirst(prefix.count).prefix { $0 != "/" }) }).sorted()
        }
    }

    package func createDirectory(_ path: String) throws(FileError) {
        try change { state throws(FileError) in
            try state.requirePower(path)
            var partial = ""
            for part in path.split(separator: "/") {
                partial += (partial.isEmpty && !path.hasPrefix("/") ? "" : "/") + part
                state.directories.insert(partial)
            }
        }
    }

    package func rename(_ from: String, to: String) throws(FileError) {
        try change { state throws(FileError) in
            try state.count(from, "rename")
            if state.moveDirectory(from, to: to) { return }
            guard let file = state.names.removeValue(forKey: from) else { throw .notFound(path: from) }
            state.names[to] = file
        }
    }

    package func remove(_ path: String) throws(FileError) {
        try change { state throws(FileError) in
            try state.count(path, "remove")
            guard state.names.removeValue(forKey: path) != nil else { throw .notFound(path: path) }
        }
    }

    package func removeDirectoryTree(_ path: String) throws(FileError) {
        try change { state throws(FileError) in
            try state.count(path, "remove directory")
            let inside = { (name: String) in name == path || name.hasPrefix(path + "/") }
            state.names = state.names.filter { !inside($0.key) }
            state.durableNames = state.durableNames.filter { !inside($0.key) }
            state.directories = state.directories.filter { !inside($0) }
        }
    }

    package func synchronizeDirectory(_ path: String) throws(FileError) {
        try change { state throws(FileError) in
            try state.sync(path)
            state.makeMovesDurable(in: path)
            let inside = { (name: String) in
                name.hasPrefix(path + "/") && !name.dropFirst(path.count + 1).contains("/")
            }
            state.durableNames = state.durableNames.filter { !inside($0.key) }
            for (name, file) in state.names where inside(name) { state.durableNames[name] = file }
        }
    }

    package func space(at path: String) throws(FileError) -> DiskCapacity {
        state.withLock { state in
            let total = min(state.capacity, 1 << 40)
            return DiskCapacity(total: total, free: max(0, total - state.bytesInUse))
        }
    }

    fileprivate func change<Value>(
        _ body: (inout sending DiskState) throws(FileError) -> sending Value
    ) throws(FileError) -> sending Value {
        try state.withLock(body)
    }
}

/// A file's bytes as programs see them and as a power loss would leave them. Touched only under the disk's lock.
// Safe because every access happens inside `SimulatedDisk.change`, under its mutex.
final class DiskFile: @unchecked Sendable {
    var current: [UInt8] = []
    var durable: [UInt8] = []
    /// A sync failed: as on Linux, the next one succeeds without having written what the failed one should have.
    var isForgotten = false
}

struct DiskState {
    static let sector = 512

    var names: [String: DiskFile] = [:]
    var durableNames: [String: DiskFile] = [:]
    var directories: Set<String> = []
    /// Of directories, by rename, that no sync has made durable.
    var moves: [(from: String, to: String)] = []
    var capacity: Int
    var operations = 0
    var crashAt: Int?
    /// Syncs until the one that fails; 0 means none does.
    var failSync = 0
    var dead = false

    init(capacity: Int) { self.capacity = capacity }

    var bytesInUse: Int { names.values.reduce(0) { $0 + $1.current.count } }

    func requirePower(_ path: String) throws(FileError) {
        if dead { throw .failed(path: path, operation: "power", code: 5) }
    }

    mutating func count(_ path: String, _ operation: String) throws(FileError) {
        try requirePower(path)
        operations += 1
        if operations == crashAt {
            dead = true
            throw .failed(path: path, operation: operation, code: 5)
        }
    }

    mutating func sync(_ path: String) throws(FileError) {
        try count(path, "sync")
        guard failSync > 0 else { return }
        failSync -= 1
        if failSync == 0 {
            throw .failed(path: path, operation: "sync", code: 5)
        }
    }

    mutating func write(
        _ bytes: UnsafeRawBufferPointer, to file: DiskFile, path: String, at offset: Int
    ) throws(FileError) {
        try requirePower(path)
        let missing = bytesInUse + max(0, offset + bytes.count - file.current.count) - capacity
        guard missing <= 0 else {
            // As a real disk does, it takes what still fits.
            let fitting = UnsafeRawBufferPointer(rebasing: bytes[..<max(0, bytes.count - missing)])
            if !fitting.isEmpty { put(fitting, into: file, at: offset) }
            try count(path, "write")
            throw .noSpace(path: path, operation: "write")
        }
        // A write that the crash interrupts has reached the cache: the restart decides which sectors reached the disk.
        put(bytes, into: file, at: offset)
        try count(path, "write")
    }

    private func put(_ bytes: UnsafeRawBufferPointer, into file: DiskFile, at offset: Int) {
        if file.current.count < offset + bytes.count {
            file.current += [UInt8](repeating: 0, count: offset + bytes.count - file.current.count)
        }
        file.current.replaceSubrange(offset..<offset + bytes.count, with: bytes)
    }

    mutating func restart(seed: UInt64) {
        var random = SplitMix(state: seed)
        if !moves.isEmpty { settleMoves(Int(random.next() % UInt64(moves.count + 1))) }
        for name in Set(names.keys).union(durableNames.keys).sorted() where names[name] !== durableNames[name] {
            if random.next() & 1 == 0 { durableNames[name] = names[name] }
        }
        names = durableNames
        for name in names.keys.sorted() {
            guard let file = names[name] else { continue }
            tear(file, &random)
        }
        (dead, crashAt, failSync) = (false, nil, 0)
    }

    private func tear(_ file: DiskFile, _ random: inout SplitMix) {
        guard file.current != file.durable else { return }
        var kept = random.next() & 1 == 0 ? file.current.count : file.durable.count
        kept = max(kept, min(file.durable.count, file.current.count))
        var torn = [UInt8](repeating: 0, count: kept)
        for start in stride(from: 0, to: kept, by: Self.sector) {
            let source = random.next() & 1 == 0 ? file.current : file.durable
            let end = min(start + Self.sector, kept, source.count)
            if start < end { torn.replaceSubrange(start..<end, with: source[start..<end]) }
        }
        (file.current, file.durable, file.isForgotten) = (torn, torn, false)
    }
}

/// Steele, Lea and Flood's SplitMix64: enough randomness for a test, the same everywhere.
package struct SplitMix: RandomNumberGenerator {
    package var state: UInt64
    package init(state: UInt64) { self.state = state }

    package mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
        return z ^ z >> 31
    }
}

private final class SimulatedFile: FileHandle {
    let path: String
    private let file: DiskFile
    private let disk: SimulatedDisk

    init(path: String, file: DiskFile, disk: SimulatedDisk) {
        self.path = path
        self.file = file
        self.disk = disk
    }

    func size() throws(FileError) -> Int {
        let file = file
        return try disk.change { _ in file.current.count }
    }

    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws(FileError) {
        let (file, path) = (file, path)
        let bytes = try disk.change { state throws(FileError) -> [UInt8] in
            try state.requirePower(path)
            guard offset + buffer.count <= file.current.count else {
                throw .truncated(path: path, offset: file.current.count, wanted: offset + buffer.count)
            }
            return Array(file.current[offset..<offset + buffer.count])
        }
        buffer.copyBytes(from: bytes)
    }

    func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(FileError) {
        let (file, path) = (file, path)
        try disk.change { state throws(FileError) in
            try state.write(bytes, to: file, path: path, at: offset)
        }
    }

    func synchronize() throws(FileError) {
        let (file, path) = (file, path)
        try disk.change { state throws(FileError) in
            do throws(FileError) {
                try state.sync(path)
            } catch {
                file.isForgotten = true
                throw error
            }
            if !file.isForgotten { file.durable = file.current }
        }
    }

    func resize(to size: Int) throws(FileError) {
        let (file, path) = (file, path)
        try disk.change { state throws(FileError) in
            try state.count(path, "resize")
            let grown = max(0, size - file.current.count)
            file.current = Array(file.current.prefix(size)) + [UInt8](repeating: 0, count: grown)
        }
    }

    func close() {}
}
