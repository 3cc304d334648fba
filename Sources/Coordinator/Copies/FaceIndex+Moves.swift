import ClusterModel
package import FaceModel
import Logging

/// How far a move of a copy has come. Raw values are for programs.
package enum MoveProgress: String, Hashable, Sendable {
    /// The new copy is being built, or follows and does not count yet.
    case copying
    /// The new copy counts; the old one is leaving.
    case leaving
    case done
}

/// Where a shard's copies are, changed by an operator.
///
/// A move has no state of its own: each call reads the registers, does what is next, and says how far it is. It may be
/// cut short anywhere, and asked for again by anybody, until it is done. Each step leaves a shard that is whole.
extension FaceIndex {
    /// A node may have to read much before its copy is open; who asks again finds it opening.
    static var stepLimit: Duration { .seconds(3) }

    /// The next step of moving the shard's copy from one node to another; to which one, and how far it is.
    ///
    /// Without `new` a move that was begun goes on, and else the node is chosen as for a new shard. From a node to itself:
    /// a copy that does not count is made anew where its files are not there or not right. The ledger's nodes need its key,
    /// so one is always named.
    package func moveCopy(
        of shard: ShardID, from old: NodeID, to new: NodeID?, in context: CallContext
    ) async throws(CoordinatorError) -> (progress: MoveProgress, to: NodeID) {
        guard settings.placement == .registeredNodes else {
            throw .impossibleMove(reason: "This server is the only node there is")
        }
        return try await move(try await find(shard, context), from: old, to: new, context.scope)
    }

    /// The same, whoever asks.
    func move(
        _ found: MovedShard, from old: NodeID, to new: NodeID?, _ scope: CallScope
    ) async throws(CoordinatorError) -> (progress: MoveProgress, to: NodeID) {
        let shard = found.place.id
        guard try await readFresh(.split(shard)) == nil else {
            throw .impossibleMove(reason: "The shard is being split; its halves can be moved when it is")
        }
        let copies = try await registered(shard)
        if found.handle == nil, new == nil || new == old {
            throw .impossibleMove(
                reason: "The ledger's copies are moved to another node that is named, and has the ledger's key file")
        }
        let target = if let new { new } else { try await target(of: copies, leaving: old) }
        let move = CopyMove(
            shard: found, copies: copies, old: old, new: target, scope: scope.within(Self.stepLimit))
        return (try await step(move), target)
    }

    private func step(_ move: CopyMove) async throws(CoordinatorError) -> MoveProgress {
        guard let target = move.copies.copy(on: move.new) else { return try await begin(move) }
        let counts = move.copies.register.inSync.contains(target.value.replica)
        if move.old == move.new, counts, await isOpen(target, move) { return .done }
        return counts && move.old != move.new ? try await leave(move) : try await goOn(move, target)
    }

    private func target(of copies: RegisteredCopies, leaving old: NodeID) async throws(CoordinatorError) -> NodeID {
        let others = copies.replicas.filter { $0.value.node != old }
        let placement = try await placement()
        if others.count >= settings.replication.copies {
            let learner = others.first { copy in
                copies.register.learners.contains(copy.value.replica) && placement.has(copy.value.node)
            }
            let counting = others.first { copies.register.inSync.contains($0.value.replica) }
            if let begun = learner ?? counting { return begun.value.node }
        }
        guard let free = placement.place(beside: others.map(\.value.node), leaving: old) else {
            throw .impossibleMove(reason: "Of the nodes that answer each has a copy of the shard")
        }
        return free
    }

    /// Has another copy in sync become the shard's primary. It has begun when this returns.
    package func resignPrimary(of shard: ShardID, in context: CallContext) async throws(CoordinatorError) {
        let place = try await find(shard, context).place
        let copies = try await registered(shard)
        guard copies.register.inSync.count > 1 else {
            throw .impossibleMove(reason: "No other copy of the shard is in sync")
        }
        do throws(ShardError) {
            try await retire(copies.register.primary, of: copies, place, context.scope)
        } catch {
            let node = copies.primary?.value.node ?? place.node
            throw .incompleteWrite(
                asked: 1, written: 0, missing: [MissingShard(shard: shard, node: node, reason: error)])
        }
    }

    // MARK: Steps

    /// Names a new copy, which does not count yet, and has its node make it.
    private func begin(_ move: CopyMove) async throws(CoordinatorError) -> MoveProgress {
        guard move.copies.copy(on: move.old) != nil else {
            throw .impossibleMove(reason: "The shard has no copy on node \(move.old)")
        }
        guard try await readFresh(.node(move.new)) != nil else {
            throw .impossibleMove(reason: "There is no node \(move.new)")
        }
        return try await name(move)
    }

