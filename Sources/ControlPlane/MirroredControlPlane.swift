package import ClusterModel
package import Logging
import Synchronization

/// A control plane whose registers are all in memory: a snapshot and the changes since, so that a request costs no
/// round trip.
///
/// A register that is here is answered from memory; one that is not is asked for, as another process may just have made
/// it. Transactions go to the store, and what they wrote is here when they return. Without contact with the store it
/// goes on answering what it knows and says so in `status`; what it does not know, and writes, fail.
/// Safe to use from many tasks. `start` before use, `stop` before letting go of the store.
package final class MirroredControlPlane: ControlPlane {
    private struct State {
        var registers: MirroredRegisters?
        /// When all that was committed was last known to be here.
        var contact = ContinuousClock.now
        /// Since then.
        var trouble: String?
        var task: Task<Void, Never>?
        /// Transactions that returned while a snapshot was on its way, which may not hold them.
        var meanwhile: [(RegisterTransaction, Revision)]?
    }

    private let store: any ControlPlane
    private let staleAfter: Duration
    private let log: Logger
    private let state = Mutex(State())

    /// `staleAfter`: silence of the store beyond which the mirror counts as stale.
    package init(
        _ store: any ControlPlane, staleAfter: Duration = .seconds(5), log: Logger = Logger(label: "control-plane")
    ) {
        self.store = store
        self.staleAfter = staleAfter
        self.log = log
    }

    /// Reads every register and follows the changes from then on. Errors: the store's; the mirror is not started then.
    package func start() async throws(ControlPlaneError) {
        try await load()
        state.withLock { state in
            precondition(state.task == nil, "a mirror is started once")
            state.task = Task { await self.run() }
        }
    }

    /// Stops following; what is here stays and grows old.
    package func stop() async {
        let task = state.withLock { $0.task }
        task?.cancel()
        await task?.value
    }

    package func read(_ key: RegisterKey) async throws(ControlPlaneError) -> Register? {
        let known = try locked { state throws(ControlPlaneError) in try state.registers?.read(key) }
        if let known { return known }
        if let staleness { throw staleness.error }
        return try await readFresh(key)
    }

    /// Also brings memory up to what was found.
    package func readFresh(_ key: RegisterKey) async throws(ControlPlaneError) -> Register? {
        let before = state.withLock { $0.registers?.revision(of: key) }
        let found = try await store.readFresh(key)
        state.withLock { $0.registers?.apply(found, for: key, before: before) }
        return found
    }

    package func list(_ family: RegisterFamily) async throws(ControlPlaneError) -> [Register] {
        let known = try locked { state throws(ControlPlaneError) in try state.registers?.list(family) }
        if let known { return known }
        return try await store.list(family)
    }

    package func commit(_ transaction: RegisterTransaction) async throws(ControlPlaneError) -> TransactionOutcome {
        let outcome = try await store.commit(transaction)
        switch outcome {
        case .committed(let revision):
            state.withLock { state in
                state.registers?.apply(transaction, committed: revision)
                state.meanwhile?.append((transaction, revision))
            }
        case .conflict(let key):
            // Memory may be what was wrong: who reads again and tries again must meet what is there now. If that
            // fails the conflict stands, and the change comes by itself.
            _ = try? await readFresh(key)
        case .leaseEnded: break
        }
        return outcome
    }

    package func grantLease(seconds: Int) async throws(ControlPlaneError) -> LeaseID {
        try await store.grantLease(seconds: seconds)
    }

    package func renew(_ lease: LeaseID) async throws(ControlPlaneError) -> Bool { try await store.renew(lease) }

    /// What was under it is gone here a moment later.
    package func end(_ lease: LeaseID) async throws(ControlPlaneError) { try await store.end(lease) }

    package func snapshot() async throws(ControlPlaneError) -> RegisterSnapshot { try await store.snapshot() }

    package func changes(after revision: Revision) -> AsyncThrowingStream<RegisterChanges, any Error> {
        store.changes(after: revision)
    }

    package var status: MirrorStatus {
        state.withLock { state in
            MirrorStatus(
                registers: state.registers?.count ?? 0, unreadable: state.registers?.unreadable ?? [],
                revision: state.registers?.revision ?? .absent, staleness: staleness(state))
        }
    }

    /// Missing while the mirror is as recent as `staleAfter` promises.
    package var staleness: MirrorStaleness? { state.withLock { staleness($0) } }

    private func staleness(_ state: State) -> MirrorStaleness? {
        let age = ContinuousClock.now - state.contact
        guard age > staleAfter else { return nil }
        return MirrorStaleness(age: age, reason: state.trouble ?? "the control plane is silent")
    }

    private func locked<Value: Sendable>(
        _ body: (inout State) throws(ControlPlaneError) -> Value
    ) throws(ControlPlaneError) -> Value {
        try state.withLock { state throws(ControlPlaneError) in try body(&state) }
    }
}

extension MirroredControlPlane {
    private func run() async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.follow() }
            group.addTask { await self.watchOverSilence() }
        }
    }

    /// Follows changes; where they break off, begins again with a snapshot.
    private func follow() async {
        while !Task.isCancelled {
            let revision = state.withLock { $0.registers?.revision ?? .absent }
            do {
                for try await changes in store.changes(after: revision) { apply(changes) }
            } catch {
                trouble((error as? ControlPlaneError)?.reason ?? "\(error)")
            }
            await reload()
        }
    }

    /// Pauses first: changes that break off at once must not become a storm of snapshots.
    private func reload() async {
        while (try? await Task.sleep(for: staleAfter / 20)) != nil {
            do throws(ControlPlaneError) {
                try await load()
                return log.notice("every register was read again")
            } catch {
                trouble(error.reason)
            }
        }
    }

    /// Silence has no reason of its own: the store is asked for one.
    private func watchOverSilence() async {
        var wasStale = false
        while (try? await Task.sleep(for: staleAfter / 4)) != nil {
            guard staleness != nil else {
                if wasStale { log.notice("the control plane is back") }
                wasStale = false
                continue
            }
            do throws(ControlPlaneError) {
                _ = try await store.readFresh(.cluster)
            } catch {
                trouble(error.reason)
            }
            if !wasStale, !Task.isCancelled, let staleness {
                log.warning("serving with registers of the past", metadata: ["why": "\(staleness)"])
                wasStale = true
            }
        }
    }

    private func load() async throws(ControlPlaneError) {
        state.withLock { $0.meanwhile = [] }
        defer { state.withLock { $0.meanwhile = nil } }
        let snapshot = try await store.snapshot()
        state.withLock { state in
            var registers = MirroredRegisters(snapshot)
            for (transaction, revision) in state.meanwhile ?? [] {
                registers.apply(transaction, committed: revision)
            }
            state.registers = registers
            state.contact = .now
            state.trouble = nil
        }
    }

    private func apply(_ changes: RegisterChanges) {
        state.withLock { state in
            state.registers?.apply(changes)
            state.contact = .now
            state.trouble = nil
        }
    }

    private func trouble(_ reason: String) { state.withLock { $0.trouble = reason } }
}
