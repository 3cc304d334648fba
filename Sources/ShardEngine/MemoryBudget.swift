import Synchronization

/// Memory that the shards of a node may take for vectors, and what they hold: back-pressure before the machine swaps.
/// Opening a shard is never refused; enrolment is.
final class MemoryBudget: Sendable {
    /// 0 is no limit.
    let capacityBytes: Int
    private let held = Mutex(0)

    init(capacityBytes: Int) { self.capacityBytes = capacityBytes }

    func change(by bytes: Int) { held.withLock { $0 += bytes } }

    /// Counts `bytes` as held, or says why not; give them back with `change`.
    func reserve(_ bytes: Int) -> String? {
        let over = held.withLock { held -> Int? in
            guard capacityBytes > 0, held + bytes > capacityBytes else {
                held += bytes
                return nil
            }
            return held
        }
        return over.map(text)
    }

    /// Why `bytes` more would not fit; nil when they would.
    func refusal(of bytes: Int) -> String? {
        let held = held.withLock { $0 }
        return capacityBytes > 0 && held + bytes > capacityBytes ? text(held: held) : nil
    }

    private func text(held: Int) -> String {
        """
        the node's memory budget is used up: its shards hold \(held >> 20) MiB of \(capacityBytes >> 20) MiB; \
        raise the node's `memory`, move to more nodes or delete faces
        """
    }
}
