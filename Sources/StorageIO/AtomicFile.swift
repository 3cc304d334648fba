/// Small files that are replaced as a whole: after a crash there is the old one or the new one.
package enum AtomicFile {
    /// Suffix of a file being written; whoever owns the directory removes leftovers at its next open.
    package static let temporarySuffix = ".tmp"

    /// Durable when it returns.
    package static func write(_ bytes: [UInt8], to path: String, on files: some FileSystem) throws(FileError) {
        let temporary = path + temporarySuffix
        if try files.exists(temporary) { try files.remove(temporary) }
        let handle = try files.open(temporary, .createNew)
        defer { handle.close() }
        try handle.write(all: bytes, at: 0)
        try handle.synchronize()
        try files.rename(temporary, to: path)
        try files.synchronizeDirectory(directory(of: path))
    }

    /// The whole file; one over `limit` bytes is refused with EFBIG's number.
    package static func read(_ path: String, on files: some FileSystem, limit: Int) throws(FileError) -> [UInt8] {
        let handle = try files.open(path, .read)
        defer { handle.close() }
        let size = try handle.size()
        guard size <= limit else { throw .failed(path: path, operation: "read (larger than \(limit) bytes)", code: 27) }
        return try handle.read(count: size, at: 0)
    }

    private static func directory(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }
}

extension FileHandle {
    package func write(all bytes: [UInt8], at offset: Int) throws(FileError) {
        var failure: FileError?
        bytes.withUnsafeBytes { buffer in
            do throws(FileError) { try write(buffer, at: offset) } catch { failure = error }
        }
        if let failure { throw failure }
    }

    package func read(count: Int, at offset: Int) throws(FileError) -> [UInt8] {
        var failure: FileError?
        let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
            do throws(FileError) {
                let target = UnsafeMutableRawBufferPointer(buffer)
                try read(into: UnsafeMutableRawBufferPointer(rebasing: target[..<count]), at: offset)
                initialized = count
            } catch {
                failure = error
            }
        }
        if let failure { throw failure }
        return bytes
    }
}
