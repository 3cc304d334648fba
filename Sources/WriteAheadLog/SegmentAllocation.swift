import StorageIO

/// Makes a log segment's file, without its name: what can fail here changes nothing of the log.
enum SegmentAllocation {
    private static let zeroBytesMax = 1 << 20

    /// Writes `beginning` and zeros up to `size` under the temporary name of `path`, and syncs the file.
    static func make(
        _ beginning: [UInt8], for path: String, size: Int, on files: any FileSystem
    ) throws(LogError) -> any FileHandle {
        do throws(FileError) {
            return try allocate(beginning, at: path + AtomicFile.temporarySuffix, size: size, on: files)
        } catch {
            if case .noSpace = error { throw .noSpace(path: path) }
            throw .file(error)
        }
    }

    private static func allocate(
        _ beginning: [UInt8], at temporary: String, size: Int, on files: any FileSystem
    ) throws(FileError) -> any FileHandle {
        if try files.exists(temporary) { try files.remove(temporary) }
        let handle = try files.open(temporary, .createNew)
        do throws(FileError) {
            try handle.write(all: beginning, at: 0)
            let zeros = [UInt8](repeating: 0, count: min(size, zeroBytesMax))
            var written = beginning.count
            while written < size {
                let count = min(zeros.count, size - written)
                try handle.write(all: count == zeros.count ? zeros : Array(zeros[..<count]), at: written)
                written += count
            }
            try handle.synchronize()
            return handle
        } catch {
            handle.close()
            // Gives the space back at once; where that fails too, the next allocation or opening removes the file.
            _ = try? files.remove(temporary)
            throw error
        }
    }
}
