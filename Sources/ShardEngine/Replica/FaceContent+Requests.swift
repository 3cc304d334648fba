import ClusterModel
import FaceModel
import WriteAheadLog

/// Clients' writes to a shard of faces: which are taken, and what they become.
extension FaceContent {
    /// Takes what can be taken now, decides what the log says of it, and has that committed.
    func propose(_ requests: [WaitingRequest], to writer: ReplicaWriter<FaceContent>) {
        maintain(writer)
        let (taken, reserved) = admit(requests)
        guard !taken.isEmpty else { return }
        let proposals = taken.enumerated().map { number, request in
            Proposal(id: ProposalID(value: UInt64(number)), roots: request.roots, request: request.request)
        }
        let batch: ShardBatch
        do throws(ReplicaError) {
            let known = try state.known(proposals.map(\.request))
            batch = ShardMachine(tree: tree, split: split, end: writer.core.log.end).batch(proposals, known: known)
        } catch {
            budget.change(by: -reserved)
            for request in taken {
                request.resume(.failure(.writesRefused(descriptor.shard, reason: error.text)))
            }
            return
        }
        let shard = descriptor.shard
        writer.write(batch.entries, batch.changes) { [budget] result in
            budget.change(by: -reserved)
            for (answer, request) in zip(batch.answers, taken) {
                request.resume(result.flatMap { answer.outcome.placed(at: $0).result(shard) })
            }
        }
    }

    /// Answers the requests that cannot be taken now, before anything is written for them; returns the others, and the
    /// bytes of the budget that are reserved for them.
    private func admit(_ requests: [WaitingRequest]) -> (taken: [WaitingRequest], reserved: Int) {
        guard store.hasRoom else {
            let reason = "the buffer is full and cannot be flushed: \(published.condition.writesRefused ?? "")"
            for request in requests { request.refuse(descriptor.shard, reason) }
            return ([], 0)
        }
        let diskRefusal = DiskSpace.refusal(at: store.directory, enrolling: true, on: files)
        let deleteRefusal = DiskSpace.refusal(at: store.directory, enrolling: false, on: files)
        enrolmentRefusal = diskRefusal ?? budget.refusal(of: store.growth(adding: 1, after: 0))
        published.condition.setWritesRefused(enrolmentRefusal)
        var (taken, faces, reserved) = ([WaitingRequest](), 0, 0)
        for request in requests {
            var refusal = deleteRefusal
            if case .enrol(let new, _) = request.request {
                let growth = store.growth(adding: new.count, after: faces)
                refusal = diskRefusal ?? budget.reserve(growth)
                if refusal == nil { (faces, reserved) = (faces + new.count, reserved + growth) }
            }
            if let refusal { request.refuse(descriptor.shard, refusal) } else { taken.append(request) }
        }
        return (taken, reserved)
    }
}

extension WaitingRequest {
    fileprivate func refuse(_ shard: ShardID, _ reason: String) {
        refuse(.writesRefused(shard, reason: reason))
    }
}

extension Proposal.Request {
    var keys: [FaceKey] {
        if case .enrol(let faces, _) = self { faces.map(\.key) } else { [] }
    }

    /// Of enrolments; a delete's is compared with what is known of its faces.
    var tokens: [RequestToken] {
        if case .enrol(let faces, _) = self { faces.map(\.face.token) } else { [] }
    }

    var ids: [FaceID] {
        if case .delete(let ids, _) = self { ids } else { [] }
    }

    /// What the request will weigh in the log, about.
    var estimatedBytes: Int {
        switch self {
        case .enrol(let faces, _): faces.reduce(0) { $0 + 256 + 4 * $1.face.vector.dimension }
        case .delete(let ids, _): ids.count * 112
        case .split: 64
        }
    }
}

extension [Change] {
    var deletedIDs: [FaceID] {
        compactMap { if case .delete(let delete) = $0 { delete.id } else { nil } }
    }
}
