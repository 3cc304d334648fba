import FaceModel
import KeyHierarchy
import VectorSearch
import WriteAheadLog

/// Decides what a shard's log says and when a request is answered. Pure: the driver does all I/O.
///
/// Invariants: a request is answered only after every record it needs is durable and applied; records are applied in
/// log order, each once; a face key that is live has exactly one FaceID; the count `n` of a face key never falls; a face
/// is put under its home in the tree at that position of the log.
///
/// One batch is outstanding at a time: while it syncs, the driver queues what arrives and proposes it as the next.
struct ShardMachine {
    enum Event {
        /// Requests in their order of arrival, with what `state.sqlite` knows of every face they name.
        case proposed([Proposal], known: KnownFaces)
        /// Buckets that have grown too large were divided; in the order of their new ids.
        case divided([BucketSplit])
        case durable(LogIndex)
        case applied
        /// The log took nothing of the outstanding batch (disk full, too large).
        case refused(reason: String)
        /// The log may hold part of the batch and will take no more.
        case stopped(reason: String)
        case idle
    }

    enum Effect: Equatable {
        case append([LogEntry])
        case apply([Change], through: LogIndex)
        case answer(ProposalID, ProposalOutcome)
    }

    private enum Phase {
        case ready(confirmed: Bool)
        case syncing(Batch)
        case applying(Batch)
        case stopped(reason: String)
    }

    private struct Batch {
        var entries: [LogEntry] = []
        var changes: [Change] = []
        var answers: [(ProposalID, ProposalOutcome)] = []
        var through: LogIndex = .zero
        /// Whether the batch before this one was proved durable: so it stays when the log takes nothing of this one.
        var confirmedBefore = true
    }

    let identity: FaceIdentityKeys
    /// As far as the log is durable.
    private(set) var tree: DatedTree
    private var phase: Phase
    private var lastIndex: LogIndex

    /// `confirmed`: the log's tail is known durable by a later record, so that no idle record is owed.
    init(identity: FaceIdentityKeys, tree: DatedTree, lastIndex: LogIndex) {
        self.identity = identity
        self.tree = tree
        self.lastIndex = lastIndex
        phase = .ready(confirmed: true)
    }

    /// The subtree roots the shard owns, rising; never none.
    var roots: [LeafID] { tree.tree.roots }

    /// True while a batch is out: the driver must not propose.
    var busy: Bool {
        switch phase {
        case .ready, .stopped: false
        case .syncing, .applying: true
        }
    }

    /// True once the log takes no more.
    var isStopped: Bool {
        if case .stopped = phase { true } else { false }
    }

    /// True when the last batch is not yet proved durable by a later record (replication.md, rule 4).
    var owesConfirmation: Bool {
        if case .ready(confirmed: false) = phase { true } else { false }
    }

    mutating func step(_ event: Event) -> [Effect] {
        switch (phase, event) {
        case (.ready, .proposed(let proposals, let known)):
            return propose(proposals, known: known)
        case (.stopped(let reason), .proposed(let proposals, _)):
            return proposals.map { .answer($0.id, .stopped(reason: reason)) }
        case (.ready, .divided(let splits)):
            return append(splits)
        case (.stopped, .divided):
            return []
        case (.syncing(var batch), .durable(let index)):
            precondition(index == lastIndex, "durable at \(index), expected \(lastIndex)")
            batch.through = index
            for case .split(let split, let place) in batch.changes { tree.apply(split, at: place) }
            phase = .applying(batch)
            return [.apply(batch.changes, through: index)]
        case (.applying(let batch), .applied):
            phase = .ready(confirmed: batch.changes.isEmpty)
            return batch.answers.map { .answer($0, $1.placed(at: batch.through)) }
        case (.syncing(let batch), .refused(let reason)):
            lastIndex = LogIndex(lastIndex.value - UInt64(batch.entries.count))
            phase = .ready(confirmed: batch.confirmedBefore)
            return batch.answers.map { id, _ in .answer(id, .refused(reason: reason)) }
        case (.syncing(let batch), .stopped(let reason)), (.applying(let batch), .stopped(let reason)):
            phase = .stopped(reason: reason)
            return batch.answers.map { id, _ in .answer(id, .stopped(reason: reason)) }
        case (.ready, .stopped(let reason)):
            phase = .stopped(reason: reason)
            return []
        case (.stopped, .stopped):
            return []
        case (.ready(confirmed: false), .idle):
            let confirmation = LogEntry(type: .noop, token: .none, payload: [])
            lastIndex = lastIndex.next
            phase = .syncing(Batch(entries: [confirmation], confirmedBefore: false))
            return [.append([confirmation])]
        case (.ready(confirmed: true), .idle), (.stopped, .idle):
            return []
        case (.syncing, .proposed), (.applying, .proposed), (.syncing, .divided), (.applying, .divided),
            (.syncing, .idle), (.applying, .idle), (.ready, _), (.syncing, .applied), (.applying, _), (.stopped, _):
            preconditionFailure("\(event) while \(phase)")
        }
    }

