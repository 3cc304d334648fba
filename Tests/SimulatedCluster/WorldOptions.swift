package import Replication

/// What one seed's world is like: how many copies, and which faults are on.
package struct WorldOptions: Hashable, Sendable {
    package enum Fault: String, CaseIterable, Sendable {
        case loss, duplication, delay, crash, crashInside, cut, oneWayCut, cutFromStore, stall, unknownOutcome
        case wrongSuspicion, slowSync, tornTail, diskLoss, rolledBackDisk, rot, powerCut, restoredStore
    }

    package var copies = 3
    package var minISR = 2
    package var faults: Set<Fault> = []
    package var mutant: Mutant?
    /// Milliseconds until the faults stop, and then until the world ends.
    package var faultsEnd = 12_000
    package var end = 22_000

    package init() {}

    /// Each seed draws its own: swarm testing reaches what a world with everything on does not.
    package init(seed: UInt64, mutant: Mutant? = nil) {
        var random = SeededRandom(seed: seed ^ 0x5EED)
        self.mutant = mutant
        let kinds = [(3, 2), (3, 2), (3, 2), (3, 2), (3, 2), (3, 2), (5, 3), (5, 2), (1, 1)]
        (copies, minISR) = kinds[random.below(kinds.count)]
        for fault in Fault.allCases where random.chance(550) { faults.insert(fault) }
    }

    package var description: String {
        let names = Fault.allCases.filter(faults.contains).map(\.rawValue).joined(separator: " ")
        return "copies=\(copies) minISR=\(minISR) mutant=\(mutant?.rawValue ?? "none") faults: \(names)"
    }
}
