import ClusterModel
import FaceModel
import Replication
import SimulatedDisk
import StorageIO
import Synchronization
import TestBench
import Testing

@testable import ShardEngine

/// An embedded server's directory that becomes a cluster's.
@Suite struct GrowthTests {
    private static let shard = ShardID(Bits128(high: 7, low: 1))
    private static let cluster = Bits128(high: 1, low: 1)
    private static let copy = ReplicaID(Bits128(high: 7, low: 2))

    /// A server that ran three times, with one collection of one shard, and its ledger.
    private struct Place {
        let server = MemoryControlPlane()
        let store = MemoryControlPlane()
        let disk = SimulatedDisk()
        let node: NodeID

        init() async throws {
            node = try #require(NodeID("node-1"))
            for folder in ["/data", "/data/shards", "/data/shards/\(shard)", "/data/ledger"] {
                try disk.createDirectory(folder)
            }
            for _ in 0..<3 {
                _ = try await NodeIncarnation.raise(
                    node: .embedded, directory: "/data", files: disk, controlPlane: server)
            }
            server.overwrite(.cluster(ClusterRegister(id: cluster, formatVersion: 1)))
            let uid = CollectionUID(Bits128(high: 3, low: 3))
            let tenant = TenantID.embedded
            let name = try #require(CollectionName("booking"))
            server.overwrite(.tenant(TenantRegister(tenant: tenant, created: Timestamp(milliseconds: 5))))
            server.overwrite(
                .collection(
                    CollectionRegister(
                        tenant: tenant, name: name, uid: uid, modelName: "mine", modelVersion: "1", dimension: 64,
                        sealedKey: [1, 2, 3], tags: [:], created: Timestamp(milliseconds: 6))))
            server.overwrite(
                .map(
                    CollectionMap(
                        collection: uid, version: 1, made: true,
                        shards: [.init(id: shard, node: .embedded, roots: [LeafID(0)])])))
            try put(shard, copy, in: "/data/shards/\(shard)")
            try put(ShardID(cluster), ReplicaID(cluster), in: "/data/ledger")
            try disk.synchronizeDirectory("/data")
        }

        private func put(_ shard: ShardID, _ copy: ReplicaID, in folder: String) throws {
            let register = ShardRegister(
                shard: shard, generation: Generation(0), version: 1, epoch: Epoch(4), primary: copy,
                primaryIncarnation: Incarnation(3), inSync: [copy], learners: [], minInSync: 1)
            server.overwrite(.shard(register))
            server.overwrite(
                .replica(
                    ReplicaRegister(
                        shard: shard, replica: copy, node: .embedded, directory: Bits128(high: 0, low: 0),
                        sealedKey: [])))
            let revision = try #require(server.committed(.shard(shard))).revision
            try ReplicaMemoryFile(of: shard, copy, in: folder, on: disk).write(
                ReplicaMemory(epoch: Epoch(4), register: RegisterState(register, revision)))
        }

        func grow(from server: (any ControlPlane)? = nil, to store: (any ControlPlane)? = nil) async throws(GrowthError)
            -> Growth.Outcome
        {
            try await Growth(
                of: DataDirectory(path: "/data", files: disk), on: disk, from: server ?? self.server,
                to: store ?? self.store, of: "lab", as: node
            ).run()
        }

        var isLeft: Bool {
            guard case .cluster(let value)? = server.committed(.cluster)?.value else { return false }
            return value.movedTo != nil
        }

        /// Everything of the server is in the cluster, under the node's name, and its first start finds it.
        func requireGrown() async throws {
            guard case .cluster(let grown)? = store.committed(.cluster)?.value,
                case .map(let map)? = store.committed(.maps).first?.value
            else {
                Issue.record("the cluster is not there")
                return
            }
            #expect(grown == ClusterRegister(id: cluster, formatVersion: 1, ledger: node) && isLeft)
            #expect(map.shards.map(\.node) == [node])
            #expect(store.committed(.allCollections).map(\.value) == server.committed(.allCollections).map(\.value))
            #expect(store.committed(.shards).map(\.value) == server.committed(.shards).map(\.value))
            let copies = store.committed(.allReplicas).compactMap { register -> NodeID? in
                if case .replica(let copy) = register.value { copy.node } else { nil }
            }
            #expect(copies == [node, node])
            for folder in ["/data/shards/\(shard)", "/data/ledger"] {
                let memory = try #require(try ReplicaMemoryFile.contents(in: folder, on: disk)).memory
                #expect(memory.register.revision == 0 && memory.epoch == Epoch(4))
                #expect(memory.register.configuration.primaryIncarnation == Incarnation(3))
            }
            let started = try await NodeIncarnation.raise(
                node: node, directory: "/data", files: disk, controlPlane: store)
            #expect(started == Incarnation(4))
        }
    }

    @Test func everythingIsThereUnderTheNodesName() async throws {
        let place = try await Place()
        // Made before, with `facectl keys --config`.
        let tenant = TenantRegister(tenant: .cluster, created: Timestamp(milliseconds: 1))
        place.store.overwrite(.tenant(tenant))
        #expect(try await place.grow() == .grown(registers: 7))
        #expect(try await place.grow() == .done)
        try await place.requireGrown()
        #expect(try await place.grow() == .done)
        #expect(place.store.committed(.tenant(.cluster))?.value == .tenant(tenant))
    }

