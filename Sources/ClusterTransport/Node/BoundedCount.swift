import Synchronization

/// A number of things that may be underway at once.
final class BoundedCount: Sendable {
    let max: Int
    private let count = Mutex(0)

    init(max: Int) { self.max = max }

    /// False when as many as may be are underway.
    func enter() -> Bool {
        count.withLock { count in
            guard count < max else { return false }
            count += 1
            return true
        }
    }

    func leave() {
        count.withLock { count in
            precondition(count > 0, "who leaves has entered")
            count -= 1
        }
    }

    var current: Int { count.withLock { $0 } }
}
