/// What a file operation could not do, and to which path.
package enum FileError: Error, Hashable, Sendable {
    case notFound(path: String)
    case alreadyExists(path: String)
    /// The disk, a quota or a size limit is full; the caller may retry when there is space.
    case noSpace(path: String, operation: String)
    /// `code` is the errno.
    case failed(path: String, operation: String, code: Int32)
    /// A read reached past the end of the file.
    case truncated(path: String, offset: Int, wanted: Int)
}

/// An open file. Positions are explicit; a handle is used by one thread at a time unless it is only read.
package protocol FileHandle: AnyObject, Sendable {
    var path: String { get }
    func size() throws(FileError) -> Int
    /// Fills `buffer` from `offset`, or throws `truncated`.
    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws(FileError)
    /// Fills `buffer` from `offset` unless that would wait for a disk, or fails: false then, and a plain read says why.
    func readCached(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) -> Bool
    /// Says that these bytes will be read soon, so that a disk can begin: advice, which may be ignored.
    func willRead(_ count: Int, at offset: Int)
    /// From here on reads are of small pieces here and there, and what lies around them is not worth reading: advice too.
    func willReadAtRandom()
    /// Has the system let go of what it holds of these bytes, so that the next read asks the disk: advice too.
    func forget(_ count: Int, at offset: Int)
    /// `bytes` of memory that show `parts` of a file which never changes; nil where the machine cannot. A part beyond the
    /// file's end throws `truncated`.
    func map(_ parts: [MappedPart], bytes: Int) throws(FileError) -> FileMapping?
    func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(FileError)
    /// `fdatasync`: contents and size are durable when it returns. After a failure the file must not be trusted.
    func synchronize() throws(FileError)
    /// Makes the file `size` bytes long; new bytes read as zero.
    func resize(to size: Int) throws(FileError)
    func close()
}

/// For files that are in memory.
extension FileHandle {
    package func readCached(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) -> Bool {
        do throws(FileError) { try read(into: buffer, at: offset) } catch { return false }
        return true
    }

    package func willRead(_ count: Int, at offset: Int) {}

    package func willReadAtRandom() {}

    package func forget(_ count: Int, at offset: Int) {}

    package func map(_ parts: [MappedPart], bytes: Int) throws(FileError) -> FileMapping? {
        try FileMapping(copying: parts, of: self, bytes: bytes)
    }
}

package enum FileOpenMode: Hashable, Sendable {
    case read
    case readWrite
    /// Fails with `alreadyExists` where there is one.
    case createNew
}

/// The disk as Facet sees it. The POSIX one is `POSIXFileSystem`; tests bring one that forgets what was not synced.
package protocol FileSystem: Sendable {
    func open(_ path: String, _ mode: FileOpenMode) throws(FileError) -> any FileHandle
    func exists(_ path: String) throws(FileError) -> Bool
    /// Names, sorted, without `.` and `..`.
    func list(_ directory: String) throws(FileError) -> [String]
    /// Creates missing parents too; an existing directory is no error. The parents are synced.
    func createDirectory(_ path: String) throws(FileError)
    func rename(_ from: String, to: String) throws(FileError)
    func remove(_ path: String) throws(FileError)
    func removeDirectoryTree(_ path: String) throws(FileError)
    /// `fsync` of the directory: its names are durable when it returns.
    func synchronizeDirectory(_ path: String) throws(FileError)
    func space(at path: String) throws(FileError) -> DiskCapacity
}

/// Bytes of the disk under a path that unprivileged processes use or may use.
package struct DiskCapacity: Hashable, Sendable {
    package var total: Int
    package var free: Int

    package init(total: Int, free: Int) {
        self.total = total
        self.free = free
    }
}

extension FileError {
    /// One sentence for an operator.
    package var sentence: String {
        switch self {
        case .notFound(let path): "\(path) is missing"
        case .alreadyExists(let path): "\(path) is there already"
        case .noSpace(let path, let operation): "no space left on the disk of \(path) (\(operation))"
        case .failed(let path, let operation, let code): "\(path): \(operation) failed with error \(code)"
        case .truncated(let path, let offset, let wanted): "\(path) ends at byte \(offset), \(wanted) were expected"
        }
    }
}
