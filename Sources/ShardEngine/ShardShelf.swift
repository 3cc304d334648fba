import ClusterModel
import FaceModel
import Foundation
import Logging
import Replication
import StorageIO
import Synchronization

/// Which shards a node has open, and how they come and go.
///
/// A shard that is being opened or removed makes others who ask for the same wait; different shards do not wait for
/// each other beyond the number of openings at a time. What was begun goes on when its caller's deadline passes.
final class ShardShelf: Sendable {
    enum Slot {
        case open(ShardReplica)
        case damaged(DamagedCopy)
        /// It is opened or removed just now; those who wait are told how that ended.
        case changing([Promise<ChangeEnd>])
    }

    enum ChangeEnd: Sendable {
        case opened
        case removed
        case failed(ShardError)
    }

    /// What to do about a shard: nothing, wait for a change, or begin one and wait for that.
    private enum Step {
        case isOpen(ShardReplica)
        case isDamaged(reason: String)
        case wait(Promise<ChangeEnd>)
        case begin(Promise<ChangeEnd>, with: ShardReplica?)
    }

    struct State {
        var slots: [ShardID: Slot] = [:]
        /// Registers that changed while their shards' copies did, for when those are done.
        var late: [ShardID: RegisterState] = [:]
        var stopping = false
    }

    struct Census {
        var open = 0
        var damaged = 0
        var faces = 0
    }

    let budget: MemoryBudget
    private let pool: ScanPool
    let directory: String
    let files: any FileSystem
    private let surroundings: ReplicaSurroundings
    let state = Mutex(State())
    /// Opening reads whole files and removing may take as long; neither may hold up the cooperative pool.
    let changes: OperationQueue = {
        let queue = OperationQueue()
        queue.maxConcurrentOperationCount = max(1, ProcessInfo.processInfo.activeProcessorCount)
        return queue
    }()
    let log = Logger(label: "facet.node")

    init(
        directory: String, files: any FileSystem, pool: ScanPool, surroundings: ReplicaSurroundings,
        budget: MemoryBudget
    ) {
        self.surroundings = surroundings
        self.directory = directory
        self.files = files
        self.budget = budget
        self.pool = pool
        do throws(FileError) {
            try ShardFolder.sweep(directory, on: files)
        } catch {
            log.warning("what removed shards left cannot be removed", metadata: ["reason": "\(error)"])
        }
    }

    /// Nil where it is not open.
    func copy(_ shard: ShardID) -> ShardReplica? {
        if case .open(let replica)? = state.withLock({ $0.slots[shard] }) { replica } else { nil }
    }

    /// Copies that are open.
    var opened: [ShardReplica] {
        state.withLock { state in
            state.slots.values.compactMap { slot in if case .open(let replica) = slot { replica } else { nil } }
        }
    }

    func replica(_ shard: ShardID) throws(ShardError) -> ShardReplica {
        switch state.withLock({ $0.slots[shard] }) {
        case .open(let replica): return replica
        case .damaged(let copy): throw .damaged(shard, reason: copy.reason)
        case .changing, nil: throw .unknownShard(shard)
        }
    }

    func open(
        _ descriptor: ShardDescriptor, _ mode: OpenMode, until deadline: ContinuousClock.Instant
    ) async throws(ShardError) {
        let shard = descriptor.shard
        while true {
            let promise: Promise<ChangeEnd>
            switch try openingStep(shard) {
            case .isOpen(let replica):
                try replica.requireSame(descriptor, mode)
                try replica.requireUndamaged()
                return await replica.settle(until: deadline)
            case .isDamaged(let reason):
                // Where nobody follows the registers, whoever has changed one asks.
                if let register = await register(of: shard), observe(register, of: shard) { continue }
                throw .damaged(shard, reason: reason)
            case .wait(let other): promise = other
            case .begin(let own, _):
                promise = own
                let register = await register(of: shard)
                changes.addOperation { [self] in beginOpening(descriptor, mode, register) }
            }
            switch await promise.value(until: deadline) {
            case .opened?, .removed?: continue
            case .failed(let error)?: throw error
            case nil: throw .deadlineExceeded(shard)
            }
        }
    }

