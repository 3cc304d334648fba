import Dispatch
import Synchronization

/// One value that somebody brings and one task waits for, at most until a deadline.
final class Promise<Value: Sendable>: Sendable {
    private enum State {
        case open
        case awaited(CheckedContinuation<Value?, Never>)
        case settled(Value?)
    }

    private let state = Mutex(State.open)

    /// The first value counts; later ones come to nobody.
    func settle(_ value: Value) { end(with: value) }

    /// Whether a value came, or nobody waits for one any more.
    var isSettled: Bool {
        state.withLock { state in
            if case .settled = state { true } else { false }
        }
    }

    /// Nil when the deadline passed or the task was cancelled before a value came. Called once.
    /// A timer costs several switches between threads: it is for what takes long, not for a scan.
    func value(until deadline: ContinuousClock.Instant) async -> Value? {
        let timer = DispatchSource.makeTimerSource()
        timer.schedule(deadline: .now() + ContinuousClock.now.duration(to: deadline).dispatchInterval)
        timer.setEventHandler { [self] in end(with: nil) }
        timer.activate()
        defer { timer.cancel() }
        return await value()
    }

    /// Nil when the task was cancelled before a value came. Called once.
    func value() async -> Value? {
        await withTaskCancellationHandler {
            await withCheckedContinuation { wait($0) }
        } onCancel: {
            end(with: nil)
        }
    }

    private func wait(_ continuation: CheckedContinuation<Value?, Never>) {
        let settled = state.withLock { state -> Value?? in
            switch state {
            case .open:
                state = .awaited(continuation)
                return nil
            case .awaited: preconditionFailure("two tasks wait for one promise")
            case .settled(let value): return .some(value)
            }
        }
        if let settled { continuation.resume(returning: settled) }
    }

    private func end(with value: Value?) {
        let continuation = state.withLock { state -> CheckedContinuation<Value?, Never>? in
            switch state {
            case .open:
                state = .settled(value)
                return nil
            case .awaited(let continuation):
                state = .settled(value)
                return continuation
            case .settled: return nil
            }
        }
        continuation?.resume(returning: value)
    }
}

extension Duration {
    /// Nanoseconds from 0 to a day: nobody waits longer, and no sum of times overflows.
    var dispatchInterval: DispatchTimeInterval {
        let (seconds, attoseconds) = components
        guard seconds < 86_400 else { return .seconds(86_400) }
        return .nanoseconds(max(0, Int(seconds) * 1_000_000_000 + Int(attoseconds / 1_000_000_000)))
    }
}
