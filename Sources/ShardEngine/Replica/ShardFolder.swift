import ClusterModel
import FaceModel
import SegmentStore
import StorageIO
import WriteAheadLog

/// The folder of one shard, and how it comes and goes as a whole.
///
/// A folder with a shard's name is whole: it is made under another name and renamed when everything in it is durable,
/// and it is renamed before anything in it is removed. What a crash leaves under the other names is no shard.
struct ShardFolder {
    private static let makingSuffix = ".making"
    static let removedSuffix = ".removed"

    let files: any FileSystem
    /// Where the folders of all shards are.
    let parent: String
    let path: String

    init(of shard: ShardID, in parent: String, on files: any FileSystem) {
        (self.files, self.parent, path) = (files, parent, "\(parent)/\(shard)")
    }

    init(path: String, like other: ShardFolder) {
        (files, parent, self.path) = (other.files, other.parent, path)
    }

    var state: String { path + "/state.sqlite" }
    var log: String { path + "/wal" }
    var segments: String { path + "/segments" }
    /// When the copy was last read whole and found sound.
    var scrubbed: String { path + "/scrubbed" }

    /// Makes the files of an empty shard where there are none; a making that was cut short begins anew.
    func make(_ descriptor: ShardDescriptor) throws(ReplicaError) {
        guard descriptor.roots.count == 1 else {
            throw .contradiction(
                reason: "it is to own \(descriptor.roots.count) subtree roots; this version serves shards of one")
        }
        try make { (making) throws(ReplicaError) in try making.fill(descriptor) }
    }

    /// Makes the files of a copy that holds nothing, of a shard that has others, where there are none.
    func makeEmpty(_ descriptor: ShardDescriptor) throws(ReplicaError) {
        try make { (making) throws(ReplicaError) in
            _ = try ReplicaStore(descriptor, directory: making.segments, on: files)
            do throws(FileError) { try files.createDirectory(making.log) } catch { throw .file(error) }
            try ShardState(path: making.state).close()
        }
    }

    private func make(_ fill: (ShardFolder) throws(ReplicaError) -> Void) throws(ReplicaError) {
        guard try isAbsent() else { return }
        let making = ShardFolder(path: path + Self.makingSuffix, like: self)
        try file { () throws(FileError) in
            if try files.exists(path) { try files.removeDirectoryTree(path) }
            if try files.exists(making.path) { try files.removeDirectoryTree(making.path) }
            try files.createDirectory(making.path)
        }
        try fill(making)
        try file { () throws(FileError) in
            try files.synchronizeDirectory(making.path)
            try files.rename(making.path, to: path)
            try files.synchronizeDirectory(parent)
        }
    }

    /// Refuses a folder that lacks what a shard that was made has: a disk that is not mounted, or lost.
    func requireFiles() throws(ReplicaError) {
        do throws(FileError) {
            for name in [log, segments] where try !files.exists(name) { throw .notFound(path: name) }
            // The state can be derived from the log, unless that is empty: then nothing shows that a shard was here.
            if try !files.exists(state), try files.list(log).isEmpty { throw .notFound(path: state) }
        } catch {
            if case .notFound(let missing) = error { throw .missing(directory: path, missing: missing) }
            throw .file(error)
        }
    }

    /// Removes every file of the shard, whole or not; nothing that a crash leaves is taken for a shard.
    func remove() throws(FileError) {
        let removed = path + Self.removedSuffix
        if try files.exists(fetched.path) {
            // First, and durably: without its shard it could be taken for one that was about to take its place.
            try files.removeDirectoryTree(fetched.path)
            try files.synchronizeDirectory(parent)
        }
        for leftover in [removed, path + Self.makingSuffix] where try files.exists(leftover) {
            try files.removeDirectoryTree(leftover)
        }
        guard try files.exists(path) else { return }
        try files.rename(path, to: removed)
        try files.synchronizeDirectory(parent)
        try files.removeDirectoryTree(removed)
    }

    /// Removes what makings and removals left that a crash cut short; once, before any shard is opened.
    static func sweep(_ directory: String, on files: any FileSystem) throws(FileError) {
        guard try files.exists(directory) else { return }
        try finishReplacements(in: directory, on: files)
        let suffixes = [removedSuffix, makingSuffix, sourceSuffix]
        for name in try files.list(directory) where suffixes.contains(where: name.hasSuffix) {
            try files.removeDirectoryTree("\(directory)/\(name)")
        }
    }

    /// True where there is no folder, or an empty one: the place where a disk could be mounted.
    private func isAbsent() throws(ReplicaError) -> Bool {
        do throws(FileError) {
            guard try files.exists(path) else { return true }
            return try files.list(path).isEmpty
        } catch {
            throw .file(error)
        }
    }

    /// The log's first record says what the shard owns; state and manifest stand beside it from the beginning, so that
    /// the loss of one of them shows.
    private func fill(_ descriptor: ShardDescriptor) throws(ReplicaError) {
        _ = try ReplicaStore(descriptor, directory: segments, on: files)
        let config = ConfigRecord(roots: descriptor.roots.sorted())
        let index: LogIndex
        do throws(LogError) {
            let (log, _) = try Log.open(directory: log, identity: LogIdentity(descriptor), on: files)
            index = try log.append([LogEntry(type: .config, token: .none, payload: config.payload)], epoch: log.epoch)
            try log.synchronize()
        } catch {
            throw .log(error)
        }
        let state = try ShardState(path: state)
        try state.apply([.config(config)], through: index)
        // Closing writes everything into the database's own file and syncs it.
        try state.close()
    }

    private func file(_ body: () throws(FileError) -> Void) throws(ReplicaError) {
        do throws(FileError) { try body() } catch { throw .file(error) }
    }
}

extension LogIdentity {
    init(_ descriptor: ShardDescriptor) {
        self.init(
            tenant: descriptor.tenant, collection: descriptor.collection, shard: descriptor.shard,
            replica: descriptor.replica, generation: Generation(0))
    }
}