    private mutating func propose(_ proposals: [Proposal], known: KnownFaces) -> [Effect] {
        var batch = Batch(confirmedBefore: !owesConfirmation)
        var known = known
        for proposal in proposals {
            batch.answers.append((proposal.id, decide(proposal, known: &known, batch: &batch)))
        }
        guard !batch.entries.isEmpty else {
            return batch.answers.map { .answer($0, $1.placed(at: lastIndex)) }
        }
        lastIndex = lastIndex.advanced(by: batch.entries.count)
        phase = .syncing(batch)
        return [.append(batch.entries)]
    }

    private mutating func append(_ splits: [BucketSplit]) -> [Effect] {
        guard !splits.isEmpty else { return [] }
        var batch = Batch(confirmedBefore: !owesConfirmation)
        for (number, split) in splits.enumerated() {
            batch.entries.append(LogEntry(type: .bucketSplit, token: .none, payload: split.payload))
            batch.changes.append(.split(split, at: lastIndex.advanced(by: number + 1)))
        }
        lastIndex = lastIndex.advanced(by: batch.entries.count)
        phase = .syncing(batch)
        return [.append(batch.entries)]
    }

    private func decide(_ proposal: Proposal, known: inout KnownFaces, batch: inout Batch) -> ProposalOutcome {
        guard proposal.roots.sorted() == roots else { return .wrongOwner(roots) }
        switch proposal.request {
        case .enrol(let faces):
            return .enrolled(faces.map { enrol($0, known: &known, batch: &batch) }, at: .zero)
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

    private func enrol(_ face: KeyedFace, known: inout KnownFaces, batch: inout Batch) -> FaceID {
        let state = known.keys[face.key] ?? FaceKeyState(count: 0, live: false)
        let id = identity.faceID(key: face.key, count: state.count)
        if state.live { return id }
        // A shard has one root.
        let leaf = tree.tree.home(of: face.face.vector, below: roots[0])
        let put = PutRecord(
            id: id, key: face.key, count: state.count, leaf: leaf, externalImageID: face.face.externalImageID,
            record: face.face.record, vector: face.face.vector)
        known.keys[face.key] = FaceKeyState(count: state.count, live: true)
        known.live[id] = face.key
        batch.entries.append(LogEntry(type: .put, token: face.face.token, payload: put.payload))
        batch.changes.append(.put(put))
        return id
    }

    private func delete(_ id: FaceID, token: RequestToken, known: inout KnownFaces, batch: inout Batch) -> Bool {
        guard let key = known.live.removeValue(forKey: id) else { return false }
        let count = (known.keys[key]?.count ?? 0) + 1
        known.keys[key] = FaceKeyState(count: count, live: false)
        let delete = DeleteRecord(id: id, key: key, nextCount: count)
        batch.entries.append(LogEntry(type: .delete, token: token, payload: delete.payload))
        batch.changes.append(.delete(delete))
        return true
    }
}
