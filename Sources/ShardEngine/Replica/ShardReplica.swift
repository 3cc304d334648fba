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
    let directory: String
    private let identity: FaceIdentityKeys
    private let state: ShardState
    private let published: PublishedReplica
    private let inbox = ReplicaInbox()
    private let files: any FileSystem

    /// Recovers the copy in `directory`, or makes an empty one, and starts its writer.
    init(_ descriptor: ShardDescriptor, directory: String, on files: any FileSystem) throws(ReplicaError) {
        self.descriptor = descriptor
        self.directory = directory
        self.files = files
        identity = FaceIdentityKeys(idKey: descriptor.idKey, modelVersion: descriptor.modelVersion)
        let logger = Logger(label: "facet.shard")
        let opened = try OpenedFiles(descriptor, directory: directory, on: files, logger: logger)
        state = opened.state
        published = PublishedReplica(snapshot: opened.snapshot, at: opened.log.lastIndex)
        let (inbox, published) = (inbox, published)
        let start = Handover(opened)
        let thread = Thread {
            ReplicaWriter(
                descriptor: descriptor, files: files, opened: start.take(), published: published, inbox: inbox,
                logger: logger
            ).run()
        }
        thread.name = "facet-shard"
        thread.start()
    }

    func write(_ request: WriteRequest) async throws(ShardError) -> ProposalOutcome {
        let proposal: Proposal.Request =
            switch request {
            case .enrol(let faces): .enrol(faces.map { KeyedFace(face: $0, key: identity.key(of: $0)) })
            case .delete(let ids, let token): .delete(ids, token: token)
            }
        let outcome = await withCheckedContinuation { (continuation: CheckedContinuation<ProposalOutcome, Never>) in
            let caller = ReplyBox { continuation.resume(returning: $0) }
            if case .failure(let refusal) = inbox.add(.request(proposal, caller)) {
                continuation.resume(
                    returning: refusal.final ? .stopped(reason: refusal.reason) : .refused(reason: refusal.reason))
            }
        }
        switch outcome {
        case .enrolled, .deleted: return outcome
        case .refused(let reason): throw .writesRefused(descriptor.shard, reason: reason)
        case .stopped(let reason): throw .stopped(descriptor.shard, reason: reason)
        }
    }

    /// Every live face is scored. A face that was deleted while the scan ran is dropped and the scan repeated, so that
    /// it takes nobody's place.
    func search(_ search: ShardSearch, on pool: ScanPool) async throws(ShardError) -> ShardSearchAnswer {
        try requireDimension(search.query)
        while true {
            try requireWhole()
            let (snapshot, lsn) = published.current
            let scan = ReplicaScan(snapshot: snapshot, query: PreparedQuery(search.query), search: search)
            guard await scan.run(on: pool) else {
                throw .writesRefused(descriptor.shard, reason: "too many searches are waiting for a scan thread")
            }
            let (best, scored) = scan.outcome
            let rows = try read { () throws(ReplicaError) in try state.lookup(best.map(\.match.face)) }
            guard rows.count == best.count else { continue }
            let names = Dictionary(uniqueKeysWithValues: rows.map { ($0.id, $0.externalImageID) })
            var candidates: [ShardCandidate] = []
            for hit in best {
                let record = try self.record(at: hit.locator, in: snapshot)
                let face = StoredFace(id: hit.match.face, externalImageID: names[hit.match.face] ?? nil, record: record)
                candidates.append(ShardCandidate(score: hit.match.score, face: face))
            }
            return ShardSearchAnswer(candidates: candidates, facesScored: scored, lsn: lsn)
        }
    }

    func faces(_ ids: [FaceID]) throws(ShardError) -> [StoredFace] {
        try stored { () throws(ReplicaError) in try state.lookup(ids) }
    }

    func list(after id: FaceID?, limit: Int) throws(ShardError) -> FacePage {
        let faces = try stored { () throws(ReplicaError) in try state.list(after: id, limit: limit + 1) }
        return FacePage(faces: Array(faces.prefix(limit)), more: faces.count > limit)
    }

    func vector(_ id: FaceID) throws(ShardError) -> RotatedVector? {
        while true {
            try requireWhole()
            let rows = try read { () throws(ReplicaError) in try state.lookup([id]) }
            guard !rows.isEmpty else { return nil }
            let (snapshot, _) = published.current
            if let locator = snapshot.locators(of: rows)?.first { return snapshot.vector(at: locator) }
        }
    }

    func statistics() throws(ShardError) -> ShardStatistics {
        try requireWhole()
        let (snapshot, lsn) = published.current
        return ShardStatistics(
            faces: snapshot.liveCount, segments: snapshot.segments.count, bufferedFaces: snapshot.bufferedCount,
            residentBytes: snapshot.residentBytes,
            diskBytes: snapshot.segments.reduce(0) { $0 + $1.segment.fileBytes }, lsn: lsn,
            writesRefused: published.writesRefused)
    }

    /// Ends the writer after what it has begun; returns when its files are closed.
    func stop() async {
        _ = await withCheckedContinuation { (continuation: CheckedContinuation<ProposalOutcome, Never>) in
            let caller = ReplyBox { continuation.resume(returning: $0) }
            if case .failure(let refusal) = inbox.add(.stop(caller)) {
                continuation.resume(returning: .refused(reason: refusal.reason))
            }
        }
    }

    /// Rows with their records. A flush or compaction may move rows between the two reads; then both are made again.
    private func stored(
        _ rows: () throws(ReplicaError) -> [StateRow]
    ) throws(ShardError) -> [StoredFace] {
        while true {
            try requireWhole()
            let rows = try read(rows)
            let (snapshot, _) = published.current
            guard let locators = snapshot.locators(of: rows) else { continue }
            var faces: [StoredFace] = []
            for (row, locator) in zip(rows, locators) {
                let record = try record(at: locator, in: snapshot)
                faces.append(StoredFace(id: row.id, externalImageID: row.externalImageID, record: record))
            }
            return faces
        }
    }

    private func record(at locator: RowLocator, in snapshot: SearchSnapshot) throws(ShardError) -> FaceRecord {
        do throws(SegmentError) {
            return try snapshot.record(at: locator)
        } catch {
            published.setDamaged("\(error)")
            throw .damaged(descriptor.shard, reason: "\(error)")
        }
    }

    private func read<Value>(_ body: () throws(ReplicaError) -> Value) throws(ShardError) -> Value {
        do throws(ReplicaError) { return try body() } catch { throw .damaged(descriptor.shard, reason: error.text) }
    }

    private func requireWhole() throws(ShardError) {
        if let reason = published.damaged { throw .damaged(descriptor.shard, reason: reason) }
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
