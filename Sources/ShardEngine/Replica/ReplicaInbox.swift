import ClusterModel
import FaceModel
import Foundation
import Synchronization

/// What waits for a replica's writer thread: requests with their callers, and finished background merges. Bounded.
final class ReplicaInbox: Sendable {
    enum Item {
        case request(Proposal.Request, ReplyBox)
        /// The background merge of a compaction ended; the writer installs it.
        case mergeFinished
        case stop(ReplyBox)
    }

    private struct State {
        var items: [Item] = []
        var closed: String?
    }

    private let state = Mutex(State())
    private let arrival = DispatchSemaphore(value: 0)

    /// False when the inbox is full or closed; the reason is the error's text.
    func add(_ item: Item) -> Result<Void, InboxRefusal> {
        let refusal = state.withLock { state -> InboxRefusal? in
            if let reason = state.closed { return InboxRefusal(reason: reason, final: true) }
            if case .request = item, state.items.count >= Limits.logInboxMax {
                return InboxRefusal(reason: "\(state.items.count) requests are waiting already", final: false)
            }
            state.items.append(item)
            return nil
        }
        if let refusal { return .failure(refusal) }
        arrival.signal()
        return .success(())
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
    func close(reason: String) -> [Item] {
        state.withLock { state in
            state.closed = reason
            defer { state.items = [] }
            return state.items
        }
    }
}

struct InboxRefusal: Error {
    var reason: String
    /// The replica will not take writes again in this process.
    var final: Bool
}

/// The caller of one request: resumed exactly once.
struct ReplyBox: Sendable {
    let resume: @Sendable (ProposalOutcome) -> Void
}
