import ClusterModel
import FaceModel
import Foundation
import Logging
import Replication
import SimulatedDisk
import StorageIO
import Synchronization
import Testing
import WriteAheadLog

@testable import ShardEngine

/// A source of files that a test makes up, and breaks.
private final class MadeSource: CopySource {
    private struct State {
        var files: [String: [UInt8]]
        var listing: CopyListing
        /// Chunks that may still be read, and those that were.
        var chunks = Int.max
        var read: [String] = []
    }

    private let state: Mutex<State>

    init(_ files: [String: [UInt8]]) {
        let listed = files.sorted { $0.key < $1.key }.map { name, bytes in
            CopyListing.File(
                name: name, bytes: bytes.count,
                digest: CopyDigest.of(bytes.count) { (count, offset) in Array(bytes[offset..<offset + count]) })
        }
        let listing = CopyListing(
            number: 7, end: LogPoint(epoch: Epoch(4), index: LogIndex(90)),
            runs: [.init(epoch: Epoch(2), first: LogIndex(1)), .init(epoch: Epoch(4), first: LogIndex(60))],
            files: listed)
        state = Mutex(State(files: files, listing: listing))
    }

    var read: [String] { state.withLock { $0.read } }
    func limit(_ chunks: Int) { state.withLock { ($0.chunks, $0.read) = (chunks, []) } }
    func change(_ body: (inout CopyListing) -> Void) { state.withLock { body(&$0.listing) } }
    func set(_ name: String, _ bytes: [UInt8]) { state.withLock { $0.files[name] = bytes } }

    func listing(
        of shard: ShardID, on node: NodeID, for receiver: ReplicaID, deadline: ContinuousClock.Instant
    ) async -> CopyListing? { state.withLock { $0.listing } }

    func read(
        _ chunk: CopyChunk, of shard: ShardID, on node: NodeID, deadline: ContinuousClock.Instant
    ) async -> [UInt8]? {
        state.withLock { state in
            guard state.chunks > 0, let bytes = state.files[chunk.file] else { return nil }
            state.chunks -= 1
            state.read.append(chunk.file)
            return Array(bytes[chunk.offset..<chunk.offset + chunk.bytes])
        }
    }

    func release(_ number: UInt64, of shard: ShardID, on node: NodeID) async {}

    func rows(
        of faces: [FaceID], _ shard: ShardID, on node: NodeID, deadline: ContinuousClock.Instant
    ) async -> [[UInt8]]? { nil }
}

@Suite struct CopyFetchTests {
    private static let shard = ShardID(Bits128(high: 2, low: 2))
    private static let descriptor = ShardDescriptor(
        tenant: .embedded, collection: CollectionUID(Bits128(high: 1, low: 1)), shard: shard,
        replica: ReplicaID(Bits128(high: 3, low: 3)), dimension: 64, modelVersion: "1.0", idKey: [], roots: [.root])
    private static let files: [String: [UInt8]] = [
        "state.sqlite": [UInt8](repeating: 1, count: 9_000),
        "segments/MANIFEST": [UInt8](repeating: 2, count: 300),
        "segments/segment-000000000000000a.seg": (0..<(CopyListing.chunkBytes + 77)).map {
            UInt8(truncatingIfNeeded: $0)
        },
        "segments/segment-000000000000000b.seg": [],
    ]

    private func fetch(_ source: MadeSource, _ disk: SimulatedDisk) -> CopyFetch {
        CopyFetch(
            descriptor: Self.descriptor, folder: ShardFolder(of: Self.shard, in: "/shards", on: disk), node: .embedded,
            source: source, logger: Logger(label: "test"), pause: .zero)
    }

    private func isWhole(_ disk: SimulatedDisk) throws -> Bool {
        let folder = ShardFolder(of: Self.shard, in: "/shards", on: disk).fetched
        let (log, _) = try Log.open(directory: folder.log, identity: LogIdentity(Self.descriptor), on: disk)
        #expect(log.lastIndex == LogIndex(90) && log.epoch == Epoch(4) && log.epochStarts.count == 2)
        return Self.files.allSatisfy { disk.contents(folder.path + "/" + $0.key) == $0.value }
    }

    @Test func bringsEveryFileAndALogBehindThem() async throws {
        let (source, disk) = (MadeSource(Self.files), SimulatedDisk())
        #expect(await fetch(source, disk).run() == LogPoint(epoch: Epoch(4), index: LogIndex(90)))
        #expect(try isWhole(disk))
        #expect(source.read.count == 4)
        // Power fails now: all of it is durable.
        disk.restart(seed: 3)
        #expect(try isWhole(disk))
    }

