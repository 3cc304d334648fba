import Glibc

/// Bytes of a file, and where they stand in a mapping.
package struct MappedPart: Hashable, Sendable {
    /// In the file; a multiple of `FileMapping.alignment`.
    package var offset: Int
    package var count: Int
    /// From the mapping's first byte; a multiple of `FileMapping.alignment`.
    package var place: Int

    package init(offset: Int, count: Int, place: Int) {
        self.offset = offset
        self.count = count
        self.place = place
    }
}

/// Parts of a file as memory that can only be read, let go with the last reference. What no part covers is zero, or
/// what stands behind a part in the file, up to the end of its page.
///
/// Only for files that nobody changes or shortens: the memory shows the file as it is whenever the system reads it, and
/// where there is no file any more, or its disk fails, the process gets SIGBUS. A file that was removed stays whole.
// Safe because only those who make it write to it, before it is handed on.
package final class FileMapping: @unchecked Sendable {
    /// What parts stand at in file and memory: the page of most machines.
    package static let alignment = 4_096

    package let base: UnsafeRawPointer
    package let bytes: Int
    private let start: UnsafeMutableRawPointer

    /// `bytes` zeros, more than none, which take no memory as long as nobody writes to them.
    private init(reserving bytes: Int, for path: String) throws(FileError) {
        precondition(bytes > 0, "a mapping has bytes")
        let flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE
        guard let start = mmap(nil, bytes, PROT_READ | PROT_WRITE, flags, -1, 0), start != MAP_FAILED else {
            throw FileError(path: path, operation: "map", code: errno)
        }
        self.start = start
        base = UnsafeRawPointer(start)
        self.bytes = bytes
    }

    deinit { munmap(start, bytes) }

    /// A copy of the parts.
    convenience init(copying parts: [MappedPart], of file: some FileHandle, bytes: Int) throws(FileError) {
        try self.init(reserving: bytes, for: file.path)
        for part in parts {
            requireRoom(part)
            try file.read(
                into: UnsafeMutableRawBufferPointer(start: start + part.place, count: part.count), at: part.offset)
        }
        try makeReadOnly(file.path)
    }

    /// Nil where the machine's pages are larger than what parts are aligned to.
    convenience init?(
        mapping parts: [MappedPart], of descriptor: Int32, fileBytes: Int, bytes: Int, path: String
    ) throws(FileError) {
        let page = sysconf(Int32(_SC_PAGESIZE))
        guard parts.allSatisfy({ $0.offset.isMultiple(of: page) && $0.place.isMultiple(of: page) }) else { return nil }
        try self.init(reserving: bytes, for: path)
        for part in parts where part.count > 0 {
            requireRoom(part)
            // A page behind the file's end could not be read.
            guard part.offset + part.count <= fileBytes else {
                throw .truncated(path: path, offset: part.offset, wanted: part.count)
            }
            let flags = MAP_SHARED | MAP_FIXED
            let mapped = mmap(start + part.place, part.count, PROT_READ, flags, descriptor, off_t(part.offset))
            guard mapped != MAP_FAILED else { throw FileError(path: path, operation: "map", code: errno) }
        }
        try makeReadOnly(path)
    }

    private func requireRoom(_ part: MappedPart) {
        precondition(
            part.offset >= 0 && part.count >= 0 && part.place >= 0 && part.place + part.count <= bytes
                && part.offset.isMultiple(of: Self.alignment) && part.place.isMultiple(of: Self.alignment),
            "a part stands on pages, within its mapping")
    }

    private func makeReadOnly(_ path: String) throws(FileError) {
        guard mprotect(start, bytes, PROT_READ) == 0 else {
            throw FileError(path: path, operation: "protect", code: errno)
        }
    }
}
