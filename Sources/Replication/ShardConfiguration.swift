package import FaceModel

/// What the control plane's register of a shard says: who writes, and who counts.
package struct ShardConfiguration: Hashable, Sendable {
    package var generation: Generation
    /// Rises by one with every change of members that a serving primary makes, and with nothing else: so a register
    /// that was restored from a backup stays below what was lost until a primary has been confirmed on it.
    package var version: UInt64
    package var epoch: Epoch
    package var primary: ReplicaID
    /// The process that was chosen; another one of the same replica does not reign.
    package var primaryIncarnation: Incarnation
    /// The in-sync set, sorted: every member holds every committed record.
    package private(set) var isr: [ReplicaID]
    /// Copies that receive the log and do not count, sorted.
    package private(set) var learners: [ReplicaID]
    package var minISR: Int

    package init(
        generation: Generation, version: UInt64, epoch: Epoch, primary: ReplicaID,
        primaryIncarnation: Incarnation, isr: [ReplicaID], learners: [ReplicaID], minISR: Int
    ) {
        self.generation = generation
        self.version = version
        self.epoch = epoch
        self.primary = primary
        self.primaryIncarnation = primaryIncarnation
        self.isr = isr.sorted()
        self.learners = learners.sorted()
        self.minISR = minISR
    }

    /// Every replica the register names, sorted.
    package var named: [ReplicaID] { (isr + learners).sorted() }

    /// With other members: who leaves the in-sync set becomes a learner.
    package func with(isr members: [ReplicaID]) -> ShardConfiguration {
        var new = self
        new.version += 1
        new.learners = named.filter { !members.contains($0) }
        new.isr = members.sorted()
        return new
    }

    /// With other learners; a copy that was emptied is no longer named.
    package func with(learners others: [ReplicaID]) -> ShardConfiguration {
        var new = self
        new.learners = others.sorted()
        return new
    }

    /// Without copies that are gone for good, whose nodes hold newer ones. It is no change of members that a primary
    /// makes, and the version stays: none of them can come back and be told by it that it knows too little.
    package func without(_ gone: [ReplicaID]) -> ShardConfiguration {
        var new = self
        new.isr = isr.filter { !gone.contains($0) || $0 == primary }
        new.learners = learners.filter { !gone.contains($0) }
        return new
    }

    /// A new reign, of the process `incarnation` of `primary`.
    package func reign(of primary: ReplicaID, as incarnation: Incarnation) -> ShardConfiguration {
        var new = self
        new.epoch = epoch.next
        new.primary = primary
        new.primaryIncarnation = incarnation
        return new
    }

    /// Whether this was decided later than `other`.
    package func isNewer(than other: ShardConfiguration) -> Bool {
        (generation, version, epoch) > (other.generation, other.version, other.epoch)
    }
}

/// A register as it was read: its value and the store's revision of it, which rises with every change.
package struct RegisterState: Hashable, Sendable {
    package var configuration: ShardConfiguration
    package var revision: UInt64

    package init(configuration: ShardConfiguration, revision: UInt64) {
        self.configuration = configuration
        self.revision = revision
    }
}

/// A change of the register, made only if it still stands at `expected` and every joiner runs as `joiners` says.
package struct RegisterTransaction: Hashable, Sendable {
    package struct Joiner: Hashable, Sendable {
        package let replica: ReplicaID
        package let incarnation: Incarnation

        package init(replica: ReplicaID, incarnation: Incarnation) {
            self.replica = replica
            self.incarnation = incarnation
        }
    }

    package let expected: UInt64
    package let new: ShardConfiguration
    package let joiners: [Joiner]

    package init(expected: UInt64, new: ShardConfiguration, joiners: [Joiner]) {
        self.expected = expected
        self.new = new
        self.joiners = joiners
    }
}

/// How a transaction ended.
package enum TransactionOutcome: Hashable, Sendable {
    /// The register stands at this revision.
    case made(revision: UInt64)
    /// Not made, and never will be; the register as it stands.
    case refused(RegisterState)
    /// No answer: it may have been made, or may be made later.
    case unknown
}
