import ClusterModel
import FaceModel
import Foundation
import Logging
import Replication
import SegmentStore
import StorageIO
import Synchronization
import VectorSearch

/// One copy of a shard: its writer thread, and the reads that run beside it.
final class ShardReplica: Sendable {
    let descriptor: ShardDescriptor
    /// In which it was opened. It lives in no other: of a later one it is opened anew.
    let generation: Generation
    let keys: CollectionKeys
    let folder: ShardFolder
    let state: ShardState
    let published: PublishedReplica
    let inbox: ReplicaInbox<WaitingRequest>
    private let scanner: ReplicaScanner
    /// Lends its files to other copies.
    let desk: CopyDesk
    let alarm: RotAlarm

    /// Recovers the copy in `folder`, or makes an empty one where `mode` allows it, and starts its writer. `register` is
    /// the shard's, where it could be read; `replace` has a copy that was fetched put in this one's place.
    init(
        _ descriptor: ShardDescriptor, _ mode: OpenMode, register: RegisterState?, in folder: ShardFolder,
        pool: ScanPool, budget: MemoryBudget, surroundings: ReplicaSurroundings,
        replace: @escaping @Sendable () -> Void
    ) throws(ReplicaError) {
        self.descriptor = descriptor
        let keys = CollectionKeys(FaceIdentityKeys(descriptor))
        (self.keys, self.folder) = (keys, folder)
        let logger = Logger(label: "facet.shard")
        let opened = try OpenedFiles(
            descriptor, mode, register: register, in: folder, mapsPlanes: budget.mapsPlanes, logger: logger)
        state = opened.state
        generation = opened.openedLog.memory.register.configuration.generation
        published = PublishedReplica(
            .init(snapshot: opened.snapshot, tree: opened.tree, split: opened.split, lsn: opened.applied),
            budget: budget)
        inbox = ReplicaInbox(shard: descriptor.shard)
        alarm = RotAlarm(shard: descriptor.shard, condition: published.condition, inbox: inbox)
        desk = CopyDesk(shard: descriptor.shard, folder: folder, inbox: inbox, alarm: alarm)
        scanner = ReplicaScanner(shard: descriptor.shard, published: published, pool: pool, alarm: alarm)
        for (segment, fault) in opened.store.lostSegments {
            _ = published.condition.setRotten(segment, fault.sentence)
        }
        let (inbox, published) = (inbox, published)
        if let refusal = published.lockMemory() {
            published.close(.damaged(descriptor.shard, reason: refusal))
            throw .contradiction(reason: refusal)
        }
        let start = Handover(opened)
        let thread = Thread {
            let opened = start.take()
            let content = FaceContent(
                descriptor, keys: keys, copying: FaceCopying(folder: folder, replace: replace), opened: opened,
                published: published, budget: budget, logger: logger)
            ReplicaWriter(
                opened.openedLog, applied: opened.applied, unapplied: opened.unapplied, content: content,
                condition: published.condition, inbox: inbox, recordBytes: 256 + 4 * descriptor.dimension,
                surroundings: surroundings, logger: logger
            ).run()
        }
        thread.name = "facet-shard"
        thread.start()
    }

    /// The subtree roots the shard owns.
    var roots: [LeafID] { published.current.roots }
    var faces: Int { published.current.snapshot.liveCount }
    var isDamaged: Bool { damaged != nil }
    /// Why it answers nothing; nil where it does.
    var damaged: String? { published.condition.damaged }

