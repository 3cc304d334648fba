import ClusterModel
package import FaceModel
import Logging

/// How far a split of a shard is. Raw values are for programs.
package enum SplitStage: String, Hashable, Sendable {
    /// The shard's copies make files of the halves beside its own, and it takes writes.
    case drafting
    /// The shard takes no writes; its copies bring the halves up with the last ones.
    case dividing
    /// The shard does not answer any more, and the map has yet to say where its faces are.
    case publishing
    /// The halves answer; the shard's own files are being removed.
    case removing
    case done
    /// The shard is whole again.
    case aborted
}

package struct SplitReport: Hashable, Sendable {
    package var stage: SplitStage
    package var halves: [ShardID]
    /// What it waits for, where that is known.
    package var trouble: String?
}

/// A shard that has grown too large is replaced by two, on the nodes where its copies are.
///
/// The register of a split says what is wanted; how far it is, the shard's own log says. Each call does what is next, and
/// may be made by anybody, any number of times: the coordinators do so by themselves until the register is gone.
extension FaceIndex {
    /// Begins the split of a shard, or goes on with it; `abort` has it stay whole, where it is not too late.
    package func splitShard(
        _ shard: ShardID, abort: Bool = false, in context: CallContext
    ) async throws(CoordinatorError) -> SplitReport {
        if var found = try await splitRegister(shard) {
            if !found.value.published {
                _ = try await find(shard, context)
            } else {
                try requireOperator(context, shard)
            }
            if abort, !found.value.published, !found.value.aborting {
                found.value.aborting = true
                guard try await write(&found) else { return .contested(found.value) }
            }
            return try await advance(found, context.scope)
        }
        let found = try await find(shard, context)
        guard let handle = found.handle else { throw .impossibleMove(reason: "The ledger is one shard, and stays so") }
        let place = SplitPlace(shard: found.place, handle: handle, scope: context.scope)
        // Begun by somebody who was slow, after another had given the split up: nobody knows of it but the shard.
        let begun = try await progress(of: place).plan
        guard !abort || begun != nil else { throw .impossibleMove(reason: "The shard is not being split") }
        return try await advance(try await register(place, begun, aborting: abort), context.scope)
    }

    /// Does what is next for every split there is; to be called often: where there is none it asks nobody.
    package func advanceSplits() async throws(CoordinatorError) {
        let shards = try await list(.splits).compactMap { register -> ShardID? in
            if case .split(let split) = register.value { split.shard } else { nil }
        }
        guard !shards.isEmpty, try await takesSeat() else { return }
        for shard in shards {
            guard let found = try await splitRegister(shard) else { continue }
            do throws(CoordinatorError) {
                _ = try await advance(found, ownScope(.seconds(5)))
            } catch {
                log.warning(
                    "the split of a shard waits", metadata: ["shard": "\(shard)", "reason": "\(error)"])
            }
        }
    }

    func splitRegister(_ shard: ShardID) async throws(CoordinatorError) -> RegisteredSplit? {
        guard let register = try await readFresh(.split(shard)), case .split(let split) = register.value else {
            return nil
        }
        return RegisteredSplit(value: split, revision: register.revision)
    }

    /// The shard is in no map any more, so nobody can say whose it was.
    private func requireOperator(_ context: CallContext, _ shard: ShardID) throws(CoordinatorError) {
        guard context.tenant == .cluster || settings.placement == .embedded else { throw .shardNotFound(shard) }
    }

    /// The map is put, unchanged: a collection that is deleted meanwhile is split no further.
    private func register(
        _ place: SplitPlace, _ begun: SplitPlan?, aborting: Bool
    ) async throws(CoordinatorError) -> RegisteredSplit {
        let map = place.handle.map
        let plan = if let begun { begun } else { try Self.plan(for: place) }
        let split = SplitRegister(
            shard: place.shard.id, collection: map.collection, plan: plan, aborting: aborting)
        let outcome = try await commit([
            .put(.split(split), expecting: .absent), .put(.map(map), expecting: place.handle.mapRevision),
        ])
        if case .committed(let revision) = outcome { return RegisteredSplit(value: split, revision: revision) }
        if let other = try await splitRegister(place.shard.id) { return other }
        throw Self.contested(map)
    }

    /// Roots are numbered without gaps, so the next one is as great as the number of shards.
    private static func plan(
        for place: SplitPlace
    ) throws(CoordinatorError) -> SplitPlan {
        let (shard, map) = (place.shard, place.handle.map)
        guard map.hasRoom(forDivisionsOf: place.handle.collection.dimension) else {
            throw .impossibleMove(
                reason:
                    "The collection's shards were split \(map.divisions.count) times, and its register holds no more")
        }
        guard map.shards.count < Limits.shardsPerCollectionMax, let root = shard.roots.first,
            let last = map.shards.flatMap(\.roots).max()
        else {
            throw .impossibleMove(reason: "A collection has \(Limits.shardsPerCollectionMax) shards at most")
        }
        var generator = SystemRandomNumberGenerator()
        return SplitPlan(
            first: .init(shard: ShardID(.random(using: &generator).stamped(version: 4)), root: root),
            second: .init(
                shard: ShardID(.random(using: &generator).stamped(version: 4)), root: LeafID(last.value + 1)))
    }

    /// False where it has changed meanwhile.
    func write(_ split: inout RegisteredSplit) async throws(CoordinatorError) -> Bool {
        guard case .committed(let revision) = try await commit([.put(.split(split.value), expecting: split.revision)])
        else { return false }
        split.revision = revision
        return true
    }
}

extension CollectionMap {
    /// A register that a store takes surely; etcd refuses requests of 1.5 MiB.
    private static let bytesMax = 1 << 20

    /// Whether one more division keeps the register small enough. A shard that is released must be one whose halves can
    /// be published.
    func hasRoom(forDivisionsOf dimension: Int) -> Bool {
        // Two vectors in base64, and their names; a shard's id, node and root.
        let division = 2 * (4 * dimension * 4 / 3 + 4) + 64
        return (divisions.count + 1) * division + (shards.count + 1) * 256 <= Self.bytesMax
    }
}

/// As the store had it.
struct RegisteredSplit {
    var value: SplitRegister
    var revision: Revision
}

extension SplitReport {
    init(_ stage: SplitStage, _ split: SplitRegister, trouble: String? = nil) {
        self.init(stage: stage, halves: split.plan.halves.map(\.shard), trouble: trouble)
    }

    static func contested(_ split: SplitRegister) -> SplitReport {
        SplitReport(.dividing, split, trouble: "somebody else does the same")
    }
}
