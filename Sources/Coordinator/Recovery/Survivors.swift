package import ClusterModel
package import FaceModel

/// A copy, and the node that holds it.
package struct LocatedCopy: Hashable, Sendable {
    package var node: NodeID
    package var copy: HeldCopy
    package init(node: NodeID, copy: HeldCopy) {
        self.node = node
        self.copy = copy
    }
}

/// What is left of a shard: its register, where there is one, and the copies that nodes hold. Decides which copy goes on,
/// and as what; pure.
///
/// Of two logs that copies of one shard hold, the one whose last record is of the later epoch, or of the same and
/// further on, has everything that was acknowledged as far as the other knows.
struct Survivors: Sendable {
    let shard: ShardID
    /// As the control plane has it, read after the nodes were asked.
    let register: ShardRegister?
    let held: [LocatedCopy]

    /// The newest that the control plane or any copy knows.
    var newest: ShardRegister? {
        (held.map(\.copy.register) + [register].compactMap(\.self)).max { $1.isNewer(than: $0) }
    }

    /// Copies know of a later register, or the control plane names none of them: it was restored, or lost.
    var isForgotten: Bool {
        guard let register else { return true }
        guard let newest, !newest.isNewer(than: register) else { return true }
        return !held.isEmpty && !held.contains { register.named.contains($0.copy.replica) }
    }

    /// Those that count by the newest register, and whose files are there.
    private var members: [LocatedCopy] {
        held.filter { newest?.inSync.contains($0.copy.replica) ?? false }
    }

    /// One that an election may choose, so that nothing is to be accepted: a clean member, or, where all are there, any.
    var electable: LocatedCopy? {
        if let clean = members.first(where: { $0.copy.condition == .whole }) { return clean }
        let usable = members.filter(\.copy.isUsable)
        return usable.count == newest?.inSync.count ? usable.first : nil
    }

    /// With which a lost register is made anew: of the members those whose logs' ends are not in doubt, where there are
    /// any, and of these the one whose log reaches furthest.
    var heir: LocatedCopy? {
        let clean = members.filter { $0.copy.condition == .whole }
        return (clean.isEmpty ? members.filter(\.copy.isUsable) : clean).max(by: Self.reachesLess)
    }

    /// With which one goes on where a loss is accepted: of all copies the one whose log reaches furthest.
    var furthest: LocatedCopy? { held.filter(\.copy.isRecoverable).max(by: Self.reachesLess) }

    /// The register by which `chosen` goes on alone. Everything in it is later than anything that anybody knows, and no
    /// process is its primary: the node's own election is the first. The others learn, as far as it is `known` where
    /// they are.
    func successor(_ chosen: LocatedCopy, known: Set<ReplicaID>) -> ShardRegister? {
        guard var new = newest else { return nil }
        let registers = held.map(\.copy.register) + [register].compactMap(\.self)
        let others = new.named.filter { $0 != chosen.copy.replica && known.contains($0) }
        new.generation = Generation((registers.map(\.generation).max() ?? new.generation).value + 1)
        new.version = (registers.map(\.version).max() ?? new.version) + 1
        new.epoch = ([new.epoch] + registers.map(\.epoch) + held.map(\.copy.epoch)).reduce(new.epoch, max).next
        (new.primary, new.primaryIncarnation) = (chosen.copy.replica, Incarnation(0))
        (new.inSync, new.learners) = ([chosen.copy.replica], others.sorted())
        return new
    }

    private static func reachesLess(_ a: LocatedCopy, than b: LocatedCopy) -> Bool {
        (a.copy.endEpoch, a.copy.end, a.copy.condition.rank, a.copy.replica)
            < (b.copy.endEpoch, b.copy.end, b.copy.condition.rank, b.copy.replica)
    }
}

extension HeldCopy {
    /// Whether it can be opened as it is.
    var isUsable: Bool {
        switch condition {
        case .whole, .suspect: true
        case .lossProven, .unusable: false
        }
    }

    /// Whether it can be opened where a loss is accepted, and holds anything.
    var isRecoverable: Bool {
        switch condition {
        case .whole, .suspect, .lossProven: end > .zero
        case .unusable: false
        }
    }
}

extension HeldCopy.Condition {
    fileprivate var rank: Int {
        switch self {
        case .whole: 3
        case .suspect: 2
        case .lossProven: 1
        case .unusable: 0
        }
    }
}

extension ShardRegister {
    /// Whether it was decided later than `other`.
    func isNewer(than other: ShardRegister) -> Bool {
        (generation, version, epoch) > (other.generation, other.version, other.epoch)
    }
}
