package import ClusterModel
import Synchronization

/// A control plane in memory, with faults: it can be down, and it can show old registers as a lagging mirror does.
package final class MemoryControlPlane: ControlPlane {
    private struct State {
        var registers: [String: Register] = [:]
        var revision: Int64 = 0
        /// The paths under each lease that has not ended.
        var leases: [LeaseID: Set<String>] = [:]
        var leasesGranted: Int64 = 0
        var down: String?
        /// What reads show instead of the registers.
        var frozen: [String: Register]?
        /// Reads after which the freeze ends.
        var frozenReads = 0
        var reads = 0
        /// What happens behind the read after so many more.
        var interruption: (reads: Int, run: @Sendable () async -> Void)?

        mutating func move(_ path: String, under lease: LeaseID?) {
            for other in leases.keys { leases[other]?.remove(path) }
            if let lease { leases[lease]?.insert(path) }
        }
    }
    private let state = Mutex(State())

    package init() {}

    package var reads: Int { state.withLock { $0.reads } }
    package func fail(_ reason: String?) { state.withLock { $0.down = reason } }

    /// The next `reads` reads and lists show the registers as they are now, whatever is committed meanwhile.
    package func freeze(reads: Int) {
        state.withLock { state in
            state.frozen = state.registers
            state.frozenReads = reads
        }
    }

    /// Runs `event` once, when `reads` more fresh reads have taken what they answer and before the last of them answers.
    package func interrupt(afterFreshReads reads: Int, by event: @escaping @Sendable () async -> Void) {
        state.withLock { $0.interruption = (reads, event) }
    }

    /// What is committed, whatever reads show.
    package func committed(_ key: RegisterKey) -> Register? { state.withLock { $0.registers[key.path] } }
    package func committed(_ family: RegisterFamily) -> [Register] {
        state.withLock { state in
            state.registers.filter { $0.key.hasPrefix(family.prefix) }.sorted { $0.key < $1.key }.map(\.value)
        }
    }

    /// What another process commits, also while this one cannot reach the store.
    package func overwrite(_ value: RegisterValue) {
        state.withLock { state in
            state.revision += 1
            state.registers[value.key.path] = Register(value: value, revision: Revision(state.revision))
        }
    }

    package func remove(_ key: RegisterKey) {
        state.withLock { state in
            state.revision += 1
            state.registers[key.path] = nil
        }
    }

    package func read(_ key: RegisterKey) async throws(ControlPlaneError) -> Register? {
        try shown()[key.path]
    }

    package func readFresh(_ key: RegisterKey) async throws(ControlPlaneError) -> Register? {
        let register = try shown(fresh: true)[key.path]
        let event = state.withLock { state -> (@Sendable () async -> Void)? in
            guard let (reads, event) = state.interruption else { return nil }
            state.interruption = reads > 1 ? (reads - 1, event) : nil
            return reads > 1 ? nil : event
        }
        await event?()
        return register
    }

    package func list(_ family: RegisterFamily) async throws(ControlPlaneError) -> [Register] {
        try shown().filter { $0.key.hasPrefix(family.prefix) }.sorted { $0.key < $1.key }.map(\.value)
    }

    package func commit(_ transaction: RegisterTransaction) async throws(ControlPlaneError) -> TransactionOutcome {
        let outcome: Result<TransactionOutcome, ControlPlaneError> = state.withLock { state in
            if let down = state.down { return .failure(.unavailable(reason: down, outcomeUnknown: false)) }
            for change in transaction.changes {
                let (key, expected) = Self.expectation(of: change)
                guard (state.registers[key.path]?.revision ?? .absent) == expected else {
                    return .success(.conflict(key))
                }
            }
            if let lease = transaction.lease, state.leases[lease] == nil { return .success(.leaseEnded) }
            state.revision += 1
            for change in transaction.changes {
                switch change {
                case .put(let value, _):
                    state.registers[value.key.path] = Register(value: value, revision: Revision(state.revision))
                    state.move(value.key.path, under: transaction.lease)
                case .delete(let key, _):
                    state.registers[key.path] = nil
                    state.move(key.path, under: nil)
                case .unchanged: break
                }
            }
            return .success(.committed(Revision(state.revision)))
        }
        return try outcome.get()
    }

    /// Leases here end only by `end`.
    package func grantLease(seconds: Int) async throws(ControlPlaneError) -> LeaseID {
        _ = try shown(fresh: true)
        return state.withLock { state in
            state.leasesGranted += 1
            state.leases[LeaseID(state.leasesGranted)] = []
            return LeaseID(state.leasesGranted)
        }
    }

    package func renew(_ lease: LeaseID) async throws(ControlPlaneError) -> Bool {
        _ = try shown(fresh: true)
        return state.withLock { $0.leases[lease] != nil }
    }

    package func end(_ lease: LeaseID) async throws(ControlPlaneError) {
        _ = try shown(fresh: true)
        state.withLock { state in
            guard let paths = state.leases.removeValue(forKey: lease), !paths.isEmpty else { return }
            state.revision += 1
            for path in paths { state.registers[path] = nil }
        }
    }

    package func snapshot() async throws(ControlPlaneError) -> RegisterSnapshot {
        let registers = try shown().sorted { $0.key < $1.key }.map(\.value)
        return RegisterSnapshot(registers: registers, revision: state.withLock { Revision($0.revision) })
    }

    /// Nobody follows this control plane: the stream ends at once, as one that cannot go on.
    package func changes(after revision: Revision) -> AsyncThrowingStream<RegisterChanges, any Error> {
        AsyncThrowingStream {
            $0.finish(throwing: ControlPlaneError.unavailable(reason: "no changes here", outcomeUnknown: false))
        }
    }

    private func shown(fresh: Bool = false) throws(ControlPlaneError) -> [String: Register] {
        let shown: Result<[String: Register], ControlPlaneError> = state.withLock { state in
            state.reads += 1
            if let down = state.down { return .failure(.unavailable(reason: down, outcomeUnknown: false)) }
            guard !fresh, let frozen = state.frozen, state.frozenReads > 0 else { return .success(state.registers) }
            state.frozenReads -= 1
            return .success(frozen)
        }
        return try shown.get()
    }

    private static func expectation(of change: RegisterTransaction.Change) -> (RegisterKey, Revision) {
        switch change {
        case .put(let value, let expecting): (value.key, expecting)
        case .delete(let key, let expecting), .unchanged(let key, let expecting): (key, expecting)
        }
    }
}
