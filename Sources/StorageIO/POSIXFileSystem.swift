import CStorageKernels
import Glibc
import Synchronization

/// The machine's disk. Files are made 0600, directories 0700: what stands in them is about people.
package struct POSIXFileSystem: FileSystem {
    package init() {}

    package func open(_ path: String, _ mode: FileOpenMode) throws(FileError) -> any FileHandle {
        let flags =
            switch mode {
            case .read: O_RDONLY
            case .readWrite: O_RDWR
            case .createNew: O_RDWR | O_CREAT | O_EXCL
            }
        var descriptor = Glibc.open(path, flags | O_CLOEXEC, 0o600)
        while descriptor < 0, errno == EINTR { descriptor = Glibc.open(path, flags | O_CLOEXEC, 0o600) }
        guard descriptor >= 0 else { throw FileError(path: path, operation: "open", code: errno) }
        return POSIXFile(path: path, descriptor: descriptor)
    }

    package func exists(_ path: String) throws(FileError) -> Bool {
        var info = stat()
        guard stat(path, &info) != 0 else { return true }
        guard errno == ENOENT || errno == ENOTDIR else { throw FileError(path: path, operation: "stat", code: errno) }
        return false
    }

    package func list(_ directory: String) throws(FileError) -> [String] {
        guard let stream = opendir(directory) else { throw FileError(path: directory, operation: "list", code: errno) }
        defer { closedir(stream) }
        var names: [String] = []
        errno = 0
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != ".", name != ".." { names.append(name) }
            errno = 0
        }
        guard errno == 0 else { throw FileError(path: directory, operation: "list", code: errno) }
        return names.sorted()
    }

    package func createDirectory(_ path: String) throws(FileError) {
        guard try !exists(path) else { return }
        let parent = Self.parent(of: path)
        if parent != path { try createDirectory(parent) }
        guard mkdir(path, 0o700) == 0 || errno == EEXIST else {
            throw FileError(path: path, operation: "create directory", code: errno)
        }
        try synchronizeDirectory(parent)
    }

    package func rename(_ from: String, to: String) throws(FileError) {
        guard Glibc.rename(from, to) == 0 else { throw FileError(path: from, operation: "rename", code: errno) }
    }

    package func remove(_ path: String) throws(FileError) {
        guard unlink(path) == 0 else { throw FileError(path: path, operation: "remove", code: errno) }
    }

    package func removeDirectoryTree(_ path: String) throws(FileError) {
        for name in try list(path) {
            let child = path + "/" + name
            var info = stat()
            guard lstat(child, &info) == 0 else { throw FileError(path: child, operation: "stat", code: errno) }
            if info.st_mode & S_IFMT == S_IFDIR { try removeDirectoryTree(child) } else { try remove(child) }
        }
        guard rmdir(path) == 0 else { throw FileError(path: path, operation: "remove directory", code: errno) }
        try synchronizeDirectory(Self.parent(of: path))
    }

    package func synchronizeDirectory(_ path: String) throws(FileError) {
        let descriptor = Glibc.open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw FileError(path: path, operation: "open directory", code: errno) }
        defer { Glibc.close(descriptor) }
        guard fsync(descriptor) == 0 else { throw FileError(path: path, operation: "sync directory", code: errno) }
    }

    package func space(at path: String) throws(FileError) -> DiskCapacity {
        var info = statvfs()
        guard statvfs(path, &info) == 0 else { throw FileError(path: path, operation: "statvfs", code: errno) }
        let unit = Int(info.f_frsize)
        // Blocks kept back for root (free but not available) count neither as free nor as used, as in df.
        let (used, available) = (Int(info.f_blocks) - Int(info.f_bfree), Int(info.f_bavail))
        return DiskCapacity(total: (used + available) * unit, free: available * unit)
    }

    private static func parent(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }
}

extension FileError {
    /// The case that `errno` stands for.
    init(path: String, operation: String, code: Int32) {
        switch code {
        case ENOENT: self = .notFound(path: path)
        case EEXIST: self = .alreadyExists(path: path)
        case ENOSPC, EDQUOT, EFBIG: self = .noSpace(path: path, operation: operation)
        default: self = .failed(path: path, operation: operation, code: code)
        }
    }
}

/// One open descriptor; closed at the latest with its last reference.
final class POSIXFile: FileHandle {
    let path: String
    private let descriptor: Int32
    private let closed = OneShot()
    /// Whether kernel and file system tell what is in memory; believed until they deny it.
    private let tellsCached = Atomic(true)

    init(path: String, descriptor: Int32) {
        self.path = path
        self.descriptor = descriptor
    }

    deinit { close() }

    func size() throws(FileError) -> Int {
        var info = stat()
        guard fstat(descriptor, &info) == 0 else { throw FileError(path: path, operation: "stat", code: errno) }
        return Int(info.st_size)
    }

    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws(FileError) {
        var done = 0
        while done < buffer.count {
            let count = pread(
                descriptor, buffer.baseAddress.map { $0 + done }, buffer.count - done, off_t(offset + done))
            if count < 0 {
                if errno == EINTR { continue }
                throw FileError(path: path, operation: "read", code: errno)
            }
            guard count > 0 else { throw .truncated(path: path, offset: offset + done, wanted: buffer.count - done) }
            done += count
        }
    }

    func readCached(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) -> Bool {
        guard let base = buffer.baseAddress, tellsCached.load(ordering: .relaxed) else { return false }
        let found = facet_read_cached(descriptor, base, buffer.count, Int64(offset))
        if found == FACET_READ_UNKNOWN { tellsCached.store(false, ordering: .relaxed) }
        return found == FACET_READ_WHOLE
    }

    func willRead(_ count: Int, at offset: Int) {
        _ = posix_fadvise(descriptor, off_t(offset), off_t(count), POSIX_FADV_WILLNEED)
    }

    func willReadAtRandom() { _ = posix_fadvise(descriptor, 0, 0, POSIX_FADV_RANDOM) }

    func forget(_ count: Int, at offset: Int) {
        _ = posix_fadvise(descriptor, off_t(offset), off_t(count), POSIX_FADV_DONTNEED)
    }

    func map(_ parts: [MappedPart], bytes: Int) throws(FileError) -> FileMapping? {
        try FileMapping(mapping: parts, of: descriptor, fileBytes: try size(), bytes: bytes, path: path)
    }

    func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(FileError) {
        var done = 0
        while done < bytes.count {
            let count = pwrite(
                descriptor, bytes.baseAddress.map { $0 + done }, bytes.count - done, off_t(offset + done))
            if count < 0 {
                if errno == EINTR { continue }
                throw FileError(path: path, operation: "write", code: errno)
            }
            guard count > 0 else { throw .failed(path: path, operation: "write", code: EIO) }
            done += count
        }
    }

    func synchronize() throws(FileError) {
        guard fdatasync(descriptor) == 0 else { throw FileError(path: path, operation: "fdatasync", code: errno) }
    }

    func resize(to size: Int) throws(FileError) {
        guard ftruncate(descriptor, off_t(size)) == 0 else {
            throw FileError(path: path, operation: "resize", code: errno)
        }
    }

    func close() {
        if closed.fire() { Glibc.close(descriptor) }
    }
}
