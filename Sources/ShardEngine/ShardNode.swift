package import ClusterModel
package import FaceModel
import Foundation
import Logging
package import Replication
package import StorageIO

/// The shards of one node: opens and closes replicas and passes requests to them. What other nodes' copies ask goes to
/// its copy of the ledger too, where it keeps one.
///
/// A replica that is damaged is kept as such: its requests are refused with the reason, all others go on.
package final class ShardNode: ShardService {
    let shelf: ShardShelf
    private let ledger: LedgerShelf?
    let ledgerDirectory: String?
    private let pool: ScanPool
    let files: any FileSystem
    private let directory: String
    private let started = ContinuousClock.now
    private let metrics = ShardMetrics()
    private let log = Logger(label: "facet.node")

    /// `directory` holds one folder a shard. `capacityBytes`: from so much memory of its shards on enrolments are
    /// refused; 0 is no limit. `locksMemory`: segments lock what every search reads; `MemoryLock` says whether the
    /// system allows it. `mapsPlanes`: planes that not every search reads stay in the segments' files. Who makes it stops
    /// `ledger`, whose files are in `ledgerDirectory`, also where this node keeps it by itself.
    package init(
        directory: String, files: any FileSystem, pool: ScanPool, surroundings: ReplicaSurroundings,
        capacityBytes: Int = 0, locksMemory: Bool = false, mapsPlanes: Bool = false, ledger: LedgerShelf? = nil,
        ledgerDirectory: String? = nil
    ) {
        self.ledger = ledger
        self.ledgerDirectory = ledgerDirectory
        shelf = ShardShelf(
            directory: directory, files: files, pool: pool, surroundings: surroundings,
            budget: MemoryBudget(capacityBytes: capacityBytes, locksMemory: locksMemory, mapsPlanes: mapsPlanes))
        self.directory = directory
        self.files = files
        self.pool = pool
    }

    package func open(
        _ descriptor: ShardDescriptor, _ mode: OpenMode, _ call: ShardCall
    ) async throws(ShardError) {
        try await shelf.open(descriptor, mode, until: call.deadline)
    }

    package func drop(_ call: ShardCall) async throws(ShardError) {
        try await shelf.drop(call.shard, until: call.deadline)
    }

    package func retire(_ replica: ReplicaID, _ call: ShardCall) async throws(ShardError) {
        if let ledger = ledger(call.shard) { return try await ledger.retire(replica) }
        try await shelf.replica(call.shard).retire(replica)
    }

    package func split(_ step: SplitStep, _ call: ShardCall) async throws(ShardError) -> SplitProgress {
        try await shelf.replica(call.shard).split(step, call)
    }

    package func enrol(_ faces: [NewFace], _ call: ShardCall) async throws(ShardError) -> EnrolOutcome {
        let replica = try shelf.replica(call.shard)
        let outcome = try await write(.enrol(faces), to: replica, call)
        guard case .enrolled(let ids, let lsn) = outcome else { preconditionFailure("an enrolment became \(outcome)") }
        return EnrolOutcome(faces: ids, at: replica.position(lsn))
    }

    package func delete(
        _ faces: [FaceID], token: RequestToken, _ call: ShardCall
    ) async throws(ShardError) -> DeleteOutcome {
        let replica = try shelf.replica(call.shard)
        let outcome = try await write(.delete(faces, token: token), to: replica, call)
        guard case .deleted(let ids, let missing, let lsn) = outcome else {
            preconditionFailure("a delete became \(outcome)")
        }
        return DeleteOutcome(deleted: ids, notFound: missing, at: replica.position(lsn))
    }

    package func search(
        _ searches: [ShardSearch], _ call: ShardCall
    ) async throws(ShardError) -> [ShardSearchAnswer] {
        let began = ContinuousClock.now
        do throws(ShardError) {
            let answers = try await shelf.replica(call.shard).search(searches, call)
            metrics.searched(since: began)
            return answers
        } catch {
            if case .deadlineExceeded = error { metrics.abandoned() }
            throw error
        }
    }

    package func buckets(after: LeafID?, limit: Int, _ call: ShardCall) async throws(ShardError) -> BucketPage {
        try shelf.replica(call.shard).buckets(after: after, limit: limit, call)
    }

    package func sample(_ request: SampleRequest, _ call: ShardCall) async throws(ShardError) -> [SampledFace] {
        try shelf.replica(call.shard).sample(request, call)
    }

    package func faces(_ ids: [FaceID], _ call: ShardCall) async throws(ShardError) -> FacePage {
        try await shelf.replica(call.shard).faces(ids, call)
    }

    package func vector(_ id: FaceID, _ call: ShardCall) async throws(ShardError) -> RotatedVector? {
        try await shelf.replica(call.shard).vector(id, call)
    }

    package func list(after: FaceID?, limit: Int, _ call: ShardCall) async throws(ShardError) -> FacePage {
        try await shelf.replica(call.shard).list(after: after, limit: limit, call)
    }

    package func statistics(_ call: ShardCall) async throws(ShardError) -> ShardStatistics {
        try shelf.replica(call.shard).statistics(call)
    }

    package func statistics(
        ofNode node: NodeID, deadline: ContinuousClock.Instant
    ) async throws(NodeError) -> NodeStatistics {
        let space: DiskCapacity
        do throws(FileError) {
            try files.createDirectory(directory)
            space = try files.space(at: directory)
        } catch {
            throw NodeError(node: node, reason: "its data directory does not tell its free space: \(error)")
        }
        let census = shelf.census()
        return NodeStatistics(
            version: FacetVersion.text, uptimeSeconds: Int(started.duration(to: .now).components.seconds),
            shards: census.open + census.damaged, damagedShards: census.damaged, faces: census.faces,
            residentBytes: ProcessMemory.residentBytes, capacityBytes: shelf.budget.capacityBytes,
            diskFreeBytes: space.free,
            diskTotalBytes: space.total)
    }

    package func copies(
        ofNode node: NodeID, of shard: ShardID?, deadline: ContinuousClock.Instant
    ) async throws(NodeError) -> [HeldCopy] {
        do throws(FileError) {
            return try await shelf.held(shard) + heldLedger(shard)
        } catch {
            throw NodeError(node: node, reason: "its data directory cannot be read: \(error.sentence)")
        }
    }

    private func heldLedger(_ shard: ShardID?) -> [HeldCopy] {
        guard let ledgerDirectory else { return [] }
        do throws(ReplicaError) {
            let copy = try HeldCopyReader(files: files).copy(
                in: ledgerDirectory, ledger?.role.map { .open($0) } ?? .closed)
            return [copy].compactMap(\.self).filter { shard == nil || shard == $0.shard }
        } catch {
            log.error("the copy of the ledger says nothing of itself", metadata: ["reason": "\(error.text)"])
            return []
        }
    }

    /// The parts of the node's copies among those of their shards, as each copy last knew it.
    package var copies: CopyCensus { shelf.copies() }

    /// Ends every writer; returns when all files are closed. Requests that come later are refused.
    package func stop() async {
        await shelf.stop()
        pool.stop()
    }

    private func write(
        _ request: WriteRequest, to replica: ShardReplica, _ call: ShardCall
    ) async throws(ShardError) -> ProposalOutcome {
        do throws(ShardError) {
            return try await replica.write(request, call)
        } catch {
            if case .writesRefused = error { metrics.refused() }
            throw error
        }
    }
}

