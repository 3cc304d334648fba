import ClusterModel
import FaceModel
import Foundation
import Logging
import SegmentStore
import StorageIO
import Synchronization
import VectorSearch

/// One copy of a shard: its writer thread, and the reads that run beside it.
final class ShardReplica: Sendable {
    let descriptor: ShardDescriptor
    private let identity: FaceIdentityKeys
    let state: ShardState
    private let published: PublishedReplica
    private let inbox: ReplicaInbox
    private let scanner: ReplicaScanner

    /// Recovers the copy in `folder`, or makes an empty one where `mode` allows it, and starts its writer.
    init(
        _ descriptor: ShardDescriptor, _ mode: OpenMode, in folder: ShardFolder, pool: ScanPool,
        budget: MemoryBudget
    ) throws(ReplicaError) {
        self.descriptor = descriptor
        identity = FaceIdentityKeys(idKey: descriptor.idKey, modelVersion: descriptor.modelVersion)
        let logger = Logger(label: "facet.shard")
        let opened = try OpenedFiles(
            descriptor, mode, in: folder, mapsPlanes: budget.mapsPlanes, logger: logger)
        state = opened.state
        published = PublishedReplica(
            .init(snapshot: opened.snapshot, tree: opened.tree, lsn: opened.log.lastIndex), budget: budget)
        inbox = ReplicaInbox(shard: descriptor.shard)
        scanner = ReplicaScanner(shard: descriptor.shard, published: published, pool: pool)
        let (inbox, published) = (inbox, published)
        if let refusal = published.lockMemory() {
            published.close(.damaged(descriptor.shard, reason: refusal))
            throw .contradiction(reason: refusal)
        }
        let start = Handover(opened)
        let thread = Thread {
            ReplicaWriter(
                descriptor: descriptor, files: folder.files, opened: start.take(), published: published, inbox: inbox,
                budget: budget, logger: logger
            ).run()
        }
        thread.name = "facet-shard"
        thread.start()
    }

    /// The subtree roots the shard owns.
    var roots: [LeafID] { published.current.roots }
    var faces: Int { published.current.snapshot.liveCount }
    var isDamaged: Bool { published.damaged != nil }

    /// Completes once it was proposed, however late; a request that waits past its deadline is never proposed.
    func write(_ request: WriteRequest, _ call: ShardCall) async throws(ShardError) -> ProposalOutcome {
        _ = try view(call)
        let proposal: Proposal.Request =
            switch request {
            case .enrol(let faces): .enrol(faces.map { KeyedFace(face: $0, key: identity.key(of: $0)) })
            case .delete(let ids, let token): .delete(ids, token: token)
            }
        let outcome = await withCheckedContinuation {
            (continuation: CheckedContinuation<Result<ProposalOutcome, ShardError>, Never>) in
            let waiting = WaitingRequest(roots: call.roots, request: proposal, deadline: call.deadline) {
                continuation.resume(returning: $0)
            }
            if let refusal = inbox.add(.request(waiting)) { continuation.resume(returning: .failure(refusal)) }
        }
        return try outcome.get()
    }

    /// Every search is answered from one snapshot. Where a face was deleted while the scans ran they are repeated, so
    /// that it takes nobody's place.
    func search(_ searches: [ShardSearch], _ call: ShardCall) async throws(ShardError) -> [ShardSearchAnswer] {
        for search in searches { try requireDimension(search.query) }
        while true {
            _ = try view(call)
            var answers: [ShardSearchAnswer] = []
            for hits in try await scanner.hits(of: searches, until: call.deadline) {
                guard let answer = try answer(hits, call) else { break }
                answers.append(answer)
            }
            if answers.count == searches.count { return answers }
        }
    }

    /// With the candidates' records; nil when one of the best faces was deleted meanwhile.
    private func answer(_ hits: ScanHits, _ call: ShardCall) throws(ShardError) -> ShardSearchAnswer? {
        let view = hits.view
        guard call.roots.sorted() == view.roots else { throw .wrongOwner(descriptor.shard, owned: view.roots) }
        let rows = try read { () throws(ReplicaError) in try state.lookup(hits.best.map(\.match.face)) }
        guard rows.count == hits.best.count else { return nil }
        let names = Dictionary(uniqueKeysWithValues: rows.map { ($0.id, $0.externalImageID) })
        var candidates: [ShardCandidate] = []
        for hit in hits.best {
            let record = try reading { () throws(SegmentError) in try view.snapshot.record(at: hit.locator) }
            let face = StoredFace(id: hit.match.face, externalImageID: names[hit.match.face] ?? nil, record: record)
            candidates.append(ShardCandidate(score: hit.match.score, face: face))
        }
        return ShardSearchAnswer(
            candidates: candidates, facesScored: hits.scored, buckets: hits.buckets, lsn: view.lsn,
            tree: view.tree.index)
    }