    func drop(_ shard: ShardID, until deadline: ContinuousClock.Instant) async throws(ShardError) {
        while true {
            let (promise, isOwn): (Promise<ChangeEnd>, Bool)
            switch droppingStep(shard) {
            case .begin(let own, let replica):
                (promise, isOwn) = (own, true)
                if let replica {
                    replica.stop(.dropped) { [self] in changes.addOperation { [self] in remove(shard) } }
                } else {
                    changes.addOperation { [self] in remove(shard) }
                }
            case .wait(let other): (promise, isOwn) = (other, false)
            case .isOpen, .isDamaged: preconditionFailure("a removal begins whatever there is")
            }
            switch await promise.value(until: deadline) {
            case .removed?: return
            case .failed(let error)? where isOwn: throw error
            case .opened?, .failed?: continue
            case nil: throw .deadlineExceeded(shard)
            }
        }
    }

    /// Lets what was begun end, and closes every replica.
    func stop() async {
        let changing = state.withLock { state in
            state.stopping = true
            return state.slots.compactMap { shard, slot -> Promise<ChangeEnd>? in
                guard case .changing(let waiting) = slot else { return nil }
                let promise = Promise<ChangeEnd>()
                state.slots[shard] = .changing(waiting + [promise])
                return promise
            }
        }
        for promise in changing { _ = await promise.value() }
        for replica in opened {
            await withCheckedContinuation { continuation in replica.stop(.nodeStops) { continuation.resume() } }
        }
    }

    func census() -> Census {
        let slots = state.withLock { Array($0.slots.values) }
        var census = Census()
        for slot in slots {
            switch slot {
            case .open(let replica) where replica.isDamaged: census.damaged += 1
            case .open(let replica):
                census.open += 1
                census.faces += replica.faces
            case .damaged: census.damaged += 1
            case .changing: break
            }
        }
        return census
    }

    func copies() -> CopyCensus {
        let slots = state.withLock { Array($0.slots.values) }
        var census = CopyCensus()
        for slot in slots {
            guard case .open(let replica) = slot, let role = replica.role else { continue }
            if role.isPrimary { census.primary += 1 }
            let isInSync = role.configuration.isr.contains(replica.descriptor.replica)
            if isInSync { census.inSync += 1 } else { census.behind += 1 }
        }
        return census
    }

    private func openingStep(_ shard: ShardID) throws(ShardError) -> Step {
        let step = state.withLock { state -> Step? in
            switch state.slots[shard] {
            case .open(let replica): return .isOpen(replica)
            case .damaged(let copy): return .isDamaged(reason: copy.reason)
            case .changing(let waiting): return .wait(Self.join(shard, waiting, &state))
            case nil: return state.stopping ? nil : .begin(Self.join(shard, [], &state), with: nil)
            }
        }
        guard let step else { throw ReplicaEnd.nodeStops.error(shard) }
        return step
    }

    private func droppingStep(_ shard: ShardID) -> Step {
        state.withLock { state in
            switch state.slots[shard] {
            case .changing(let waiting): return .wait(Self.join(shard, waiting, &state))
            case .open(let replica): return .begin(Self.join(shard, [], &state), with: replica)
            case .damaged, nil: return .begin(Self.join(shard, [], &state), with: nil)
            }
        }
    }

    private static func join(
        _ shard: ShardID, _ waiting: [Promise<ChangeEnd>], _ state: inout State
    ) -> Promise<ChangeEnd> {
        let promise = Promise<ChangeEnd>()
        state.slots[shard] = .changing(waiting + [promise])
        return promise
    }

    /// Nil where it cannot be read: a copy that was here before knows what it saw last.
    private func register(of shard: ShardID) async -> RegisterState? {
        do throws(ControlPlaneError) {
            return try await surroundings.registers.read(shard)
        } catch {
            log.warning("a shard's register cannot be read", metadata: ["shard": "\(shard)", "reason": "\(error)"])
            return nil
        }
    }

