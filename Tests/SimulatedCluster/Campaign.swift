package import Replication

/// Many seeds, one after another.
package enum Campaign {
    package struct Summary: Sendable {
        package var name = "core"
        package var seeds = 0
        package var counted = 0
        package var failures: [(seed: UInt64, text: String)] = []
        package var figures = WorldFigures()
        /// Of every seed's trace, in order.
        package var trace: UInt64 = 0
        /// Seeds whose second run was another than the first.
        package var unequal: [UInt64] = []

        package var text: String {
            let figures = figures
            var lines = [
                "\(name): \(seeds) seeds, \(counted) counted, \(failures.count) failed, "
                    + "\(figures.events) events, \(figures.acknowledged) writes, \(figures.strongReads) strong, "
                    + "\(figures.sessionReads) session and \(figures.boundedReads) bounded reads, \(figures.searches) searches, "
                    + "\(figures.reigns) reigns, \(figures.shrinks) shrinks, \(figures.expands) expands, "
                    + "\(figures.crashes) crashes, \(figures.lostDisks) lost disks, \(figures.builtCopies) built copies, \(figures.moves) moves, "
                    + "\(figures.raises) minimums raised, \(figures.splits) splits, \(figures.abortedSplits) given up, "
                    + "\(figures.operatorNeeded) ended with the operator, trace \(String(trace, radix: 16))"
            ]
            lines += failures.prefix(5).map { "  seed \($0.seed): \($0.text)" }
            if name == "core", let worst = failures.first { lines += Campaign.story(of: worst.seed) }
            return lines.joined(separator: "\n")
        }
    }

    /// With a mutant or a mistake it ends at the first seed that notices.
    package static func run(
        first: UInt64, count: UInt64, mutant: Mutant? = nil, mistake: WorldMistake? = nil
    ) -> Summary {
        var summary = Summary(name: mutant?.rawValue ?? mistake?.rawValue ?? "core")
        for seed in first..<(first + count) {
            let options = WorldOptions(seed: seed, mutant: mutant, mistake: mistake)
            let world = CollectionWorld(seed: seed, options: options)
            world.run()
            summary.seeds += 1
            summary.add(world)
            if summary.name != "core", world.failure != nil { break }
        }
        return summary
    }

    /// Runs every seed twice: equal seeds must give equal traces. Swift seeds the hashes of each Dictionary and Set by itself
    /// (unless `SWIFT_DETERMINISTIC_HASHING` is set), so an order that depends on one differs between the two.
    package static func compare(first: UInt64, count: UInt64) -> Summary {
        var summary = Summary()
        for seed in first..<(first + count) {
            let worlds = [0, 1].map { _ in CollectionWorld(seed: seed, options: WorldOptions(seed: seed)) }
            for world in worlds { world.run() }
            summary.seeds += 1
            summary.add(worlds[0])
            if worlds[0].trace != worlds[1].trace || worlds[0].figures != worlds[1].figures {
                summary.unequal.append(seed)
            }
        }
        return summary
    }

    /// The end of a failing seed, told event by event.
    package static func story(
        of seed: UInt64, mutant: Mutant? = nil, mistake: WorldMistake? = nil, lines: Int = 60
    ) -> [String] {
        let options = WorldOptions(seed: seed, mutant: mutant, mistake: mistake)
        let world = CollectionWorld(seed: seed, options: options, keepsTrail: true)
        world.run()
        let told = world.failed.trail.suffix(lines).map { String(shortened($0).prefix(300)) }
        return ["seed \(seed): \(options.description)"] + told + [world.failure ?? "no failure"]
    }

    /// Swift's own descriptions, without what every one of them says.
    private static func shortened(_ text: String) -> String {
        var text = text
        let noise = [
            "Replication.", "FaceModel.", "ReplicaMessage(generation: Generation(value: 0), ", "ReplicaMessage.Body.",
            "Incarnation(value: ", "generation: Generation(value: 0), ", "00000000-0000-0000-0000-0000000000",
        ]
        for part in noise { text = text.split(separator: part, omittingEmptySubsequences: false).joined() }
        return text
    }
}

extension Campaign.Summary {
    fileprivate mutating func add(_ world: CollectionWorld) {
        if let failure = world.failure { failures.append((world.shards[0].seed, failure)) }
        if world.counts { counted += 1 }
        trace = (trace ^ world.trace) &* 0x100_0000_01B3
        figures.add(world.figures)
    }
}

extension WorldFigures {
    mutating func add(_ other: WorldFigures) {
        events += other.events
        acknowledged += other.acknowledged
        strongReads += other.strongReads
        sessionReads += other.sessionReads
        boundedReads += other.boundedReads
        searches += other.searches
        reigns += other.reigns
        shrinks += other.shrinks
        expands += other.expands
        crashes += other.crashes
        lostDisks += other.lostDisks
        builtCopies += other.builtCopies
        moves += other.moves
        splits += other.splits
        raises += other.raises
        abortedSplits += other.abortedSplits
        faults += other.faults
        operatorNeeded += other.operatorNeeded
    }
}