    func faces(_ ids: [FaceID], _ call: ShardCall) throws(ShardError) -> [StoredFace] {
        try stored(call) { () throws(ReplicaError) in try state.lookup(ids) }
    }

    func list(after id: FaceID?, limit: Int, _ call: ShardCall) throws(ShardError) -> FacePage {
        let faces = try stored(call) { () throws(ReplicaError) in try state.list(after: id, limit: limit + 1) }
        return FacePage(faces: Array(faces.prefix(limit)), more: faces.count > limit)
    }

    func vector(_ id: FaceID, _ call: ShardCall) throws(ShardError) -> RotatedVector? {
        while true {
            _ = try view(call)
            let rows = try read { () throws(ReplicaError) in try state.lookup([id]) }
            guard !rows.isEmpty else { return nil }
            let snapshot = try view(call).snapshot
            if let locator = snapshot.locators(of: rows)?.first {
                return try reading { () throws(SegmentError) in try snapshot.vector(at: locator) }
            }
        }
    }

    func statistics(_ call: ShardCall) throws(ShardError) -> ShardStatistics {
        let view = try view(call)
        let snapshot = view.snapshot
        return ShardStatistics(
            faces: snapshot.liveCount, segments: snapshot.segments.count, bufferedFaces: snapshot.bufferedCount,
            residentBytes: snapshot.residentBytes,
            diskBytes: snapshot.segments.reduce(0) { $0 + $1.segment.fileBytes }, lsn: view.lsn,
            writesRefused: published.writesRefused)
    }

    /// Ends the writer after what it has begun; `done` is called when its files are closed.
    func stop(_ end: ReplicaEnd, done: @escaping @Sendable () -> Void) {
        // Refused only by an inbox that a stop before has closed.
        if inbox.add(.stop(end, done)) != nil { done() }
    }

    /// Rows with their records. A flush or compaction may move rows between the two reads; then both are made again.
    private func stored(
        _ call: ShardCall, _ rows: () throws(ReplicaError) -> [StateRow]
    ) throws(ShardError) -> [StoredFace] {
        while true {
            _ = try view(call)
            let rows = try read(rows)
            let snapshot = try view(call).snapshot
            guard let locators = snapshot.locators(of: rows) else { continue }
            var faces: [StoredFace] = []
            for (row, locator) in zip(rows, locators) {
                let record = try reading { () throws(SegmentError) in try snapshot.record(at: locator) }
                faces.append(StoredFace(id: row.id, externalImageID: row.externalImageID, record: record))
            }
            return faces
        }
    }

    /// What is answered from; refused where the shard is closed, damaged, owns something else than the caller
    /// believes, or nobody waits for an answer any more.
    func view(_ call: ShardCall) throws(ShardError) -> PublishedReplica.View {
        if let closed = published.closed { throw closed }
        if let reason = published.damaged { throw .damaged(descriptor.shard, reason: reason) }
        let view = published.current
        guard call.roots.sorted() == view.roots else { throw .wrongOwner(descriptor.shard, owned: view.roots) }
        guard call.deadline > .now else { throw .deadlineExceeded(descriptor.shard) }
        return view
    }

    /// A block that cannot be read or fails its checksum is not answered from, nor is anything beside it.
    func reading<Value>(_ body: () throws(SegmentError) -> Value) throws(ShardError) -> Value {
        do throws(SegmentError) {
            return try body()
        } catch {
            published.setDamaged("\(error)")
            throw .damaged(descriptor.shard, reason: "\(error)")
        }
    }

    func read<Value>(_ body: () throws(ReplicaError) -> Value) throws(ShardError) -> Value {
        do throws(ReplicaError) {
            return try body()
        } catch {
            // Closed between the check and the read: that is the reason, not damage.
            throw published.closed ?? .damaged(descriptor.shard, reason: error.text)
        }
    }

    private func requireDimension(_ vector: RotatedVector) throws(ShardError) {
        guard vector.dimension == descriptor.dimension else {
            throw .wrongDimension(expected: descriptor.dimension, got: vector.dimension)
        }
    }
}

/// A write as callers ask for it.
enum WriteRequest: Sendable {
    case enrol([NewFace])
    case delete([FaceID], token: RequestToken)
}

/// Hands a value from the opening thread to the writer thread, once.
// Safe because `take` empties it under the lock: exactly one thread ever has the value.
final class Handover<Value>: @unchecked Sendable {
    private let value: Mutex<Value?>

    init(_ value: sending Value) { self.value = Mutex(value) }

    func take() -> Value {
        value.withLock { value in
            guard let taken = value else { preconditionFailure("taken twice") }
            value = nil
            return taken
        }
    }
}
