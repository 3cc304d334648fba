import FaceModel
import KeyHierarchy
import Replication
import VectorSearch
import WriteAheadLog

/// What a batch of requests adds to a shard's log, and what each is told once that is committed and applied.
struct ShardBatch {
    var entries: [LogEntry] = []
    /// What applying each entry does.
    var changes: [Change] = []
    var answers: [(id: ProposalID, outcome: ProposalOutcome)] = []
}

/// Decides what a shard's log says. Pure: the driver does all I/O, and `ReplicaCore` decides when a record counts.
///
/// Invariants: a face key that is live has exactly one FaceID; the count `n` of a face key never falls; a face is put
/// under its home in the tree at that position of the log. For these a batch is decided only where every record before
/// it is applied, and no other is decided before it is: one batch is outstanding at a time.
struct ShardMachine {
    /// At the applied index.
    let tree: DatedTree
    /// Of the shard, at the applied index.
    var split: ShardSplitState?
    /// Of the log; the first record is written behind it, in the same epoch.
    var end = LogPoint.zero

    init(tree: DatedTree, split: ShardSplitState? = nil, end: LogPoint = .zero) {
        (self.tree, self.split, self.end) = (tree, split, end)
    }

    /// Requests in their order of arrival, with what `state.sqlite` knows of every face they name.
    func batch(_ proposals: [Proposal], known: KnownFaces) -> ShardBatch {
        var batch = ShardBatch()
        var known = known
        var split = split
        for proposal in proposals {
            let outcome = decide(proposal, known: &known, split: &split, batch: &batch)
            batch.answers.append((proposal.id, outcome))
        }
        return batch
    }

    /// Buckets that have grown too large were divided; in the order of their new ids. `first`: the position of the first
    /// record.
    func batch(_ splits: [BucketSplit], at first: LogIndex) -> ShardBatch {
        var batch = ShardBatch()
        for (number, split) in splits.enumerated() {
            batch.entries.append(LogEntry(type: .bucketSplit, token: .none, payload: split.payload))
            batch.changes.append(.split(split, at: first.advanced(by: number)))
        }
        return batch
    }

    /// What every copy is to hold behind the records so far. `place`: the position of the record.
    func checkpoint(_ digest: StateDigest, at place: LogIndex) -> ShardBatch {
        ShardBatch(
            entries: [LogEntry(type: .checkpoint, token: .none, payload: CheckpointRecord(digest: digest).payload)],
            changes: [.checkpoint(digest, at: place)])
    }

    private func decide(
        _ proposal: Proposal, known: inout KnownFaces, split: inout ShardSplitState?, batch: inout ShardBatch
    ) -> ProposalOutcome {
        let roots = tree.roots(split)
        guard proposal.roots.sorted() == roots else { return .wrongOwner(roots) }
        switch proposal.request {
        case .split(let step): return decide(step, split: &split, batch: &batch)
        case .enrol, .delete: if split != nil { return .dividing }
        }
        return decide(proposal.request, known: &known, batch: &batch)
    }

    private func decide(
        _ request: Proposal.Request, known: inout KnownFaces, batch: inout ShardBatch
    ) -> ProposalOutcome {
        switch request {
        case .split: preconditionFailure("decided before")
        case .enrol(let faces, let identity):
            return .enrolled(enrol(faces, identity, known: &known, batch: &batch), at: .zero)
        case .delete(let ids, let token):
            var deleted: [FaceID] = []
            var missing: [FaceID] = []
            for id in ids {
                if delete(id, token: token, known: &known, batch: &batch) {
                    deleted.append(id)
                } else {
                    missing.append(id)
                }
            }
            return .deleted(deleted, notFound: missing, at: .zero)
        }
    }

    /// Equal faces of one request have one id, also where it is asked again.
    private func enrol(
        _ faces: [KeyedFace], _ identity: FaceIdentityKeys, known: inout KnownFaces, batch: inout ShardBatch
    ) -> [FaceID] {
        var ids: [FaceKey: FaceID] = [:]
        return faces.map { face in
            let id = ids[face.key] ?? enrol(face, identity, known: &known, batch: &batch)
            ids[face.key] = id
            return id
        }
    }

    private func enrol(
        _ face: KeyedFace, _ identity: FaceIdentityKeys, known: inout KnownFaces, batch: inout ShardBatch
    ) -> FaceID {
        // Whoever asks again because the answer was lost is told what the first answer said, though the face is gone.
        let token = face.face.token
        if let id = known.enrolments[token] { return id }
        let state = known.keys[face.key] ?? FaceKeyState(count: 0, live: false)
        let id = identity.faceID(key: face.key, count: state.count)
        if state.live { return id }
        // A shard has one root.
        let leaf = tree.tree.home(of: face.face.vector, below: tree.tree.roots[0])
        let put = PutRecord(
            id: id, key: face.key, count: state.count, leaf: leaf, externalImageID: face.face.externalImageID,
            record: face.face.record, vector: face.face.vector, token: token)
        known.keys[face.key] = FaceKeyState(count: state.count, live: true)
        known.live[id] = face.key
        if token != .none { known.enrolments[token] = id }
        batch.entries.append(LogEntry(type: .put, token: token, payload: put.payload))
        batch.changes.append(.put(put))
        return id
    }

    private func delete(
        _ id: FaceID, token: RequestToken, known: inout KnownFaces, batch: inout ShardBatch
    ) -> Bool {
        // Whoever asks again because the answer was lost is told what the first answer said.
        guard let key = known.live.removeValue(forKey: id) else {
            return token != .none && known.deletions[id] == token
        }
        let count = (known.keys[key]?.count ?? 0) + 1
        known.keys[key] = FaceKeyState(count: count, live: false)
        let delete = DeleteRecord(id: id, key: key, nextCount: count, token: token)
        batch.entries.append(LogEntry(type: .delete, token: token, payload: delete.payload))
        batch.changes.append(.delete(delete))
        return true
    }
}
