package import AuditLedger
import ClusterModel
import Dispatch
package import FaceModel
import Foundation
import Logging
import Replication
package import StorageIO

/// A copy of the ledger, the only one in an embedded server: its writer thread, and reads beside it.
///
/// A copy that cannot be trusted or read still opens, so that the server starts and says why: every call is then refused
/// with the reason.
package final class LedgerReplica: LedgerService {
    struct Running {
        let view: LedgerView
        let condition: ReplicaCondition
        let inbox: ReplicaInbox<WaitingEntry>
    }

    enum Opening {
        case running(Running)
        case unusable(LedgerError)
    }

    /// How long a start waits for the only copy to be chosen.
    private static let settlingMax = Duration.seconds(10)
    /// Of a usual record: a leaf and its sealed private record.
    private static let recordBytes = 640

    let settings: LedgerSettings
    let store: LedgerFiles
    let opening: Opening
    /// Reads of tiles, away from the cooperative pool.
    let reads = DispatchQueue(label: "facet.ledger.reads")

    /// Recovers the copy in `settings.directory`, or begins one. Returns once it is read and, where it is the only one,
    /// takes entries. `replace` is called when other files are to take its place, once.
    package static func open(
        _ settings: LedgerSettings, on files: any FileSystem, surroundings: ReplicaSurroundings,
        replace: @escaping @Sendable () -> Void = {}
    ) async -> LedgerReplica {
        let register: RegisterState?
        do throws(ControlPlaneError) {
            register = try await surroundings.registers.read(settings.shard)
        } catch {
            // A copy that was here before knows what it saw last.
            register = nil
        }
        let ledger = LedgerReplica(
            settings, on: files, register: register, surroundings: surroundings, replace: replace)
        if register?.configuration.named.count == 1 { await ledger.settle(until: .now + settlingMax) }
        return ledger
    }

    /// Blocks until the files are read.
    private init(
        _ settings: LedgerSettings, on files: any FileSystem, register: RegisterState?,
        surroundings: ReplicaSurroundings, replace: @escaping @Sendable () -> Void
    ) {
        self.settings = settings
        let store = LedgerFiles(directory: settings.directory, files: files)
        self.store = store
        let signer: CheckpointSigner
        do throws(LedgerError) {
            signer = try LedgerKeyFile.load(settings, store)
        } catch {
            opening = .unusable(error)
            return
        }
        let machine = LedgerMachine(recordKey: settings.recordKey, signer: signer)
        let running = Running(
            view: LedgerView(machine), condition: ReplicaCondition(), inbox: ReplicaInbox(shard: settings.shard))
        opening = .running(running)
        let opened = DispatchSemaphore(value: 0)
        let thread = Thread {
            Self.run(settings, store, machine, register, surroundings, running, replace, opened)
        }
        thread.name = "facet-ledger"
        thread.start()
        opened.wait()
    }

    private static func run(
        _ settings: LedgerSettings, _ store: LedgerFiles, _ machine: LedgerMachine, _ register: RegisterState?,
        _ surroundings: ReplicaSurroundings, _ running: Running, _ replace: @escaping @Sendable () -> Void,
        _ opened: DispatchSemaphore
    ) {
        let logger = Logger(label: "facet.ledger")
        let (view, condition, inbox) = (running.view, running.condition, running.inbox)
        do throws(LedgerError) {
            do throws(FileError) {
                try store.finishReplacement()
            } catch {
                throw .damaged(reason: error.sentence)
            }
            let recovery = try LedgerRecovery(
                store, settings: settings, machine: machine, register: register, logger: logger)
            view.use { $0 = recovery.state }
            let content = LedgerContent(
                signedSize: recovery.signedSize, store: store, view: view, condition: condition,
                reader: LedgerRecordReader(store: store, view: view, recordKey: settings.recordKey),
                copying: LedgerCopying(identity: settings.logIdentity, replace: replace), logger: logger)
            let writer = ReplicaWriter(
                recovery.opened, applied: recovery.applied, unapplied: recovery.unapplied, content: content,
                condition: condition, inbox: inbox, recordBytes: recordBytes, surroundings: surroundings,
                logger: logger)
            opened.signal()
            writer.run()
        } catch {
            logger.critical("the ledger cannot be used", metadata: ["reason": "\(error.reason)"])
            view.fail(error)
            for done in inbox.abandon(.stopped(settings.shard, reason: error.reason)) { done() }
            opened.signal()
        }
    }

    package func append(_ entry: LedgerEntry, _ call: LedgerCall) async throws(LedgerError) -> UInt64 {
        let running = try running()
        let outcome = await withCheckedContinuation {
            (continuation: CheckedContinuation<Result<UInt64, LedgerError>, Never>) in
            let waiting = WaitingEntry(entry: entry, deadline: call.deadline) { continuation.resume(returning: $0) }
            if let refusal = running.inbox.add(.request(waiting)) {
                continuation.resume(returning: .failure(LedgerError(refusal)))
            }
        }
        do throws(LedgerError) {
            return try outcome.get()
        } catch {
            throw running.view.use { $0.failure } ?? error
        }
    }

    package func record(
        of search: SearchID, tenant: TenantID, _ call: LedgerCall
    ) async throws(LedgerError) -> SearchRecord? {
        let running = try running()
        try await confirm(running, call)
        let outcome = await withCheckedContinuation { continuation in
            reads.async { [store, settings] in
                let reader = LedgerRecordReader(store: store, view: running.view, recordKey: settings.recordKey)
                continuation.resume(
                    returning: Result { () throws(LedgerError) in
                        try reader.record(of: search, tenant: tenant)
                    })
            }
        }
        return try outcome.get()
    }

    package func status(_ call: LedgerCall) async throws(LedgerError) -> LedgerStatus {
        if case .running(let running) = opening, running.view.use({ $0.failure == nil }) {
            try await confirm(running, call)
        }
        return ownStatus
    }

    package func standing(_ call: LedgerCall) async throws(LedgerError) -> Standing {
        let running = try running()
        try await confirm(running, call)
        return try running.view.whole { $0.machine.standing }
    }

    /// What this copy knows of itself, whoever decides.
    package var ownStatus: LedgerStatus {
        switch opening {
        case .running(let running): running.view.status(refusing: running.condition.writesRefused)
        case .unusable(let error):
            LedgerStatus(
                treeSize: 0, rootHash: MerkleHash.empty.bytes, verifierKey: "", refusing: error.reason)
        }
    }

    /// Proof that the tree of `size` leaves is a prefix of the committed one; nil for a size that never was.
    package func consistencyProof(from size: UInt64, _ call: LedgerCall) async throws(LedgerError) -> [[UInt8]]? {
        let running = try running()
        try await confirm(running, call)
        return try running.view.whole { state in
            (1...max(1, state.machine.committedSize)).contains(size) && state.machine.committedSize > 0
                ? state.machine.consistencyProof(from: size) : nil
        }
    }

    /// Ends the writer after what it has begun; returns when its files are closed.
    package func stop() async { await stop(.nodeStops) }

    func stop(_ end: ReplicaEnd) async {
        guard case .running(let running) = opening else { return }
        await withCheckedContinuation { continuation in
            if running.inbox.add(.stop(end) { continuation.resume() }) != nil { continuation.resume() }
        }
    }

    /// Waits until everything acknowledged before the call is known to be here: at once for the only copy.
    private func confirm(_ running: Running, _ call: LedgerCall) async throws(LedgerError) {
        if running.condition.role?.isAlone == true { return }
        let refusal = await withCheckedContinuation { (continuation: CheckedContinuation<ShardError?, Never>) in
            let read = WaitingRead(level: .strong, deadline: call.deadline) { continuation.resume(returning: $0) }
            if let refusal = running.inbox.add(.read(read)) { continuation.resume(returning: refusal) }
        }
        if let refusal { throw told(refusal, running) }
    }

    private func settle(until deadline: ContinuousClock.Instant) async {
        guard case .running(let running) = opening else { return }
        let settled = Promise<Void>()
        guard running.inbox.add(.settle { settled.settle(()) }) == nil else { return }
        _ = await settled.value(until: deadline)
    }

    private func running() throws(LedgerError) -> Running {
        switch opening {
        case .running(let running):
            try running.view.whole { _ in }
            return running
        case .unusable(let error): throw error
        }
    }

    private func told(_ error: ShardError, _ running: Running) -> LedgerError {
        running.view.use { $0.failure } ?? LedgerError(error)
    }
}

extension LedgerError {
    /// What the protocol between copies says, as callers of the ledger are told.
    init(_ error: ShardError) {
        switch error {
        case .writesRefused(_, let reason), .busy(_, let reason): self = .refusing(reason: reason)
        case .damaged(_, let reason): self = .damaged(reason: reason)
        case .stopped(_, let reason): self = .stopped(reason: reason)
        case .notPrimary: self = .unreachable(reason: "another of its copies decides now")
        case .notServing(_, let reason): self = .unreachable(reason: reason)
        case .interrupted:
            self = .unreachable(reason: "the copy that decided no longer does; the entry may stand in it all the same")
        case .deadlineExceeded: self = .unreachable(reason: "too few of its copies confirmed in time")
        case .unreachable(_, _, let reason, _): self = .unreachable(reason: reason)
        case .unknownShard: self = .stopped(reason: "it is closed")
        case .wrongDimension, .wrongOwner: preconditionFailure("a ledger has no faces")
        }
    }
}
