import StorageIO

/// The folders beside a shard's: of a copy that is fetched for it, and of files that are lent to another.
///
/// A fetched copy takes the shard's place once `replica` stands in it, which is written last: then the shard's folder is
/// renamed, and the copy after it. Where a crash comes between the two the next start renames the copy.
extension ShardFolder {
    private static let fetchedSuffix = ".fetched"
    static let sourceSuffix = ".source"

    var fetched: ShardFolder { ShardFolder(path: path + Self.fetchedSuffix, like: self) }
    /// Where what is lent is put together; nothing in it outlives the process.
    var source: ShardFolder { ShardFolder(path: path + Self.sourceSuffix, like: self) }
    private var memory: String { path + "/" + ReplicaMemoryFile.name }

    /// Puts the fetched copy, whole but for `replica`, in this folder's place. What this replica has promised goes with
    /// it. Nothing else may use either meanwhile.
    func replaceWithFetched() throws(FileError) {
        let promised = try AtomicFile.read(memory, on: files, limit: ReplicaMemoryFile.bytesMax)
        try AtomicFile.write(promised, to: fetched.memory, on: files)
        let removed = path + Self.removedSuffix
        if try files.exists(removed) { try files.removeDirectoryTree(removed) }
        try files.rename(path, to: removed)
        // Durable before the next: both under one name, in either order, would be no shard at all.
        try files.synchronizeDirectory(parent)
        try files.rename(fetched.path, to: path)
        try files.synchronizeDirectory(parent)
        try files.removeDirectoryTree(removed)
    }

    /// Of a start, before any shard is opened.
    static func finishReplacements(in directory: String, on files: any FileSystem) throws(FileError) {
        for name in try files.list(directory) where name.hasSuffix(fetchedSuffix) {
            let fetched = "\(directory)/\(name)"
            let memory = fetched + "/" + ReplicaMemoryFile.name
            let path = String(fetched.dropLast(fetchedSuffix.count))
            let isReady = try files.exists(memory)
            if try files.exists(path) {
                // The shard goes on, and may promise more than this says.
                if isReady { try files.remove(memory) }
            } else if isReady {
                try files.rename(fetched, to: path)
                try files.synchronizeDirectory(directory)
            } else {
                try files.removeDirectoryTree(fetched)
            }
        }
    }
}