    /// `keys`: of the collection, where they are known and the descriptor does not say.
    func beginOpening(
        _ descriptor: ShardDescriptor, _ mode: OpenMode, _ register: RegisterState?, keys: FaceIdentityKeys? = nil
    ) {
        let shard = descriptor.shard
        do throws(ReplicaError) {
            let folder = ShardFolder(of: shard, in: directory, on: files)
            let replica = try ShardReplica(
                descriptor, mode, register: register, in: folder, pool: pool, budget: budget,
                surroundings: surroundings, replace: { [weak self] in self?.replace(shard) })
            _ = replica.keys.take(keys)
            end(shard, .opened, .open(replica))
        } catch {
            log.error("a shard cannot be opened", metadata: ["shard": "\(shard)", "reason": "\(error.text)"])
            let copy = DamagedCopy(reason: error.text, descriptor: descriptor, keys: keys, register: register)
            end(shard, .failed(error.openingError(shard)), error.isDamage ? .damaged(copy) : nil)
        }
    }

    /// Closes the replica, puts the copy that was fetched for it in its place, and opens that. What fails on the way
    /// leaves the replica that was there.
    private func replace(_ shard: ShardID) {
        let replica = state.withLock { state -> ShardReplica? in
            guard !state.stopping, case .open(let replica)? = state.slots[shard] else { return nil }
            state.slots[shard] = .changing([])
            return replica
        }
        guard let replica else { return }
        replica.stop(.replaced) { [self] in
            changes.addOperation { [self] in
                do throws(FileError) {
                    try ShardFolder(of: shard, in: directory, on: files).replaceWithFetched()
                } catch {
                    log.error(
                        "a copy that was fetched cannot be put in its place",
                        metadata: ["shard": "\(shard)", "reason": "\(error.sentence)"])
                }
                beginOpening(replica.descriptor, .existing, nil, keys: replica.keys.known)
            }
        }
    }

    private func remove(_ shard: ShardID) {
        do throws(FileError) {
            try ShardFolder(of: shard, in: directory, on: files).remove()
            end(shard, .removed, nil)
        } catch {
            log.error("a shard cannot be removed", metadata: ["shard": "\(shard)", "reason": "\(error)"])
            end(shard, .failed(.stopped(shard, reason: "its files cannot be removed: \(error)")), nil)
        }
    }

    private func end(_ shard: ShardID, _ end: ChangeEnd, _ slot: Slot?) {
        let (waiting, late) = state.withLock { state in
            guard case .changing(let waiting)? = state.slots[shard] else {
                preconditionFailure("the end of a change that never began")
            }
            state.slots[shard] = slot
            return (waiting, state.late.removeValue(forKey: shard))
        }
        for promise in waiting { promise.settle(end) }
        if let late { observe(late, of: shard) }
    }
}

extension ReplicaError {
    fileprivate func openingError(_ shard: ShardID) -> ShardError {
        if case .otherRoots(let owned) = self {
            .wrongOwner(shard, owned: owned)
        } else {
            .damaged(shard, reason: text)
        }
    }
}

extension ShardReplica {
    /// Whether files opened for one descriptor are right for another; roots are the shard's own once it is made.
    fileprivate func requireSame(_ other: ShardDescriptor, _ mode: OpenMode) throws(ShardError) {
        let same =
            descriptor.tenant == other.tenant && descriptor.collection == other.collection
            && descriptor.dimension == other.dimension && descriptor.modelVersion == other.modelVersion
            && descriptor.replica == other.replica && keys.take(FaceIdentityKeys(other))
        guard same else {
            throw .damaged(
                descriptor.shard, reason: "it is open as a shard of another collection, dimension, model or key")
        }
        guard mode != .making || other.roots.sorted() == roots else {
            throw .wrongOwner(descriptor.shard, owned: roots)
        }
    }
}