    /// Sees to it that the new copy is open. One whose files are not there, or not right, begins again under another
    /// name: nobody counts on it.
    func goOn(_ move: CopyMove, _ target: RegisteredCopy) async throws(CoordinatorError) -> MoveProgress {
        guard let handle = move.shard.handle else { return .copying }
        do throws(ShardError) {
            try await open(target.value.replica, .existing, handle, move)
        } catch {
            // One that still counts waits until the others have found that it is gone.
            guard case .damaged = error, move.copies.register.learners.contains(target.value.replica) else {
                said(move, error)
                return .copying
            }
            do throws(ShardError) { try await shards.drop(move.call(on: move.new)) } catch {
                said(move, error)
                return .copying
            }
            return try await name(move, instead: target)
        }
        return .copying
    }

    private func isOpen(_ target: RegisteredCopy, _ move: CopyMove) async -> Bool {
        guard let handle = move.shard.handle else { return true }
        do throws(ShardError) { try await open(target.value.replica, .existing, handle, move) } catch { return false }
        return true
    }

    private func open(
        _ replica: ReplicaID, _ mode: OpenMode, _ handle: CollectionHandle, _ move: CopyMove
    ) async throws(ShardError) {
        try await shards.open(handle.descriptor(of: move.place, replica), mode, move.call(on: move.new))
    }

    /// Names a new copy on the move's new node, in the place of one that is gone there, and has the node make it.
    func name(
        _ move: CopyMove, instead gone: RegisteredCopy? = nil
    ) async throws(CoordinatorError) -> MoveProgress {
        var generator = SystemRandomNumberGenerator()
        let replica = ReplicaRegister(
            shard: move.place.id, replica: ReplicaID(.random(using: &generator).stamped(version: 4)), node: move.new,
            directory: Bits128(high: 0, low: 0), sealedKey: [])
        var register = move.copies.register
        register.learners.removeAll { $0 == gone?.value.replica }
        register.learners = (register.learners + [replica.replica]).sorted()
        var changes: [RegisterTransaction.Change] = [
            .put(.shard(register), expecting: move.copies.revision), .put(.replica(replica), expecting: .absent),
        ]
        let handle = move.shard.handle
        // A collection that is deleted meanwhile gets no more copies.
        if let handle { changes.append(.unchanged(.map(handle.map.collection), expecting: handle.mapRevision)) }
        if let gone { changes.append(.delete(.replica(move.place.id, gone.value.replica), expecting: gone.revision)) }
        guard case .committed = try await commit(changes) else { return .copying }
        var metadata: Logger.Metadata = ["shard": "\(move.place.id)", "to": "\(move.new)"]
        if move.old != move.new { metadata["from"] = "\(move.old)" }
        log.notice("a shard is given another copy", metadata: metadata)
        // A node opens and closes the ledger's copy by itself, as the registers say.
        guard let handle else { return .copying }
        do throws(ShardError) {
            try await open(replica.replica, .joining, handle, move)
        } catch {
            // The next step finds what has become of it.
            said(move, error)
        }
        return .copying
    }

    /// The old copy leaves those in sync, then the register, then its node.
    private func leave(_ move: CopyMove) async throws(CoordinatorError) -> MoveProgress {
        if let old = move.copies.copy(on: move.old) {
            guard move.copies.hasOneMore else {
                throw .impossibleMove(
                    reason: "The shard has a copy on node \(move.new) already, and too few without that on \(move.old)")
            }
            var register = move.copies.register
            guard register.learners.contains(old.value.replica) else {
                do throws(ShardError) {
                    try await retire(old.value.replica, of: move.copies, move.place, move.scope)
                } catch {
                    // Another may be the primary by the next step.
                    said(move, error)
                }
                return .leaving
            }
            register.learners.removeAll { $0 == old.value.replica }
            let outcome = try await commit([
                .put(.shard(register), expecting: move.copies.revision),
                .delete(.replica(move.place.id, old.value.replica), expecting: old.revision),
            ])
            guard case .committed = outcome else { return .leaving }
        }
        guard move.shard.handle != nil else { return .done }
        do throws(ShardError) {
            try await shards.drop(move.call(on: move.old))
        } catch {
            // The shard does not need the node any more, which may be gone for good; only a person knows.
            log.warning(
                "a copy was moved, and its old files were not removed",
                metadata: [
                    "shard": "\(move.place.id)", "node": "\(move.old)", "reason": "\(error.sentence)",
                ])
        }
        return .done
    }

    private func retire(
        _ replica: ReplicaID, of copies: RegisteredCopies, _ place: CollectionMap.Shard, _ scope: CallScope
    ) async throws(ShardError) {
        guard let primary = copies.primary else { throw .notPrimary(place.id) }
        var there = place
        there.node = primary.value.node
        try await shards.retire(replica, scope.within(Self.stepLimit).call(there))
    }

    private func said(_ move: CopyMove, _ error: ShardError) {
        log.info(
            "a step of a move is to be made again",
            metadata: [
                "shard": "\(move.place.id)", "from": "\(move.old)", "to": "\(move.new)",
                "reason": "\(error.sentence)",
            ])
    }
}
