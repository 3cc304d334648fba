import FaceModel

/// What a coordinator is told beside its ports.
package struct CoordinatorSettings: Sendable {
    /// Where the shards of a new collection are made.
    package enum Placement: Hashable, Sendable {
        /// In this process.
        case embedded
        /// On the nodes that have a register and answer.
        case registeredNodes
    }
    package var placement: Placement
    /// Shards of a collection whose maker names no number, 1...`Limits.shardsPerCollectionMax`.
    package var shardsPerCollection: Int
    /// Nil while the control plane is followed closely; else how far behind this process may be, for people.
    package var controlPlaneStaleness: @Sendable () -> String?

    package init(
        placement: Placement = .embedded, shardsPerCollection: Int = 1,
        controlPlaneStaleness: @escaping @Sendable () -> String? = { nil }
    ) {
        precondition((1...Limits.shardsPerCollectionMax).contains(shardsPerCollection), "checked at the start")
        self.placement = placement
        self.shardsPerCollection = shardsPerCollection
        self.controlPlaneStaleness = controlPlaneStaleness
    }
}
