import Replication
import SimulatedCluster
import Testing

/// The simulation notices mistakes: those it meets soonest. `make simulate MUTANT=all` plants every one.
@Suite struct MutantTests {
    @Test(arguments: [
        Mutant.acknowledgeBeforeSync, .boundIgnoresAge, .commitBeforeShrinkIsMade, .commitByProposedAlone,
        .confirmByOne, .damagedLogStays, .expandWithoutCatchUp, .resumeReignAfterRestart, .serveBeforeBarrier,
        .sessionIgnoresIndex,
        .truncateToCommit,
    ]) func isNoticed(mutant: Mutant) {
        let summary = Campaign.run(first: 1, count: 40, mutant: mutant)
        #expect(!summary.failures.isEmpty, "\(summary.text)")
    }

    /// What is checked of everything around the core can fail as well.
    @Test(arguments: WorldMistake.allCases) func isNoticed(mistake: WorldMistake) {
        let summary = Campaign.run(first: 1, count: 60, mistake: mistake)
        #expect(!summary.failures.isEmpty, "\(summary.text)")
    }
}
