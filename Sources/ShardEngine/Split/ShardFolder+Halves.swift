import FaceModel
import StorageIO

/// The halves of a shard that is being split: inside its folder, so that they go with it, until they are shards.
extension ShardFolder {
    private static let halvesName = "halves"
    private static let makingSuffix = ".making"

    private var halves: String { path + "/" + Self.halvesName }
    private func half(_ shard: ShardID) -> ShardFolder { ShardFolder(of: shard, in: halves, on: files) }

    /// Where a half is put together; nothing in it counts.
    func halfInTheMaking(_ shard: ShardID) -> ShardFolder {
        ShardFolder(path: half(shard).path + Self.makingSuffix, like: half(shard))
    }

    /// Whether the half's files are whole, here or in their own place already.
    func hasHalf(_ shard: ShardID) throws(ReplicaError) -> Bool {
        do throws(FileError) {
            if try files.exists(half(shard).path) { return true }
            return try files.exists(ShardFolder(of: shard, in: parent, on: files).path)
        } catch {
            throw .file(error)
        }
    }

    /// An empty folder, whatever was left in it.
    func makeAnew() throws(ReplicaError) {
        do throws(FileError) {
            if try files.exists(path) { try files.removeDirectoryTree(path) }
            try files.createDirectory(parent)
            try files.createDirectory(path)
            try files.createDirectory(segments)
        } catch {
            throw .file(error)
        }
    }

    /// The half is whole and durable.
    func nameHalf(_ shard: ShardID) throws(ReplicaError) {
        let making = halfInTheMaking(shard)
        do throws(FileError) {
            for directory in [making.segments, making.path] { try files.synchronizeDirectory(directory) }
            try files.rename(making.path, to: half(shard).path)
            try files.synchronizeDirectory(halves)
            try files.synchronizeDirectory(path)
        } catch {
            throw .file(error)
        }
    }

    /// The halves become shards beside this one, durably; those that are not whole never do.
    func releaseHalves(_ shards: [ShardID]) throws(ReplicaError) {
        do throws(FileError) {
            for shard in shards where try files.exists(half(shard).path) {
                try move(half(shard).path, to: ShardFolder(of: shard, in: parent, on: files).path)
            }
        } catch {
            throw .file(error)
        }
        try removeHalves()
    }

    /// Takes the files of this shard, which is a half, from the folder of the shard that was split, where a copy of that
    /// has made them and did not hear before it stopped that it was released. Who opens a half by its register knows.
    func takeHalf() throws(ReplicaError) {
        do throws(FileError) {
            guard try files.exists(parent), try !files.exists(path) else { return }
            guard let name = path.split(separator: "/").last else { return }
            for other in try files.list(parent) {
                let half = "\(parent)/\(other)/\(Self.halvesName)/\(name)"
                if try files.exists(half) { return try move(half, to: path) }
            }
        } catch {
            throw .file(error)
        }
    }

    /// The shard that was split and who opens its half may both do so at once.
    private func move(_ half: String, to place: String) throws(FileError) {
        if try files.exists(place) { return }
        do throws(FileError) {
            try files.rename(half, to: place)
        } catch {
            guard try files.exists(place) else { throw error }
        }
        try files.synchronizeDirectory(parent)
    }

    func removeHalves() throws(ReplicaError) {
        do throws(FileError) {
            if try files.exists(halves) { try files.removeDirectoryTree(halves) }
        } catch {
            throw .file(error)
        }
    }
}
