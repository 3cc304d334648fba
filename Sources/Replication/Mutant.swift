/// Mistakes one could make in the protocol. The simulation plants them to see that it would notice; only tests may name
/// this type (`Tests/TidyTests`), so the product always runs with none.
package enum Mutant: String, CaseIterable, Sendable {
    case commitBeforeShrinkIsMade
    case noEpochCheck
    case acknowledgeBeforeSync
    case serveBeforeBarrier
    case readWithoutConfirm
    case uncleanElection
    case truncateToCommit
    case expandWithoutCatchUp
    case damagedLogStays
    case acknowledgementOutlivesIncarnation
    case joinerDoesNotCount
    case confirmByOne
    case shrinkBelowMinimum
    case commitByProposedAlone
    case forgetPendingOnRead
    case ignoreJoinersIncarnation
    case resumeReignAfterRestart
    case serveUnconfirmedRegister
    case commitBeforeMembersKnow
    case forgetEpoch
    case sessionIgnoresIndex
    case boundIgnoresAge
    case electSuspectFirst
    case durableSurvivesTruncation
    case suspicionForgotten
    case pollNumbersRepeat
    case followsOldRegister
    case noIdleNoop
    case newCopyConfirms
    case beatsWithoutStore
}
