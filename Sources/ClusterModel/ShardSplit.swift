package import FaceModel

/// The two shards that take the place of one: each is given the faces nearer to one side of the parent's first division
/// of its root bucket.
package struct SplitPlan: Hashable, Sendable {
    package struct Half: Hashable, Sendable {
        package var shard: ShardID
        package var root: LeafID
        package init(shard: ShardID, root: LeafID) {
            self.shard = shard
            self.root = root
        }
    }
    /// Keeps the parent's root.
    package var first: Half
    /// Has a root that no shard of the collection had.
    package var second: Half
    package init(first: Half, second: Half) {
        self.first = first
        self.second = second
    }

    package var halves: [Half] { [first, second] }
}

/// What a shard that is to be split is asked.
package enum SplitStep: Hashable, Sendable {
    /// How far the node's own copy is; of any copy.
    case look
    /// Files of the two halves are made ahead, while the shard takes writes: what is written meanwhile follows when the
    /// split begins, which then takes little time. Of any copy, and asked again until it has them: a copy that nobody asks
    /// for a while forgets them.
    case draft(SplitPlan)
    /// From here on it takes no writes, and each copy makes its files of the two halves. Of the primary, as are the
    /// others; harmless when it has happened.
    case begin(SplitPlan)
    /// From here on the shard answers nothing: the halves do. Cannot be taken back.
    case release
    /// The shard goes on as if nothing had been asked; not once it was released.
    case abort
}

/// How far a copy is with the split of its shard.
package struct SplitProgress: Hashable, Sendable {
    package enum Stage: UInt8, Hashable, Sendable, CaseIterable {
        /// It is not being split.
        case whole = 0
        /// Takes no writes; its files of the halves are being made.
        case dividing = 1
        /// Its files of both halves are durable.
        case divided = 2
        /// The shard answers nothing any more. Whether this copy has files of the halves is told by `hasHalves`.
        case released = 3
    }
    package var stage: Stage
    package var hasHalves: Bool
    /// What `SplitStep.draft` asked for is made.
    package var hasDraft: Bool
    /// Nil when whole.
    package var plan: SplitPlan?
    /// The record after which the halves' logs begin: where the split was written.
    package var end: LogIndex
    package var epoch: Epoch
    /// Between which the faces were divided; nil when whole.
    package var sides: Sides?
    /// What keeps the making of files waiting.
    package var trouble: String?

    package init(
        stage: Stage, hasHalves: Bool = false, hasDraft: Bool = false, plan: SplitPlan? = nil, end: LogIndex = .zero,
        epoch: Epoch = Epoch(0), sides: Sides? = nil, trouble: String? = nil
    ) {
        self.stage = stage
        self.hasHalves = hasHalves
        self.hasDraft = hasDraft
        self.plan = plan
        self.end = end
        self.epoch = epoch
        self.sides = sides
        self.trouble = trouble
    }

    /// Two directions.
    package struct Sides: Hashable, Sendable {
        package var first: RotatedVector
        package var second: RotatedVector
        package init(first: RotatedVector, second: RotatedVector) {
            self.first = first
            self.second = second
        }
    }
}

/// A split that was asked for: whoever finds it does what is next, until it is gone.
package struct SplitRegister: Hashable, Sendable {
    package var shard: ShardID
    package var collection: CollectionUID
    package var plan: SplitPlan
    /// An operator wants the shard whole again.
    package var aborting: Bool
    /// The collection's map has the halves in the shard's place.
    package var published: Bool
    /// Nodes that may hold files of the shard, in order; only when published.
    package var nodes: [NodeID]
    package init(
        shard: ShardID, collection: CollectionUID, plan: SplitPlan, aborting: Bool = false, published: Bool = false,
        nodes: [NodeID] = []
    ) {
        self.shard = shard
        self.collection = collection
        self.plan = plan
        self.aborting = aborting
        self.published = published
        self.nodes = nodes
    }
}

extension ReplicaID {
    /// Name of the copy of a half that is made from this copy's files: the same whoever works it out.
    package func half(_ shard: ShardID) -> ReplicaID {
        ReplicaID(
            Bits128(high: bits.high ^ shard.bits.high, low: bits.low ^ shard.bits.low).stamped(version: 4))
    }
}
