import Foundation
import Replication
import SimulatedCluster
import Testing

/// The replication core in worlds that fail. `FACET_SIMULATION_SEEDS` says how many, `FACET_SIMULATION_SEED` from
/// which on.
@Suite struct SimulationTests {
    private static func number(_ name: String, default value: UInt64) -> UInt64 {
        ProcessInfo.processInfo.environment[name].flatMap(UInt64.init) ?? value
    }

    @Test func everyWorldKeepsEveryInvariant() {
        let count = Self.number("FACET_SIMULATION_SEEDS", default: 200)
        let summary = Campaign.run(first: Self.number("FACET_SIMULATION_SEED", default: 1), count: count)
        #expect(summary.failures.isEmpty, "\(summary.text)")
        #expect(summary.counted * 2 > summary.seeds, "\(summary.text)")
    }

    /// From this seed on a third of the worlds split their shards.
    @Test func worldsThatSplitKeepEveryInvariant() {
        let summary = Campaign.run(first: 10_000_000, count: 40)
        #expect(summary.failures.isEmpty, "\(summary.text)")
        #expect(summary.figures.splits >= 5, "\(summary.text)")
        #expect(summary.figures.abortedSplits >= 1, "\(summary.text)")
        #expect(Campaign.compare(first: 10_000_000, count: 10).unequal.isEmpty)
    }

    /// Without a fault a split ends, and each half has one reign.
    @Test func aQuietShardIsSplit() {
        var options = WorldOptions()
        options.splitsShards = true
        for seed in 1...5 as ClosedRange<UInt64> {
            let world = CollectionWorld(seed: seed, options: options)
            world.run()
            #expect(world.failure == nil)
            #expect(world.figures.splits == 1)
            #expect(world.figures.reigns == 3)
            #expect(world.figures.searches > 20)
        }
    }

    @Test func seedsThatOnceFailedHold() {
        for seed in Corpus.seeds {
            let summary = Campaign.run(first: seed, count: 1)
            #expect(summary.failures.isEmpty, "\(summary.text)")
        }
    }

    @Test func equalSeedsGiveEqualTraces() {
        let summary = Campaign.compare(first: 1_000, count: 50)
        #expect(summary.unequal.isEmpty)
        #expect(Set((1_000..<1_010).map { Campaign.run(first: $0, count: 1).trace }).count == 10)
    }

    /// L2: no fault, no failover; and everything is acknowledged.
    @Test(arguments: [1, 2, 3, 5]) func aQuietWorldHasOneReign(copies: Int) {
        var options = WorldOptions()
        options.copies = copies
        options.minISR = (copies + 1) / 2
        for seed in 1...5 as ClosedRange<UInt64> {
            let world = World(seed: seed, options: options)
            world.run()
            #expect(world.failure == nil)
            #expect(world.figures.reigns == 1)
            #expect(world.figures.shrinks == 0)
            #expect(world.figures.acknowledged > 100)
            #expect(world.figures.strongReads > 100)
        }
    }
}
