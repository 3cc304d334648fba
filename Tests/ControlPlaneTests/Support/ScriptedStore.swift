import ClusterModel
import ControlPlane
import Synchronization

/// A store whose changes a test holds back or breaks off, and that it takes away.
final class ScriptedStore: ControlPlane {
    private struct State {
        var reads = 0
        var isMute = false
        var outage: String?
        var breaks = 0
    }

    private let store: any ControlPlane
    private let state = Mutex(State())

    init(_ store: any ControlPlane) { self.store = store }

    /// Questions that reached the store.
    var reads: Int { state.withLock { $0.reads } }

    /// No change comes while it is set.
    var isMute: Bool {
        get { state.withLock { $0.isMute } }
        set { state.withLock { $0.isMute = newValue } }
    }

    /// Everything fails with this while it is set, and changes are silent.
    var outage: String? {
        get { state.withLock { $0.outage } }
        set { state.withLock { $0.outage = newValue } }
    }

    /// Whoever follows changes now is told that they cannot go on.
    func breakOff() { state.withLock { $0.breaks += 1 } }

    func read(_ key: RegisterKey) async throws(ControlPlaneError) -> Register? {
        try count()
        return try await store.read(key)
    }

    func list(_ family: RegisterFamily) async throws(ControlPlaneError) -> [Register] {
        try count()
        return try await store.list(family)
    }

    func commit(_ transaction: RegisterTransaction) async throws(ControlPlaneError) -> TransactionOutcome {
        try count()
        return try await store.commit(transaction)
    }

    func grantLease(seconds: Int) async throws(ControlPlaneError) -> LeaseID {
        try count()
        return try await store.grantLease(seconds: seconds)
    }

    func renew(_ lease: LeaseID) async throws(ControlPlaneError) -> Bool {
        try count()
        return try await store.renew(lease)
    }

    func end(_ lease: LeaseID) async throws(ControlPlaneError) {
        try count()
        try await store.end(lease)
    }

    func snapshot() async throws(ControlPlaneError) -> RegisterSnapshot {
        try count()
        return try await store.snapshot()
    }

    func changes(after revision: Revision) -> AsyncThrowingStream<RegisterChanges, any Error> {
        let (stream, continuation) = AsyncThrowingStream<RegisterChanges, any Error>.makeStream()
        let breaks = state.withLock { $0.breaks }
        let task = Task {
            do {
                for try await change in store.changes(after: revision) {
                    while isMute || outage != nil { try await Task.sleep(for: .milliseconds(5)) }
                    guard state.withLock({ $0.breaks }) == breaks else {
                        throw ControlPlaneError.unavailable(reason: "broken off", outcomeUnknown: false)
                    }
                    continuation.yield(change)
                }
                continuation.finish()
            } catch {
                continuation.finish(throwing: error)
            }
        }
        continuation.onTermination = { _ in task.cancel() }
        return stream
    }

    private func count() throws(ControlPlaneError) {
        let outage = state.withLock { state in
            state.reads += 1
            return state.outage
        }
        if let outage { throw .unavailable(reason: outage, outcomeUnknown: false) }
    }
}