/// The ledger's copy is a replica like any other to those of other nodes.
extension ShardNode: ReplicaHost {
    package func receive(_ letter: ReplicaLetter) {
        if let ledger = ledger(letter.shard) { return ledger.receive(letter) }
        shelf.copy(letter.shard)?.receive(letter)
    }

    package func report(of shard: ShardID) async -> ReplicaReport? {
        if let ledger = ledger(shard) { return await ledger.report(of: shard) }
        return await shelf.copy(shard)?.report()
    }

    /// A shard's register as it was read or has changed; of a shard that is not here it is nobody's.
    package func observe(_ register: RegisterState, of shard: ShardID) {
        if let ledger = ledger(shard) { return ledger.observe(register, of: shard) }
        shelf.observe(register, of: shard)
    }

    package func listing(of shard: ShardID, for receiver: ReplicaID) async -> CopyListing? {
        if let ledger = ledger(shard) { return await ledger.listing(of: shard, for: receiver) }
        return shelf.copy(shard)?.desk.listing(for: receiver)
    }

    package func read(_ chunk: CopyChunk, of shard: ShardID) async -> [UInt8]? {
        if let ledger = ledger(shard) { return await ledger.read(chunk, of: shard) }
        return await shelf.copy(shard)?.desk.read(chunk)
    }

    /// Tiles of the ledger are never changed: nothing is held.
    package func release(_ number: UInt64, of shard: ShardID) async { shelf.copy(shard)?.desk.release(number) }

    /// The ledger has no faces.
    package func rows(of faces: [FaceID], _ shard: ShardID) async -> [[UInt8]]? { shelf.copy(shard)?.rows(of: faces) }

    private func ledger(_ shard: ShardID) -> LedgerShelf? { ledger?.shard == shard ? ledger : nil }
}

/// How many of a node's copies have which part.
package struct CopyCensus: Hashable, Sendable {
    /// That decide for their shard.
    package var primary = 0
    /// That count for what is acknowledged, primaries among them.
    package var inSync = 0
    /// That have to catch up before they count.
    package var behind = 0
}

/// Memory of this process as the kernel counts it.
enum ProcessMemory {
    /// Pages in use that show no file, from /proc/self/statm; 0 where the system does not tell. Pages of mapped files are
    /// the system's, which takes them back when it needs room.
    static var residentBytes: Int {
        guard let text = try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8) else { return 0 }
        let pages = text.split(separator: " ").dropFirst().prefix(2).compactMap { Int($0) }
        return pages.count == 2 ? (pages[0] - pages[1]) * Int(sysconf(Int32(_SC_PAGESIZE))) : 0
    }
}
