import ClusterModel
import FaceModel
import Foundation
import KeyHierarchy
import Logging
import Replication
import StorageIO
import WriteAheadLog

/// Fetches the files of another replica into the folder beside this one's, and begins a log behind them.
///
/// A file counts once all of it is there, synced and of the digest that the source said, and then has its name: what is
/// cut short goes on with the first file that is missing.
struct CopyFetch: Sendable {
    /// What a copy takes of the source's disk and of the network at most, so that searches and writes of the source keep
    /// the rest. `make loadtest-moves` shows what it reaches.
    private static let bytesPerSecond = 256 << 20
    private static let listingsMax = 300
    static let patience = Duration.seconds(10)

    let descriptor: ShardDescriptor
    let folder: ShardFolder
    let node: NodeID
    let source: any CopySource
    let logger: Logger
    /// Between two questions whether the files are ready, and after a failure.
    private let pause: Duration
    private let disk = DiskQueue(label: "facet-fetch")

    init(
        descriptor: ShardDescriptor, folder: ShardFolder, node: NodeID, source: any CopySource, logger: Logger,
        pause: Duration = .seconds(1)
    ) {
        (self.descriptor, self.folder, self.node) = (descriptor, folder, node)
        (self.source, self.logger, self.pause) = (source, logger, pause)
    }

    /// How far the records in the fetched files reach; nil where they could not be fetched, after a pause.
    func run() async -> LogPoint? {
        do throws(CopyError) {
            let listing = try await listing()
            let bytes = listing.files.reduce(0) { $0 + $1.bytes }
            logger.notice(
                "a copy of a shard is fetched",
                metadata: ["shard": "\(descriptor.shard)", "from": "\(node)", "bytes": "\(bytes)"])
            try await disk.run { () throws(CopyError) in try prepare(listing) }
            var pace = Pace(bytesPerSecond: Self.bytesPerSecond)
            for file in listing.files { try await fetch(file, of: listing.number, &pace) }
            try await disk.run { () throws(CopyError) in try finish(listing) }
            await source.release(listing.number, of: descriptor.shard, on: node)
            return listing.end
        } catch {
            logger.warning(
                "a copy of a shard was not fetched",
                metadata: ["shard": "\(descriptor.shard)", "from": "\(node)", "reason": "\(error.text)"])
            // Woken early only when nobody wants the copy any more.
            _ = try? await Task.sleep(for: pause)
            return nil
        }
    }

    private func listing() async throws(CopyError) -> CopyListing {
        for _ in 0..<Self.listingsMax {
            let listing = await source.listing(
                of: descriptor.shard, on: node, for: descriptor.replica, deadline: .now + Self.patience)
            if let listing {
                guard listing.isWhole else { throw .badListing }
                return listing
            }
            do { try await Task.sleep(for: pause) } catch { throw .cancelled }
        }
        throw .notReady
    }

    /// Keeps of what is there only what may be of use.
    private func prepare(_ listing: CopyListing) throws(CopyError) {
        let target = folder.fetched
        let files = folder.files
        do throws(FileError) {
            try files.createDirectory(target.segments)
            for leftover in [target.path + "/" + ReplicaMemoryFile.name] where try files.exists(leftover) {
                try files.remove(leftover)
            }
            if try files.exists(target.log) { try files.removeDirectoryTree(target.log) }
            let wanted = Set(listing.files.map(\.name))
            for name in try files.list(target.segments) where !wanted.contains(CopyNames.segments + name) {
                try files.remove(target.segments + "/" + name)
            }
        } catch {
            throw .file(error)
        }
        if let refusal = DiskSpace.refusal(at: target.path, enrolling: true, on: files) { throw .noRoom(refusal) }
    }

    private func fetch(
        _ file: CopyListing.File, of number: UInt64, _ pace: inout Pace
    ) async throws(CopyError) {
        let target = folder.fetched
        let path = target.path + "/" + file.name
        let parent = file.name == CopyNames.state ? target.path : target.segments
        guard try await disk.run({ () throws(CopyError) in try !isThere(file, at: path) }) else { return }
        let handle = try await disk.run { () throws(CopyError) in try begin(path) }
        var sums: [UInt8] = []
        var ahead = ChunksAhead(file, of: number, from: source, descriptor.shard, on: node)
        defer { ahead.cancel() }
        for chunk in file.chunks {
            guard !Task.isCancelled else { throw .cancelled }
            guard let bytes = await ahead.next(), bytes.count == chunk.bytes else { throw .gone(file: file.name) }
            sums += CopyDigest.sum(bytes)
            try await disk.run { () throws(CopyError) in try write(bytes, to: handle, at: chunk.offset) }
            await pace.spent(bytes.count)
        }
        guard CopyDigest.sum(sums) == file.digest else { throw .altered(file: file.name) }
        try await disk.run { () throws(CopyError) in try complete(handle, path, in: parent) }
    }

