package import Replication

/// Mistakes of what stands around a core, planted to see that they would be noticed; `Mutant` has those of the core.
package enum WorldMistake: String, CaseIterable, Sendable {
    /// A primary executes a request that it has executed (S10).
    case tokensForgotten
    /// A delete leaves nothing that tells the next face of the key from this one (S8).
    case deletesForgotten
    /// A copy is built from another's files, but for one face (S12).
    case builtCopyLacksFace
    /// Nobody compares checksums (S13).
    case rotUnseen
    /// A search is answered by whoever calls itself primary, without asking the others (S15).
    case searchUnconfirmed
    /// A search's answers are counted as they come, from whatever copy (S15).
    case searchAnywhere
    /// A shard that is being split takes writes (S11).
    case freezeForgotten
    /// Every copy in sync is named in sync of the halves, whatever files it has (S5).
    case publishedWithoutFiles
    /// A shard is released once one copy has files of the halves, and no other makes any after that (L1).
    case releasedTooSoon
    /// Halves begin without the tokens of what was done before (S10).
    case halvesLackTokens
    /// Halves do not know what was deleted before (S8).
    case halvesLackDeletes
    /// All copies make a half without one of its faces (S15).
    case halfLacksFace
    /// A shard that was released goes on answering (S15).
    case releaseUnheeded

    /// Only worlds that split can notice it.
    var isOfSplits: Bool {
        switch self {
        case .freezeForgotten, .publishedWithoutFiles, .releasedTooSoon, .halvesLackTokens, .halvesLackDeletes,
            .halfLacksFace, .releaseUnheeded:
            true
        case .tokensForgotten, .deletesForgotten, .builtCopyLacksFace, .rotUnseen, .searchUnconfirmed, .searchAnywhere:
            false
        }
    }
}

/// What one seed's world is like: how many copies, and which faults are on.
package struct WorldOptions: Hashable, Sendable {
    package enum Fault: String, CaseIterable, Sendable {
        case loss, duplication, delay, crash, crashInside, cut, oneWayCut, cutFromStore, stall, unknownOutcome
        case wrongSuspicion, slowSync, tornTail, diskLoss, rolledBackDisk, rot, powerCut, restoredStore, split
    }

    package var copies = 3
    package var minISR = 2
    package var faults: Set<Fault> = []
    package var mutant: Mutant?
    /// Milliseconds until the faults stop, and then until the world ends.
    package var faultsEnd = 12_000
    package var end = 22_000

    /// A core is woken only when it asks to be, and every 20 ms where this is false.
    package var wakesWhenAsked = true
    /// A node reads the register only when its core asks for that; else it hears of every change, and reads now and
    /// then.
    package var readsWhenAsked = false
    /// Members' nodes make elections, and controllers none.
    package var membersElect = false
    /// Clients are silent for seconds, and a shard counts as idle soon.
    package var pauses = false
    /// Nodes remove the beginnings of their logs, so that a copy that lags is built from another's files.
    package var trimsLogs = false
    /// There is a machine more than copies, and an operator moves copies to whichever has none.
    package var movesCopies = false
    /// What needs no record is answered once it is confirmed, as the product does. Worlds of earlier seeds answer it at once,
    /// so that the corpus keeps its schedules; a deposed primary may then tell a client what is no longer so (8005842).
    package var confirmsAnswers = true
    private static let firstThatConfirms: UInt64 = 9_000_000

    /// Operators split each shard once, if they do not give it up. The store is never restored from a backup then: it would
    /// have to bring back the map, the halves' registers and the shard's as they were together.
    package var splitsShards = false
    private static let firstThatSplits: UInt64 = 10_000_000

    /// A shard begins with one copy that counts, by a minimum of one; the others learn, and once all are in sync an operator
    /// raises the minimum (docs/decisions/0032).
    package var raisesMinimum = false
    private static let firstThatRaises: UInt64 = 20_000_000

    /// Of one collection, each a world of its own, which a client searches together.
    package var shards = 1
    package var mistake: WorldMistake?

    package init() {}

    /// Each seed draws its own: swarm testing reaches what a world with everything on does not.
    package init(seed: UInt64, mutant: Mutant? = nil, mistake: WorldMistake? = nil) {
        var random = SeededRandom(seed: seed ^ 0x5EED)
        (self.mutant, self.mistake) = (mutant, mistake)
        let kinds = [(3, 2), (3, 2), (3, 2), (3, 2), (3, 2), (5, 3), (5, 3), (5, 2), (1, 1)]
        (copies, minISR) = kinds[random.below(kinds.count)]
        for fault in Fault.allCases where random.chance(550) { faults.insert(fault) }
        wakesWhenAsked = random.chance(700)
        readsWhenAsked = random.chance(300)
        pauses = random.chance(400)
        membersElect = random.chance(500)
        trimsLogs = random.chance(400)
        movesCopies = random.chance(400)
        shards = random.chance(200) ? 2 : 1
        confirmsAnswers = seed >= Self.firstThatConfirms
        if seed >= Self.firstThatSplits { splitsShards = random.chance(333) }
        if seed >= Self.firstThatRaises { raisesMinimum = minISR > 1 && random.chance(333) }
        if mistake?.isOfSplits ?? false { splitsShards = true }
        if splitsShards { faults.remove(.restoredStore) }
        if mutant == .confirmByOne { onlyOfFive() }
    }

    /// A register is confirmed by all but `minISR` - 1 of the copies, so a primary that was left behind finds no other
    /// that was, where the minimum is two: that one confirmation is not enough shows where it is three.
    private mutating func onlyOfFive() {
        (copies, minISR, faults) = (5, 3, [.split])
    }

    package var description: String {
        let names = Fault.allCases.filter(faults.contains).map(\.rawValue).joined(separator: " ")
        let habits = [
            wakesWhenAsked ? "wakesWhenAsked" : nil, readsWhenAsked ? "readsWhenAsked" : nil,
            pauses ? "pauses" : nil, membersElect ? "membersElect" : nil,
            trimsLogs ? "trimsLogs" : nil, movesCopies ? "movesCopies" : nil,
            splitsShards ? "splitsShards" : nil, raisesMinimum ? "raisesMinimum" : nil,
        ].compactMap(\.self).joined(separator: " ")
        let mutant = mutant?.rawValue ?? mistake?.rawValue ?? "none"
        return "shards=\(shards) copies=\(copies) minISR=\(minISR) mutant=\(mutant) \(habits) faults: \(names)"
    }
}