    /// Cut short behind every chunk, with a loss of power: what was whole is not fetched again.
    @Test func goesOnWithTheFilesThatAreMissing() async throws {
        let (source, disk) = (MadeSource(Self.files), SimulatedDisk())
        try disk.createDirectory("/shards")
        var total = 0
        for round in 0..<4 {
            source.limit(round == 3 ? .max : 1 + round / 2)
            let end = await fetch(source, disk).run()
            #expect((end != nil) == (round == 3))
            total += source.read.count
            disk.restart(seed: UInt64(round))
        }
        #expect(total == 5)
        #expect(try isWhole(disk))
    }

    @Test func whatIsNotWhatTheSourceSaidIsNotTaken() async throws {
        for name in Self.files.keys where !(Self.files[name] ?? []).isEmpty {
            let (source, disk) = (MadeSource(Self.files), SimulatedDisk())
            var bytes = Self.files[name] ?? []
            bytes[bytes.count - 1] ^= 1
            source.set(name, bytes)
            #expect(await fetch(source, disk).run() == nil)
            #expect(disk.contents("/shards/\(Self.shard).fetched/" + name) == nil)
        }
        // A file that the disk has changed since is fetched again.
        let (source, disk) = (MadeSource(Self.files), SimulatedDisk())
        _ = await fetch(source, disk).run()
        disk.flip("/shards/\(Self.shard).fetched/state.sqlite", at: 8_000)
        source.limit(.max)
        #expect(await fetch(source, disk).run() != nil)
        #expect(source.read == ["state.sqlite"])
        #expect(try isWhole(disk))
    }

    @Test func aListingThatIsNoShardsIsRefused() async throws {
        let changes: [(inout CopyListing) -> Void] = [
            { $0.files[0].name = "../../key" }, { $0.files[0].name = "/etc/passwd" },
            { $0.files[0].name = "segments/../state.sqlite" }, { $0.files[0].name = "replica" },
            { $0.files[2].name = "segments/segment-10.seg" }, { $0.files.removeLast() }, { $0.files.removeFirst() },
            { $0.files.append($0.files[0]) }, { $0.files[1].digest = [] }, { $0.files[1].bytes = -4 },
            { $0.runs.reverse() }, { $0.end = LogPoint(epoch: Epoch(4), index: LogIndex(59)) },
        ]
        for (number, change) in changes.enumerated() {
            let (source, disk) = (MadeSource(Self.files), SimulatedDisk())
            source.change(change)
            #expect(await fetch(source, disk).run() == nil, "change \(number)")
            #expect(source.read.isEmpty && disk.paths.isEmpty, "change \(number)")
        }
    }

    /// Power fails at every operation of a replacement: the next start finds the old folder or the new one, with what
    /// was promised in it.
    @Test func aCrashInAReplacementLeavesOneOfTheTwo() throws {
        var operation = 0
        var isFinished = false
        while !isFinished {
            operation += 1
            for seed in 0..<4 {
                let disk = SimulatedDisk()
                let folder = ShardFolder(of: Self.shard, in: "/shards", on: disk)
                for (path, mark) in [(folder.path, 1 as UInt8), (folder.fetched.path, 2)] {
                    try disk.createDirectory(path + "/segments")
                    try AtomicFile.write([mark], to: path + "/segments/MANIFEST", on: disk)
                }
                try AtomicFile.write([9], to: folder.path + "/replica", on: disk)
                disk.crash(atOperation: disk.operations + operation)
                isFinished = (try? folder.replaceWithFetched()) != nil
                for _ in 0..<2 {
                    disk.restart(seed: UInt64(operation * 8 + seed))
                    try ShardFolder.sweep("/shards", on: disk)
                    let mark = disk.contents(folder.path + "/segments/MANIFEST")
                    #expect(mark == [2] || (mark == [1] && !isFinished), "operation \(operation), seed \(seed)")
                    #expect(disk.contents(folder.path + "/replica") == [9])
                    #expect(disk.contents(folder.fetched.path + "/replica") == nil)
                    #expect(!disk.paths.contains { $0.contains(".removed") })
                }
            }
        }
        #expect(operation > 6)
    }

    /// A copy that was fetched for a shard that is dropped does not bring it back.
    @Test func aDropTakesWhatWasFetchedWithIt() throws {
        for operation in 1...12 {
            let disk = SimulatedDisk()
            let folder = ShardFolder(of: Self.shard, in: "/shards", on: disk)
            for path in [folder.path, folder.fetched.path] {
                try disk.createDirectory(path)
                try AtomicFile.write([9], to: path + "/replica", on: disk)
            }
            disk.crash(atOperation: disk.operations + operation)
            let isDropped = (try? folder.remove()) != nil
            disk.restart(seed: UInt64(operation))
            try ShardFolder.sweep("/shards", on: disk)
            #expect(!isDropped || disk.paths.isEmpty)
            #expect(disk.contents(folder.fetched.path + "/replica") == nil, "operation \(operation)")
        }
    }
}
