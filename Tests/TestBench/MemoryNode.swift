package import ClusterModel
package import FaceModel
import KeyHierarchy
import StorageIO
import Synchronization
import VectorSearch

/// A node in memory that keeps the port's contract word for word, and forgets what is open when it restarts. Its
/// "disk" outlives `restart`. As a member of a cluster it answers only for shards whose registers name its copy as the
/// primary, and what it writes is on the other copies before it answers.
package final class MemoryNode: ShardService {
    private struct Shard {
        var descriptor: ShardDescriptor
        var faces: [FaceID: (face: StoredFace, vector: RotatedVector, key: [UInt8], leaf: LeafID)] = [:]
        /// Deletions so far, by face key.
        var deletions: [[UInt8]: UInt32] = [:]
        var lsn: UInt64 = 0
        var tree: BucketTree
        /// Log position of the last split.
        var lastSplit: UInt64 = 0
        /// Writes so far, by which copies tell which of them is older.
        var writes = 0

        var position: ShardPosition { ShardPosition(Generation(0), LogIndex(lsn)) }
        func leaf(of vector: RotatedVector) -> LeafID { tree.leaf(of: vector, below: tree.roots[0]) }
    }
    private struct State {
        var disk: [ShardID: Shard] = [:]
        var open: Set<ShardID> = []
        var membership: Membership?
        var held: [HeldCopy] = []
    }
    private struct Membership {
        var node: NodeID
        var peers: [MemoryNode]
        var registers: MemoryControlPlane
    }
    private let state = Mutex(State())

    package init() {}

    package func restart() { state.withLock { $0.open = [] } }
    /// Loses the files of every shard, as a disk that was swapped.
    package func loseFiles() { state.withLock { $0 = State(membership: $0.membership) } }
    /// From now on it is one of these nodes.
    package func join(_ peers: [MemoryNode], as node: NodeID, registers: MemoryControlPlane) {
        state.withLock { state in
            state.membership = Membership(node: node, peers: peers.filter { $0 !== self }, registers: registers)
        }
    }
    package var openShards: Set<ShardID> { state.withLock { $0.open } }
    package var shardsOnDisk: Set<ShardID> { state.withLock { Set($0.disk.keys) } }

    /// Splits buckets until none has more than `most` faces, or cannot be divided.
    package func divideBuckets(largerThan most: Int) {
        state.withLock { state in
            for (id, var shard) in state.disk {
                var open = shard.tree.leaves
                while let leaf = open.popLast() {
                    let vectors = shard.faces.values.filter { $0.leaf == leaf }
                        .sorted { $0.face.id < $1.face.id }.map(\.vector)
                    guard vectors.count > most, let centroids = BucketDivision.divide(vectors) else { continue }
                    let children = shard.tree.nextChildren
                    shard.tree.apply(BucketSplit(parent: leaf, children: children, centroids: centroids))
                    shard.lsn += 1
                    shard.lastSplit = shard.lsn
                    for (id, face) in shard.faces where face.leaf == leaf {
                        let home = shard.leaf(of: face.vector)
                        shard.faces[id]?.leaf = home
                    }
                    open += [children.0, children.1]
                }
                state.disk[id] = shard
            }
        }
    }

    package func open(_ descriptor: ShardDescriptor, _ mode: OpenMode, _ call: ShardCall) async throws(ShardError) {
        try requireHome(of: descriptor)
        let opened: Result<Void, ShardError> = state.withLock { state in
            if state.disk[descriptor.shard] == nil {
                guard mode == .making else { return .failure(.damaged(descriptor.shard, reason: "files missing")) }
                state.disk[descriptor.shard] = Shard(
                    descriptor: descriptor, tree: BucketTree(roots: descriptor.roots))
            }
            state.open.insert(descriptor.shard)
            return .success(())
        }
        try opened.get()
    }

    package func retire(_ replica: ReplicaID, _ call: ShardCall) async throws(ShardError) {}

    package func split(_ step: SplitStep, _ call: ShardCall) async throws(ShardError) -> SplitProgress {
        throw .writesRefused(call.shard, reason: "a node in memory splits nothing")
    }

    package func drop(_ call: ShardCall) async throws(ShardError) {
        state.withLock { state in
            state.open.remove(call.shard)
            state.disk[call.shard] = nil
        }
    }

    package func enrol(_ faces: [NewFace], _ call: ShardCall) async throws(ShardError) -> EnrolOutcome {
        try with(call) { shard in
            let ids = faces.map { new in
                let (idKey, model) = (shard.descriptor.idKey, shard.descriptor.modelVersion)
                let key = FaceIdentity.faceKey(
                    idKey: idKey, vector: new.vector, externalImageID: new.externalImageID, modelVersion: model)
                let id = FaceIdentity.faceID(idKey: idKey, faceKey: key, count: shard.deletions[key, default: 0])
                let face = StoredFace(id: id, externalImageID: new.externalImageID, record: new.record)
                if shard.faces[id] == nil { shard.faces[id] = (face, new.vector, key, shard.leaf(of: new.vector)) }
                return id
            }
            shard.lsn += 1
            shard.writes += 1
            return EnrolOutcome(faces: ids, at: shard.position)
        }
    }

    package func delete(
        _ faces: [FaceID], token: RequestToken, _ call: ShardCall
    ) async throws(ShardError) -> DeleteOutcome {
        try with(call) { shard in
            var outcome = DeleteOutcome(deleted: [], notFound: [], at: shard.position)
            for id in faces {
                if let gone = shard.faces.removeValue(forKey: id) {
                    shard.deletions[gone.key, default: 0] += 1
                    outcome.deleted.append(id)
                } else {
                    outcome.notFound.append(id)
                }
            }
            shard.writes += 1
            return outcome
        }
    }

    package func search(
        _ searches: [ShardSearch], _ call: ShardCall
    ) async throws(ShardError) -> [ShardSearchAnswer] {
        let shard = try with(call) { $0 }
        return searches.map { search in
            let leaves = search.buckets.map { shard.tree.expand($0) } ?? Set(shard.tree.leaves)
            let faces = shard.faces.values.filter { leaves.contains($0.leaf) }
            let query = PreparedQuery(search.query, sigmas: search.sigmas)
            let candidates = faces.map { ShardCandidate(score: exactScore(query, $0.vector), face: $0.face) }
                .filter { $0.score >= search.minScore }
                .sorted {
                    Match.precedes(Match(face: $0.face.id, score: $0.score), Match(face: $1.face.id, score: $1.score))
                }
            return ShardSearchAnswer(
                candidates: Array(candidates.prefix(search.limit)), facesScored: faces.count, buckets: leaves.count,
                at: shard.position, tree: LogIndex(shard.lastSplit))
        }
    }

    package func buckets(after: LeafID?, limit: Int, _ call: ShardCall) async throws(ShardError) -> BucketPage {
        try with(call) { shard in
            let faces = Dictionary(grouping: shard.faces.values) { $0.leaf }
            let rest = shard.tree.leaves.filter { leaf in after.map { leaf > $0 } ?? true }
            let buckets = rest.prefix(limit).map {
                Bucket(leaf: $0, faces: faces[$0]?.count ?? 0, centroid: shard.tree.centroid(of: $0))
            }
            return BucketPage(tree: LogIndex(shard.lastSplit), buckets: buckets, more: rest.count > limit)
        }
    }

    package func sample(_ request: SampleRequest, _ call: ShardCall) async throws(ShardError) -> [SampledFace] {
        try with(call) { shard in
            let chosen = shard.faces.values.filter { stored in
                let name = stored.face.externalImageID.map { Array($0.text.utf8) } ?? stored.face.id.bits.bytes
                return CRC32C.checksum(name).isMultiple(of: request.every)
            }
            return chosen.sorted { $0.face.id < $1.face.id }.prefix(request.limit).map { stored in
                SampledFace(
                    id: stored.face.id, vector: stored.vector, bucket: stored.leaf,
                    externalImageID: stored.face.externalImageID, imageID: stored.face.record.imageID)
            }
        }
    }

    package func faces(_ ids: [FaceID], _ call: ShardCall) async throws(ShardError) -> FacePage {
        try with(call) { shard in
            let faces = ids.sorted().compactMap { shard.faces[$0]?.face }
            return FacePage(faces: faces, more: false, at: shard.position)
        }
    }

    package func vector(_ id: FaceID, _ call: ShardCall) async throws(ShardError) -> RotatedVector? {
        try with(call) { $0.faces[id]?.vector }
    }

    package func list(after: FaceID?, limit: Int, _ call: ShardCall) async throws(ShardError) -> FacePage {
        try with(call) { shard in
            let ids = shard.faces.keys.filter { id in after.map { id > $0 } ?? true }.sorted()
            return FacePage(
                faces: ids.prefix(limit).compactMap { shard.faces[$0]?.face }, more: ids.count > limit,
                at: shard.position)
        }
    }

    package func statistics(_ call: ShardCall) async throws(ShardError) -> ShardStatistics {
        try with(call) { shard in
            ShardStatistics(
                faces: shard.faces.count, segments: 0, bufferedFaces: shard.faces.count, residentBytes: 0,
                diskBytes: 0, lsn: LogIndex(shard.lsn), writesRefused: nil)
        }
    }

    package func statistics(
        ofNode node: NodeID, deadline: ContinuousClock.Instant
    ) async throws(NodeError) -> NodeStatistics {
        state.withLock { state in
            NodeStatistics(
                version: "test", uptimeSeconds: 0, shards: state.open.count, damagedShards: 0,
                faces: state.disk.values.reduce(0) { $0 + $1.faces.count }, residentBytes: 0, capacityBytes: 0,
                diskFreeBytes: 0, diskTotalBytes: 0)
        }
    }

    /// What it says of its disk from now on.
    package func hold(_ copies: [HeldCopy]) { state.withLock { $0.held = copies } }
    package var held: [HeldCopy] { state.withLock { $0.held } }

    package func copies(
        ofNode node: NodeID, of shard: ShardID?, deadline: ContinuousClock.Instant
    ) async throws(NodeError) -> [HeldCopy] {
        state.withLock { $0.held.filter { shard == nil || $0.shard == shard } }
    }

    private func with<Answer: Sendable>(
        _ call: ShardCall, _ body: (inout Shard) -> Answer
    ) throws(ShardError) -> Answer {
        if call.level == .strong { try requirePrimary(of: call.shard) }
        let answered: Result<(Answer, Shard, [MemoryNode]), ShardError> = state.withLock { state in
            guard state.open.contains(call.shard), var shard = state.disk[call.shard] else {
                return .failure(.unknownShard(call.shard))
            }
            guard shard.descriptor.roots == call.roots else {
                return .failure(.wrongOwner(call.shard, owned: shard.descriptor.roots))
            }
            let answer = body(&shard)
            state.disk[call.shard] = shard
            return .success((answer, shard, state.membership?.peers ?? []))
        }
        let (answer, shard, peers) = try answered.get()
        for peer in peers { peer.take(shard) }
        return answer
    }

    /// What the primary has, unless this copy has it already.
    private func take(_ shard: Shard) {
        state.withLock { state in
            let id = shard.descriptor.shard
            guard let own = state.disk[id], own.writes < shard.writes else { return }
            var copy = shard
            copy.descriptor = own.descriptor
            state.disk[id] = copy
        }
    }

    /// A shard without registers has the one copy that is asked.
    private func requirePrimary(of shard: ShardID) throws(ShardError) {
        guard let membership = state.withLock({ $0.membership }),
            case .shard(let register)? = membership.registers.committed(.shard(shard))?.value
        else { return }
        guard node(of: register.primary, shard, membership) == membership.node else { throw .notPrimary(shard) }
    }

    private func requireHome(of descriptor: ShardDescriptor) throws(ShardError) {
        guard let membership = state.withLock({ $0.membership }),
            membership.registers.committed(.shard(descriptor.shard)) != nil
        else { return }
        guard node(of: descriptor.replica, descriptor.shard, membership) == membership.node else {
            throw .damaged(descriptor.shard, reason: "the copy of another node")
        }
    }

    private func node(of replica: ReplicaID, _ shard: ShardID, _ membership: Membership) -> NodeID? {
        guard case .replica(let register)? = membership.registers.committed(.replica(shard, replica))?.value else {
            return nil
        }
        return register.node
    }
}