    /// Wherever a store fails, before or behind what it was asked to do.
    @Test(arguments: [false, true]) func itGoesOnWhereAStoreFailed(afterwards: Bool) async throws {
        var failures = 0
        for commits in 0... {
            let place = try await Place()
            let server = FailingStore(place.server, after: commits, afterwards: afterwards)
            let store = FailingStore(place.store, after: commits - 1, afterwards: afterwards)
            do throws(GrowthError) { _ = try await place.grow(from: server, to: store) } catch {
                failures += 1
                #expect(place.store.committed(.cluster) == nil || place.isLeft)
                _ = try await place.grow()
            }
            try await place.requireGrown()
            if !server.hasFailed, !store.hasFailed { break }
        }
        #expect(failures >= 4)
    }

    @Test func itGoesOnAfterAnyCrash() async throws {
        var crashes = 0
        for operation in 1... {
            let place = try await Place()
            let before = place.disk.operations
            place.disk.crash(atOperation: before + operation)
            do throws(GrowthError) { _ = try await place.grow() } catch {
                crashes += 1
                #expect(place.isLeft)
                place.disk.restart(seed: UInt64(operation))
                _ = try await place.grow()
                try await place.requireGrown()
                continue
            }
            break
        }
        #expect(crashes >= 6)
    }

    @Test func whatIsNotNewOrNotItsOwnIsRefused() async throws {
        let place = try await Place()
        place.store.overwrite(.cluster(ClusterRegister(id: Bits128(high: 9, low: 9), formatVersion: 1)))
        await #expect(throws: GrowthError.inUse(cluster: "lab", path: "cluster")) { try await place.grow() }
        #expect(!place.isLeft)
        place.store.remove(.cluster)
        _ = try await place.grow()
        let other = Growth(
            of: DataDirectory(path: "/data", files: place.disk), on: place.disk, from: place.server,
            to: MemoryControlPlane(), of: "second", as: place.node)
        await #expect(throws: GrowthError.movedElsewhere(directory: "/data", cluster: "lab")) { try await other.run() }
        // A copy of the directory from before.
        place.server.overwrite(.cluster(ClusterRegister(id: Self.cluster, formatVersion: 1)))
        await #expect(throws: GrowthError.olderCopy(directory: "/data", cluster: "lab")) { try await place.grow() }
    }

    @Test func aShardThatIsBeingSplitIsFinishedFirst() async throws {
        let place = try await Place()
        let halves = (1...2).map { SplitPlan.Half(shard: ShardID(Bits128(high: 8, low: $0)), root: LeafID(UInt32($0))) }
        place.server.overwrite(
            .split(
                SplitRegister(
                    shard: Self.shard, collection: CollectionUID(Bits128(high: 3, low: 3)),
                    plan: SplitPlan(first: halves[0], second: halves[1]))))
        await #expect(throws: GrowthError.divided(Self.shard)) { try await place.grow() }
        #expect(!place.isLeft && place.store.committed(.shards).isEmpty)
    }
}

/// Fails one commit, and none after it.
private final class FailingStore: ControlPlane {
    private let inner: MemoryControlPlane
    private let afterwards: Bool
    private let left: Mutex<Int>

    /// The commit after so many fails; `afterwards` when it has been made.
    init(_ inner: MemoryControlPlane, after commits: Int, afterwards: Bool) {
        (self.inner, self.afterwards) = (inner, afterwards)
        left = Mutex(commits)
    }

    var hasFailed: Bool { left.withLock { $0 < 0 } }

    func commit(
        _ transaction: ClusterModel.RegisterTransaction
    ) async throws(ControlPlaneError) -> ClusterModel.TransactionOutcome {
        let fails = left.withLock { left in
            left -= 1
            return left == -1
        }
        if fails, !afterwards { throw .unavailable(reason: "a test", outcomeUnknown: false) }
        let outcome = try await inner.commit(transaction)
        if fails { throw .unavailable(reason: "a test", outcomeUnknown: true) }
        return outcome
    }

    func read(_ key: RegisterKey) async throws(ControlPlaneError) -> Register? { try await inner.read(key) }
    func list(_ family: RegisterFamily) async throws(ControlPlaneError) -> [Register] { try await inner.list(family) }
    func snapshot() async throws(ControlPlaneError) -> RegisterSnapshot { try await inner.snapshot() }
    func grantLease(seconds: Int) async throws(ControlPlaneError) -> LeaseID {
        try await inner.grantLease(seconds: seconds)
    }
    func renew(_ lease: LeaseID) async throws(ControlPlaneError) -> Bool { try await inner.renew(lease) }
    func end(_ lease: LeaseID) async throws(ControlPlaneError) { try await inner.end(lease) }
    func changes(after revision: Revision) -> AsyncThrowingStream<RegisterChanges, any Error> {
        inner.changes(after: revision)
    }
}