    /// Fetched before, whole: only a file with its own name is, but a disk may have changed it since.
    private func isThere(_ file: CopyListing.File, at path: String) throws(CopyError) -> Bool {
        do throws(FileError) {
            guard try folder.files.exists(path) else { return false }
            let handle = try folder.files.open(path, .read)
            defer { handle.close() }
            guard try handle.size() == file.bytes else { return false }
            return try CopyDigest.of(file.bytes) { (count, offset) throws(FileError) in
                try handle.read(count: count, at: offset)
            } == file.digest
        } catch {
            throw .file(error)
        }
    }

    private func begin(_ path: String) throws(CopyError) -> any StorageIO.FileHandle {
        do throws(FileError) {
            let temporary = path + AtomicFile.temporarySuffix
            for leftover in [path, temporary] where try folder.files.exists(leftover) {
                try folder.files.remove(leftover)
            }
            return try folder.files.open(temporary, .createNew)
        } catch {
            throw .file(error)
        }
    }

    private func write(_ bytes: [UInt8], to handle: any StorageIO.FileHandle, at offset: Int) throws(CopyError) {
        do throws(FileError) { try handle.write(all: bytes, at: offset) } catch { throw .file(error) }
    }

    private func complete(
        _ handle: any StorageIO.FileHandle, _ path: String, in parent: String
    ) throws(CopyError) {
        do throws(FileError) {
            try handle.synchronize()
            handle.close()
            try folder.files.rename(path + AtomicFile.temporarySuffix, to: path)
            // So that what goes on after a loss of power need not fetch it again.
            try folder.files.synchronizeDirectory(parent)
        } catch {
            throw .file(error)
        }
    }

    private func finish(_ listing: CopyListing) throws(CopyError) {
        let target = folder.fetched
        try listing.beginLog(in: target.log, of: LogIdentity(descriptor), on: folder.files)
        do throws(FileError) {
            for path in [target.segments, target.path] { try folder.files.synchronizeDirectory(path) }
        } catch {
            throw .file(error)
        }
    }
}

extension CopyListing {
    /// A log that goes on where the files end. `directory` must hold none.
    func beginLog(
        in directory: String, of identity: LogIdentity, on files: any FileSystem
    ) throws(CopyError) {
        do throws(LogError) {
            try Log.begin(
                after: end.index, epochs: runs.map { LogEpochStart(epoch: $0.epoch, first: $0.first) },
                directory: directory, identity: identity, on: files)
        } catch {
            throw .log(error)
        }
    }

    /// Whether another node's listing is one: names that stand below a shard's folder, each once, and all that a shard
    /// has.
    var isWhole: Bool {
        // So that sums of them stay numbers.
        let fileBytesMax = 1 << 40
        let names = files.map(\.name)
        let epochs = zip(runs, runs.dropFirst()).allSatisfy { $0.epoch < $1.epoch && $0.first < $1.first }
        return names.allSatisfy(CopyNames.isKnown) && Set(names).count == names.count
            && names.contains(CopyNames.state) && names.contains(CopyNames.manifest)
            && files.allSatisfy { (0...fileBytesMax).contains($0.bytes) && $0.digest.count == KeyedHash.byteCount }
            && epochs && runs.allSatisfy { $0.first <= end.index }
    }
}

/// Asks for the chunks of a file before they are wanted: while one is summed up and written, the next ones are read and
/// are on their way.
private struct ChunksAhead {
    private static let chunks = 3

    private let wanted: [CopyChunk]
    private let ask: @Sendable (CopyChunk) async -> [UInt8]?
    private var asked: [Task<[UInt8]?, Never>] = []
    private var count = 0

    init(
        _ file: CopyListing.File, of number: UInt64, from source: any CopySource, _ shard: ShardID, on node: NodeID
    ) {
        wanted = file.chunks.map { CopyChunk(number: number, file: file.name, offset: $0.offset, bytes: $0.bytes) }
        ask = { await source.read($0, of: shard, on: node, deadline: .now + CopyFetch.patience) }
    }

    /// In order; nil where it cannot be had, and where there are no more.
    mutating func next() async -> [UInt8]? {
        while count < wanted.count, asked.count < Self.chunks {
            let (ask, chunk) = (ask, wanted[count])
            asked.append(Task { await ask(chunk) })
            count += 1
        }
        return asked.isEmpty ? nil : await asked.removeFirst().value
    }

    func cancel() { for task in asked { task.cancel() } }
}

/// Keeps what is fetched below so many bytes a second.
private struct Pace {
    let bytesPerSecond: Int
    private var bytes = 0
    private let began = ContinuousClock.now

    init(bytesPerSecond: Int) { self.bytesPerSecond = bytesPerSecond }

    mutating func spent(_ count: Int) async {
        bytes += count
        let due = began + .seconds(Double(bytes) / Double(bytesPerSecond))
        // A cancelled task is noticed before the next chunk.
        if due > .now { _ = try? await Task.sleep(until: due) }
    }
}
