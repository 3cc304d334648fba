import AuditLedger
import FaceModel
import Logging
import Replication
import SimulatedDisk
import StorageIO
import Synchronization
import Testing
import WriteAheadLog

@testable import ShardEngine

/// A copy of the ledger that lags too far, or is new, is built from another's tiles.
@Suite struct LedgerFetchTests {
    private static let firstSegment = LedgerSample.directory + "/wal/0000000000000001.log"

    /// Enough entries that two bundles are full and the beginning of every log is cut.
    private func fill(_ bench: LedgerBench, from first: UInt64) async throws {
        for number in first..<first + 200 { try await bench.append(number, large: number.isMultiple(of: 2)) }
        let primary = bench.primary
        #expect(
            try await bench.eventually { !bench.disks[primary].paths.contains(Self.firstSegment) },
            "the log reaches back to its first record")
    }

    @Test func aCopyThatLagsTooFarIsBuiltFromTiles() async throws {
        let bench = try await LedgerBench.started(recordsKept: 64)
        for number: UInt64 in 0..<60 { try await bench.append(number) }
        let victim = (bench.primary + 1) % LedgerBench.copies
        #expect(try await bench.eventually { bench.sizes()[victim] == 120 })
        await bench.kill(victim, power: true)
        try await fill(bench, from: 60)
        await bench.start(victim)
        #expect(try await bench.isWhole())
        #expect(try await bench.eventually { bench.sizes() == [520, 520, 520] })
        #expect(!bench.disks[victim].paths.contains(Self.firstSegment), "it was built by its log")
        // It answers for what it fetched, and for what came after, once the others are gone.
        try await bench.append(900)
        let old = bench.primary
        await bench.kill(old)
        for search: UInt64 in [3, 70, 900] {
            let record = try await bench.ask { (ledger) throws(LedgerError) in
                try await ledger.record(of: LedgerSample.search(search), tenant: .embedded, LedgerBench.call())
            }
            #expect(record?.leaves.count == 2 && record?.intent?.search == LedgerSample.search(search))
        }
        await bench.start(old)
        #expect(try await bench.isWhole())
        #expect(try await bench.eventually { bench.sizes() == [522, 522, 522] })
        await bench.stop()
        bench.requireWhole(leaves: 522)
        #expect(!bench.disks[victim].paths.contains { $0.contains("/fetched") || $0.contains("wal.removed") })
    }

    /// A copy that the registers name on a node is made by it while it runs; the files of the one before stay.
    @Test func aNodeKeepsTheCopyThatTheRegistersName() async throws {
        let bench = try await LedgerBench.started(recordsKept: 64)
        try await fill(bench, from: 0)
        let number = (bench.primary + 1) % LedgerBench.copies
        let new = CopiesBench.replica(number, copy: 1)
        await bench.rename(number, to: new)
        #expect(try await bench.eventually { bench.registers.state.configuration.isr.contains(new) })
        #expect(try await bench.eventually { bench.sizes() == [400, 400, 400] })
        try await bench.append(901)
        await bench.stop()
        bench.requireWhole(leaves: 402)
        let kept = LedgerSample.directory + "-\(CopiesBench.replica(number))/tile/entries/000"
        #expect(bench.disks[number].contents(kept) != nil)
    }

    /// A copy that knows of a newer register is not given up for one that does not name it.
    @Test func aRegisterFromABackupMovesNothing() async throws {
        let bench = try await LedgerBench.started()
        try await bench.append(1)
        let number = (bench.primary + 1) % LedgerBench.copies
        let shelf = try #require(bench.post.node(CopiesBench.node(number)))
        #expect(try await bench.eventually { shelf.ownStatus?.treeSize == 2 })
        var older = bench.registers.state.configuration.without([CopiesBench.replica(number)])
        older.version = bench.registers.state.configuration.version - 1
        bench.registers.restore(older)
        #expect(try await bench.eventually { shelf.ownStatus?.refusing?.contains("restored from a backup") == true })
        try await Task.sleep(for: .milliseconds(100))
        #expect(shelf.ownStatus?.treeSize == 2)
        await bench.stop()
    }

    // MARK: One fetch

    /// A ledger of its own of 300 leaves, the first 256 of them in tiles, which a test spoils.
    private final class Source: CopySource {
        private struct State {
            var spoilt: (path: String, offset: Int)?
            var read: [String] = []
        }

        let disk = SimulatedDisk()
        private let state = Mutex(State())

        init() async throws {
            let ledger = await LedgerSample.open(disk)
            for number: UInt64 in 0..<150 { try await LedgerSample.append(number, to: ledger) }
            await ledger.stop()
        }

        var read: [String] { state.withLock { $0.read } }
        func spoil(_ path: String?, at offset: Int = 0) {
            state.withLock { ($0.spoilt, $0.read) = (path.map { ($0, offset) }, []) }
        }
        func bytes(_ path: String) throws -> [UInt8] {
            try #require(disk.contents(LedgerSample.directory + "/" + path))
        }

        /// The first leaves of its log.
        func leaves(_ count: Int) throws -> [LeafPayload] { try log().prefix(count).map(\.leaf) }

        private func log() throws -> [(leaf: LeafPayload, at: LogIndex)] {
            var leaves: [(leaf: LeafPayload, at: LogIndex)] = []
            _ = try Log.inspect(directory: LedgerSample.directory + "/wal", on: disk) { record in
                guard record.type == .leaf, let leaf = LeafPayload(bytes: record.payload) else { return }
                leaves.append((leaf, record.lsn))
            }
            return leaves
        }

        func listing(
            of shard: ShardID, on node: NodeID, for receiver: ReplicaID, deadline: ContinuousClock.Instant
        ) async -> CopyListing? {
            guard let end = try? log()[255].at else { return nil }
            let epoch = Epoch(1)
            return CopyListing(
                number: 1, end: LogPoint(epoch: epoch, index: end), runs: [.init(epoch: epoch, first: LogIndex(1))],
                files: [])
        }

        func read(
            _ chunk: CopyChunk, of shard: ShardID, on node: NodeID, deadline: ContinuousClock.Instant
        ) async -> [UInt8]? {
            guard var bytes = try? bytes(chunk.file) else { return nil }
            return state.withLock { state in
                state.read.append(chunk.file)
                if let spoilt = state.spoilt, spoilt.path == chunk.file { bytes[spoilt.offset] ^= 1 }
                return Array(bytes.dropFirst(chunk.offset).prefix(chunk.bytes))
            }
        }

        func release(_ number: UInt64, of shard: ShardID, on node: NodeID) async {}

        func rows(
            of faces: [FaceID], _ shard: ShardID, on node: NodeID, deadline: ContinuousClock.Instant
        ) async -> [[UInt8]]? { nil }
    }

    /// A disk whose log holds the first ten leaves of the source's and, as the end of a log may, three that were never
    /// committed.
    private func other(than source: Source) async throws -> SimulatedDisk {
        let disk = SimulatedDisk()
        try disk.createDirectory("/keys")
        let key = LedgerSample.settings.signingKeyPath
        disk.install(key, try #require(source.disk.contents(key)))
        let store = LedgerFiles(directory: LedgerSample.directory, files: disk)
        var machine = LedgerMachine(
            recordKey: LedgerSample.recordKey, signer: try LedgerKeyFile.load(LedgerSample.settings, store))
        var payloads = try source.leaves(10)
        for payload in payloads { #expect(machine.take(payload) == .taken) }
        var generator = SystemRandomNumberGenerator()
        for number: UInt64 in 0..<3 {
            payloads.append(
                machine.leaf(of: .intent(try LedgerSample.intent(500 + number)), behind: number, using: &generator))
        }
        let entries = payloads.map { LogEntry(type: .leaf, token: .none, payload: $0.bytes) }
        let (log, _) = try Log.open(
            directory: store.walDirectory, identity: LedgerSample.settings.logIdentity, on: disk)
        _ = try log.append(entries, epoch: Epoch(1))
        try log.synchronize()
        return disk
    }

    private func fetch(_ source: Source, onto disk: SimulatedDisk) async throws -> LogPoint? {
        let store = LedgerFiles(directory: LedgerSample.directory, files: disk)
        let signer = try LedgerKeyFile.load(LedgerSample.settings, store)
        let fetch = LedgerFetch(
            identity: LedgerSample.settings.logIdentity, store: store, node: .embedded, source: source,
            logger: Logger(label: "test"), pause: .zero)
        return await fetch.run(LedgerMachine(recordKey: LedgerSample.recordKey, signer: signer))
    }

    @Test func whatThisLedgersKeyHasNotSignedIsNotTaken() async throws {
        let source = try await Source()
        let disk = try await other(than: source)
        let staged = LedgerSample.directory + "/fetched/tile/entries/000"
        for kind in ["entries", "private", "checkpoint"] {
            let path = "tile/\(kind)/000"
            let count = try source.bytes(path).count
            for offset in [0, 1, 2, 40, count / 2, count - 2] {
                source.spoil(path, at: offset)
                #expect(try await fetch(source, onto: disk) == nil, "\(path), byte \(offset)")
                #expect(disk.contents(staged) == nil)
            }
        }
        source.spoil(nil)
        let end = try #require(try await fetch(source, onto: disk))
        let entries = try source.bytes("tile/entries/000")
        #expect(end.index > LogIndex(256) && disk.contents(staged) == entries)
        for path in ["tile/0/000", "tile/private/000", "tile/checkpoint/000"] {
            let bytes = try source.bytes(path)
            #expect(disk.contents(LedgerSample.directory + "/" + path) == bytes)
        }
        // Until it takes the log's place it counts for nothing, and is not fetched again.
        #expect(LedgerSample.verify(disk).leaves == 13 && LedgerSample.verify(disk).fault == nil)
        source.spoil(nil)
        #expect(try await fetch(source, onto: disk) == end)
        #expect(source.read.isEmpty)
    }

    /// Cut short at every operation of the disk, with a loss of power: the old ledger or the fetched one, never both.
    @Test func theFetchedLedgerTakesTheOldOnesPlaceWhollyOrNotAtAll() async throws {
        let source = try await Source()
        let disk = try await other(than: source)
        #expect(try await fetch(source, onto: disk) != nil)
        var sizes: [UInt64] = []
        var isCut = true
        while isCut {
            let copy = disk.copy()
            copy.crash(atOperation: copy.operations + 1 + sizes.count)
            do throws(FileError) {
                try LedgerFiles(directory: LedgerSample.directory, files: copy).replaceWithFetched()
                isCut = false
            } catch {
                isCut = true
            }
            copy.restart(seed: UInt64(sizes.count))
            let ledger = await LedgerSample.open(copy)
            let size = try await ledger.status().treeSize
            await ledger.stop()
            let report = LedgerSample.verify(copy)
            #expect(report.fault == nil && report.leaves == size, "operation \(sizes.count)")
            #expect(!copy.paths.contains { $0.contains("wal.removed") })
            sizes.append(size)
        }
        #expect(sizes.first == 13 && sizes.last == 256 && Set(sizes) == [13, 256])
        #expect(sizes == sizes.sorted(), "what took its place was taken back")
    }
}
