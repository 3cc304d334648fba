import FaceModel
import StorageIO

/// The halves of a shard that is being split: inside its folder, so that they go with it, until they are shards. They stand
/// under the position of the record that began the split: the same plan may be given up and begun again, and what was
/// written in between is not in the files from before.
extension ShardFolder {
    private static let halvesName = "halves"
    private static let makingSuffix = ".making"
    private static let draftName = "draft"

    private var halves: String { path + "/" + Self.halvesName }
    private func halves(at end: LogIndex) -> String { halves + "/" + String(end.value) }
    private func half(_ shard: ShardID, at end: LogIndex) -> ShardFolder {
        ShardFolder(of: shard, in: halves(at: end), on: files)
    }

    /// Where a half is put together; nothing in it counts.
    func halfInTheMaking(_ shard: ShardID, at end: LogIndex) -> ShardFolder {
        let half = half(shard, at: end)
        return ShardFolder(path: half.path + Self.makingSuffix, like: half)
    }

    private var drafts: String { halves + "/" + Self.draftName }

    /// Files of a half that are made before the split begins; nothing in it counts.
    func draft(of shard: ShardID) -> ShardFolder { ShardFolder(of: shard, in: drafts, on: files) }

    /// The drafted files are those of a half in the making now.
    func takeDraft(of shard: ShardID, at end: LogIndex) throws(ReplicaError) {
        let making = halfInTheMaking(shard, at: end)
        do throws(FileError) {
            try files.createDirectory(halves(at: end))
            try files.rename(draft(of: shard).path, to: making.path)
        } catch {
            throw .file(error)
        }
    }

    func removeDraft() throws(ReplicaError) {
        do throws(FileError) {
            if try files.exists(drafts) { try files.removeDirectoryTree(drafts) }
        } catch {
            throw .file(error)
        }
    }

    /// Whether the half's files are whole, here or in their own place already.
    func hasHalf(_ shard: ShardID, at end: LogIndex) throws(ReplicaError) -> Bool {
        do throws(FileError) {
            if try files.exists(half(shard, at: end).path) { return true }
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
    func nameHalf(_ shard: ShardID, at end: LogIndex) throws(ReplicaError) {
        let making = halfInTheMaking(shard, at: end)
        do throws(FileError) {
            for directory in [making.segments, making.path] { try files.synchronizeDirectory(directory) }
            try files.rename(making.path, to: half(shard, at: end).path)
            for directory in [halves(at: end), halves, path] { try files.synchronizeDirectory(directory) }
        } catch {
            throw .file(error)
        }
    }

    /// The halves become shards beside this one, durably; those that are not whole never do.
    func releaseHalves(_ shards: [ShardID], at end: LogIndex) throws(ReplicaError) {
        do throws(FileError) {
            for shard in shards where try files.exists(half(shard, at: end).path) {
                try move(half(shard, at: end).path, to: ShardFolder(of: shard, in: parent, on: files).path)
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
                let halves = "\(parent)/\(other)/\(Self.halvesName)"
                guard try files.exists(halves) else { continue }
                // Where there are any of an earlier split, what released it was one of the latest.
                for end in try files.list(halves).compactMap({ UInt64($0) }).sorted(by: >) {
                    let half = "\(halves)/\(end)/\(name)"
                    if try files.exists(half) { return try move(half, to: path) }
                }
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

    /// Removes what was made for a split that was given up.
    func keepHalves(at end: LogIndex) throws(ReplicaError) {
        do throws(FileError) {
            guard try files.exists(halves) else { return }
            for name in try files.list(halves) where name != String(end.value) && name != Self.draftName {
                try files.removeDirectoryTree(halves + "/" + name)
            }
        } catch {
            throw .file(error)
        }
    }

    func removeHalves() throws(ReplicaError) {
        do throws(FileError) {
            if try files.exists(halves) { try files.removeDirectoryTree(halves) }
        } catch {
            throw .file(error)
        }
    }
}