    /// Completes once it was proposed, however late; a request that waits past its deadline is never proposed.
    func write(_ request: WriteRequest, _ call: ShardCall) async throws(ShardError) -> ProposalOutcome {
        // The log takes writes also while a segment is repaired.
        _ = try view(call, toAnswer: false)
        // A coordinator that opens the shard brings the key.
        guard let identity = keys.known else { throw .unknownShard(descriptor.shard) }
        let proposal: Proposal.Request =
            switch request {
            case .enrol(let faces): .enrol(faces.map { KeyedFace(face: $0, key: identity.key(of: $0)) }, identity)
            case .delete(let ids, let token): .delete(ids, token: token)
            case .split(let step): .split(step)
            }
        let outcome = await withCheckedContinuation {
            (continuation: CheckedContinuation<Result<ProposalOutcome, ShardError>, Never>) in
            let waiting = WaitingRequest(roots: call.roots, request: proposal, deadline: call.patience) {
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
        try await confirm(call)
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
            candidates: candidates, facesScored: hits.scored, buckets: hits.buckets, at: position(view.lsn),
            tree: view.tree.index)
    }

    func statistics(_ call: ShardCall) throws(ShardError) -> ShardStatistics {
        let view = try view(call)
        let snapshot = view.snapshot
        return ShardStatistics(
            faces: snapshot.liveCount, segments: snapshot.segments.count, bufferedFaces: snapshot.bufferedCount,
            residentBytes: snapshot.residentBytes,
            diskBytes: snapshot.segments.reduce(0) { $0 + $1.segment.fileBytes }, lsn: view.lsn,
            writesRefused: published.condition.writesRefused ?? view.split.map { _ in "it is being split" })
    }

    /// Waits until the only copy of a shard serves, which it must first be chosen for; not for one of several.
    func settle(until deadline: ContinuousClock.Instant) async {
        let settled = Promise<Void>()
        guard inbox.add(.settle { settled.settle(()) }) == nil else { return }
        _ = await settled.value(until: deadline)
    }

    /// Its part among the shard's copies; nil until its writer has begun.
    var role: ReplicaCondition.Role? { published.condition.role }

    func receive(_ letter: ReplicaLetter) {
        // A letter too many is lost like one on its way.
        _ = inbox.add(.letter(letter))
    }

    func observe(_ register: RegisterState) { _ = inbox.add(.register(register)) }

    func report() async -> ReplicaReport? {
        await withCheckedContinuation { continuation in
            if inbox.add(.report { continuation.resume(returning: $0) }) != nil { continuation.resume(returning: nil) }
        }
    }

    /// Has a copy leave those in sync; for itself another is chosen.
    func retire(_ replica: ReplicaID) async throws(ShardError) {
        let refusal = await withCheckedContinuation { (continuation: CheckedContinuation<ShardError?, Never>) in
            if let refusal = inbox.add(.retire(replica) { continuation.resume(returning: $0) }) {
                continuation.resume(returning: refusal)
            }
        }
        if let refusal { throw refusal }
    }

    /// Ends the writer after what it has begun; `done` is called when its files are closed.
    func stop(_ end: ReplicaEnd, done: @escaping @Sendable () -> Void) {
        // Refused only by an inbox that a stop before has closed.
        if inbox.add(.stop(end, done)) != nil { done() }
    }

    func splitProgress() throws(ShardError) -> SplitProgress {
        if let closed = published.condition.closed { throw closed }
        try requireUndamaged()
        return published.current.splitProgress(published.condition.halves)
    }

    func requireUndamaged() throws(ShardError) {
        if let reason = published.condition.damaged { throw .damaged(descriptor.shard, reason: reason) }
    }

    /// What is answered from; refused where the shard is closed, damaged, owns something else than the caller
    /// believes, or nobody waits for an answer any more. A write is no answer: it needs no segment.
    func view(_ call: ShardCall, toAnswer: Bool = true) throws(ShardError) -> PublishedReplica.View {
        if let closed = published.condition.closed { throw closed }
        if toAnswer {
            try requireUndamaged()
        } else if let reason = published.condition.ruined {
            throw .damaged(descriptor.shard, reason: reason)
        }
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
            throw alarm.raise(error)
        }
    }

    func read<Value>(_ body: () throws(ReplicaError) -> Value) throws(ShardError) -> Value {
        do throws(ReplicaError) {
            return try body()
        } catch {
            // Closed between the check and the read: that is the reason, not damage.
            throw published.condition.closed ?? .damaged(descriptor.shard, reason: error.text)
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
    case split(SplitChange)
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
