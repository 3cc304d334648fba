import AuditLedger
import Dispatch
import FaceModel
import Synchronization

/// What waits for the ledger's writer thread. Bounded: at `Limits.logInboxMax` entries more are refused.
final class LedgerInbox: Sendable {
    typealias Reply = @Sendable (Result<UInt64, LedgerError>) -> Void

    enum Item: Sendable {
        case entry(LedgerEntry, Reply)
        case stop(@Sendable () -> Void)
    }

    private struct State {
        var items: [Item] = []
        var closed: LedgerError?
    }

    private let state = Mutex(State())
    private let arrival = DispatchSemaphore(value: 0)

    /// Nil when taken; else why not, and the item's reply will not be called.
    func add(_ item: Item) -> LedgerError? {
        let (refusal, first) = state.withLock { state -> (LedgerError?, Bool) in
            if let closed = state.closed { return (closed, false) }
            if case .entry = item, state.items.count >= Limits.logInboxMax {
                return (.refusing(reason: "\(state.items.count) entries are waiting for the ledger already"), false)
            }
            state.items.append(item)
            return (nil, state.items.count == 1)
        }
        if first { arrival.signal() }
        return refusal
    }

    /// Everything that waits, in order; empty only when `deadline` passed (nil: waits however long it takes).
    func take(until deadline: DispatchTime?) -> [Item] {
        while true {
            let outcome = arrival.wait(timeout: deadline ?? .distantFuture)
            let items = state.withLock { state in
                defer { state.items = [] }
                return state.items
            }
            // A take that timed out may have emptied the inbox just after the signal; that signal then wakes in vain.
            if !items.isEmpty || outcome == .timedOut { return items }
        }
    }

    /// Refuses everything from now on and returns what waited.
    func close(_ reason: LedgerError) -> [Item] {
        state.withLock { state in
            state.closed = reason
            defer { state.items = [] }
            return state.items
        }
    }
}
