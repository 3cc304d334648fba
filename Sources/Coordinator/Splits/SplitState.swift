import ClusterModel
import FaceModel

/// A shard of a collection, and how long its copies may be asked.
struct SplitPlace: Sendable {
    /// A node that answers does so at once; the others are asked again by the next step.
    private static let askLimit = Duration.seconds(3)

    var shard: CollectionMap.Shard
    var handle: CollectionHandle
    var scope: CallScope

    func call(on node: NodeID) -> ShardCall {
        var there = shard
        there.node = node
        return scope.within(Self.askLimit).call(there)
    }
}

/// A split, and the shard as the registers have it.
struct SplitState: Sendable {
    var split: RegisteredSplit
    var at: SplitPlace
    var copies: RegisteredCopies

    var place: CollectionMap.Shard { at.shard }

    /// Everything that changes when the halves take the shard's place.
    func publication(
        _ divided: DividedCopies, _ progress: SplitProgress, _ sides: SplitProgress.Sides
    ) -> [RegisterTransaction.Change] {
        let plan = split.value.plan
        var map = at.handle.map
        map.version += 1
        map.shards.removeAll { $0.id == place.id }
        map.shards += plan.halves.map { .init(id: $0.shard, node: place.node, roots: [$0.root]) }
        map.divisions.append(.init(root: plan.first.root, second: plan.second.root, sides: sides))
        var published = split.value
        published.published = true
        published.nodes = copies.replicas.map(\.value.node).sorted { $0.text < $1.text }
        let names = Set(divided.made.map(\.replica))
        let learning = copies.replicas.map(\.value).filter { !names.contains($0.replica) }
        let new = plan.halves.flatMap { half in
            NewCopies(
                halfOf: copies.register, half.shard, made: divided.made, learning: learning, epoch: progress.epoch
            ).changes
        }
        let old = copies.replicas.map { copy in
            RegisterTransaction.Change.delete(.replica(place.id, copy.value.replica), expecting: copy.revision)
        }
        return [
            .put(.map(map), expecting: at.handle.mapRevision), .put(.split(published), expecting: split.revision),
            .delete(.shard(place.id), expecting: copies.revision),
        ] + old + new
    }
}

/// What the copies in sync say of the halves' files.
struct DividedCopies {
    let minInSync: Int
    /// By which the files are to be, and behind which record of the log: a copy may still have those of a split that was
    /// given up, by another plan or by the same.
    let plan: SplitPlan
    let end: LogIndex
    /// Those that have them.
    private(set) var made: [ReplicaRegister] = []
    /// Those that say they will.
    private(set) var making = 0
    private(set) var trouble: String?

    init(minInSync: Int, plan: SplitPlan, end: LogIndex) {
        (self.minInSync, self.plan, self.end) = (minInSync, plan, end)
    }

    mutating func add(_ copy: ReplicaRegister, _ answer: Result<SplitProgress, ShardError>) {
        switch answer {
        case .success(let progress) where progress.hasHalves && progress.plan == plan && progress.end == end:
            made.append(copy)
        case .success(let progress):
            making += 1
            if let reason = progress.trouble { trouble = "node \(copy.node): \(reason)" }
        case .failure(let error): trouble = "the copy on node \(copy.node) \(error.sentence)"
        }
        made.sort { $0.node.text < $1.node.text }
    }

    /// Enough have them, and of those that answer all.
    var mayRelease: Bool { making == 0 && made.count >= minInSync }
}

/// What the copies in sync say of files made ahead.
struct DraftedCopies {
    private(set) var areMade = true
    private(set) var trouble: String?

    /// One that does not answer makes its files later, or never: nobody waits for it.
    mutating func add(_ copy: ReplicaRegister, _ answer: Result<SplitProgress, ShardError>) {
        switch answer {
        case .success(let progress) where progress.stage != .whole || progress.hasDraft: break
        case .success(let progress):
            areMade = false
            if let reason = progress.trouble { trouble = "node \(copy.node): \(reason)" }
        case .failure(.damaged(let shard, let reason)):
            areMade = false
            trouble = "the copy on node \(copy.node) \(ShardError.damaged(shard, reason: reason).sentence)"
        case .failure: break
        }
    }
}
