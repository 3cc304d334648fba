import ClusterModel
import FaceModel
import SegmentStore

/// Reads of single faces, and what every read waits for.
extension ShardReplica {
    func faces(_ ids: [FaceID], _ call: ShardCall) async throws(ShardError) -> FacePage {
        try await confirm(call)
        return try stored(call) { () throws(ReplicaError) in try state.find(ids) }
    }

    func list(after id: FaceID?, limit: Int, _ call: ShardCall) async throws(ShardError) -> FacePage {
        try await confirm(call)
        var page = try stored(call) { () throws(ReplicaError) in try state.list(after: id, limit: limit + 1) }
        page.more = page.faces.count > limit
        page.faces = Array(page.faces.prefix(limit))
        return page
    }

    func vector(_ id: FaceID, _ call: ShardCall) async throws(ShardError) -> RotatedVector? {
        try await confirm(call)
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

    func position(_ lsn: LogIndex) -> ShardPosition { ShardPosition(generation, lsn) }

    /// Waits until the published snapshot shows what the caller must see: at once for the only copy and where it does
    /// already; for everything acknowledged before the call after a round of all that are in sync; else once the log has
    /// come so far, or the primary has said how far it is.
    func confirm(_ call: ShardCall) async throws(ShardError) {
        let view = try view(call)
        if published.condition.role?.isAlone == true { return }
        if case .session(let seen) = call.level, try shows(view.lsn, seen) { return }
        let refusal = await withCheckedContinuation { (continuation: CheckedContinuation<ShardError?, Never>) in
            let read = WaitingRead(level: call.level, deadline: call.patience) { continuation.resume(returning: $0) }
            if let refusal = inbox.add(.read(read)) { continuation.resume(returning: refusal) }
        }
        if let refusal { throw refusal }
    }

    /// A session that has seen nothing of the shard is content with any copy that counts; one that is being made would say
    /// that there is nobody.
    private func shows(_ lsn: LogIndex, _ seen: ShardPosition) throws(ShardError) -> Bool {
        guard seen == .zero else { return seen.generation == generation && lsn >= seen.lsn }
        guard published.condition.role?.configuration.isr.contains(descriptor.replica) == true else {
            throw .notServing(descriptor.shard, reason: "its copy does not count yet")
        }
        return true
    }

    /// Rows with their records. A flush or compaction may move rows between the two reads; then both are made again.
    private func stored(
        _ call: ShardCall, _ find: () throws(ReplicaError) -> FoundRows
    ) throws(ShardError) -> FacePage {
        while true {
            _ = try view(call)
            let found = try read(find)
            let snapshot = try view(call).snapshot
            guard let locators = snapshot.locators(of: found.rows) else { continue }
            var faces: [StoredFace] = []
            for (row, locator) in zip(found.rows, locators) {
                let record = try reading { () throws(SegmentError) in try snapshot.record(at: locator) }
                faces.append(StoredFace(id: row.id, externalImageID: row.externalImageID, record: record))
            }
            return FacePage(faces: faces, more: false, at: position(found.applied))
        }
    }
}

extension ShardCall {
    private static let answerTime = Duration.milliseconds(500)

    /// Until when other copies are waited for: whoever asked is to hear that it was in vain, and why.
    var patience: ContinuousClock.Instant {
        deadline - min(ContinuousClock.now.duration(to: deadline) / 5, Self.answerTime)
    }
}
