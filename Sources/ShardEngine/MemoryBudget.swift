import Foundation
import SegmentStore
import Synchronization

/// Memory that the shards of a node may take for vectors, and what they hold: back-pressure before the machine swaps.
/// Opening a shard is never refused; enrolment is.
final class MemoryBudget: Sendable {
    /// 0 is no limit.
    let capacityBytes: Int
    /// Whether segments keep what every search reads from being swapped out.
    let locksMemory: Bool
    /// Whether planes that not every search reads stay in the segments' files. The system's page cache holds them then,
    /// as long as nobody else needs the room: they count nowhere here.
    let mapsPlanes: Bool
    private let held = Mutex(0)

    init(capacityBytes: Int, locksMemory: Bool = false, mapsPlanes: Bool = false) {
        self.capacityBytes = capacityBytes
        self.locksMemory = locksMemory
        self.mapsPlanes = mapsPlanes
    }

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

/// Memory that may not be swapped out.
package enum MemoryLock {
    /// Why the system would not let this process lock `bytes` (0: any number); nil when it would.
    package static func refusal(bytes: Int) -> String? {
        let name = "Max locked memory"
        guard let text = try? String(contentsOfFile: "/proc/self/limits", encoding: .utf8),
            let line = text.split(separator: "\n").first(where: { $0.hasPrefix(name) }),
            let limit = line.dropFirst(name.count).split(separator: " ").first
        else { return "`search.lock_memory`: the system does not tell RLIMIT_MEMLOCK" }
        guard limit != "unlimited", bytes == 0 || (Int(limit) ?? 0) < bytes else { return nil }
        return """
            `search.lock_memory` needs RLIMIT_MEMLOCK to be unlimited, or at least the node's `memory`; it is \(limit) \
            bytes (LimitMEMLOCK of the unit, ulimit -l)
            """
    }

    /// Locks what every search of these segments reads; why not, where the system refuses.
    static func lock(_ segments: [Segment]) -> String? {
        for segment in segments {
            if let code = segment.lockFirstScan() {
                return "segment \(segment.number) cannot be locked in memory (errno \(code), RLIMIT_MEMLOCK)"
            }
        }
        return nil
    }
}
