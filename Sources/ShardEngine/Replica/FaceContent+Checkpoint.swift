import FaceModel
import Replication

/// Copies compare what they hold: a while after a change the primary has the digest of its state logged, and every copy
/// holds its own to it at that place of the log. One that differs answers nothing from then on, takes no more, and so
/// leaves those in sync.
extension FaceContent {
    /// What was applied makes a comparison due, or was one.
    func owe(_ changes: [Change]) {
        for change in changes {
            if case .checkpoint = change { uncomparedSince = nil } else { uncomparedSince = uncomparedSince ?? .now }
        }
    }

    func compareCopies(_ writer: ReplicaWriter<FaceContent>) {
        // With everything applied that the log holds, what the state says is true of the place behind it.
        guard comparesCopies(writer), isComparisonDue(writer), writer.outstanding == nil,
            writer.applied == writer.core.log.last
        else { return }
        do throws(ReplicaError) {
            let batch = ShardMachine(tree: tree).checkpoint(try state.digest(), at: writer.applied.next)
            // Tried again later where it is not committed; another primary owes it too.
            uncomparedSince = .now
            writer.write(batch.entries, batch.changes) { _ in }
            writer.synchronize()
        } catch {
            maintenanceFailed(error, writer)
        }
    }

    func patienceOfComparison(_ writer: ReplicaWriter<FaceContent>) -> Int? {
        guard comparesCopies(writer), let due = uncomparedSince else { return nil }
        let left = ContinuousClock.now.duration(to: due + writer.surroundings.checkpointDelay)
        return max(1, Int(left / .milliseconds(1)) + 1)
    }

    /// A lone copy has none to compare with.
    private func comparesCopies(_ writer: ReplicaWriter<FaceContent>) -> Bool {
        writer.failure == nil && !writer.isEnding && writer.core.isServing
            && writer.core.configuration.named.count > 1
    }

    private func isComparisonDue(_ writer: ReplicaWriter<FaceContent>) -> Bool {
        uncomparedSince.map { $0 + writer.surroundings.checkpointDelay <= .now } ?? false
    }
}
