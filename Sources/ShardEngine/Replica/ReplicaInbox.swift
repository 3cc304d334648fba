import ClusterModel
import FaceModel
import Foundation
import Synchronization

/// What waits for a replica's writer thread: requests with their callers, and finished background merges. Bounded.
final class ReplicaInbox: Sendable {
    enum Item {
        case request(WaitingRequest)
        /// The background merge of a compaction ended; the writer installs it.
        case mergeFinished
        /// The writer ends and then calls back.
        case stop(ReplicaEnd, @Sendable () -> Void)
    }

    private struct State {
        var items: [Item] = []
        var closed: ShardError?
    }

    private let shard: ShardID
    private let state = Mutex(State())
    private let arrival = DispatchSemaphore(value: 0)

    init(shard: ShardID) { self.shard = shard }

    /// Nil when taken; else why not, and nobody will be called back.
    func add(_ item: Item) -> ShardError? {
        let refusal = state.withLock { state -> ShardError? in
            if let closed = state.closed { return closed }
            if case .request = item, state.items.count >= Limits.logInboxMax {
                return .busy(shard, reason: "\(state.items.count) requests wait for its log already")
            }
            state.items.append(item)
            return nil
        }
        if refusal == nil { arrival.signal() }
        return refusal
    }

    /// Everything that waits, after at most `timeout` (nil: however long it takes).
    func take(timeout milliseconds: Int?) -> [Item] {
        if let milliseconds {
            _ = arrival.wait(timeout: .now() + .milliseconds(milliseconds))
        } else {
            arrival.wait()
        }
        return state.withLock { state in
            defer { state.items = [] }
            return state.items
        }
    }

    /// Refuses everything from now on and returns what waited.
    func close(_ reason: ShardError) -> [Item] {
        state.withLock { state in
            state.closed = reason
            defer { state.items = [] }
            return state.items
        }
    }
}

/// A write and its caller, who is resumed exactly once.
struct WaitingRequest: Sendable {
    var roots: [LeafID]
    var request: Proposal.Request
    /// Not begun after this.
    var deadline: ContinuousClock.Instant
    var resume: @Sendable (Result<ProposalOutcome, ShardError>) -> Void
}

/// Why a replica is closed.
enum ReplicaEnd: Sendable {
    case nodeStops
    case dropped

    /// What requests that come too late are told.
    func error(_ shard: ShardID) -> ShardError {
        switch self {
        case .nodeStops: .busy(shard, reason: "its node is stopping")
        case .dropped: .unknownShard(shard)
        }
    }
}
