package import AuditLedger
import Dispatch
package import FaceModel
import Foundation
import Logging
package import StorageIO

/// The one copy of the ledger in an embedded server, and each copy in a cluster: its writer thread, and reads beside it.
///
/// A ledger that cannot be trusted or read still opens, so that the server starts and says why: every call is then
/// refused with the reason.
package final class LedgerReplica: LedgerService {
    private enum Condition {
        case running(LedgerView, LedgerInbox)
        case unusable(LedgerError)
    }

    private let settings: LedgerSettings
    private let store: LedgerFiles
    private let condition: Condition
    /// Reads of tiles, away from the cooperative pool.
    private let reads = DispatchQueue(label: "facet.ledger.reads")

    /// Recovers the ledger in `settings.directory`, or begins one. Blocks until it is read.
    package init(_ settings: LedgerSettings, on files: any FileSystem) {
        self.settings = settings
        let store = LedgerFiles(directory: settings.directory, files: files)
        self.store = store
        let signer: CheckpointSigner
        do throws(LedgerError) {
            signer = try LedgerKeyFile.load(settings, store)
        } catch {
            condition = .unusable(error)
            return
        }
        let view = LedgerView(LedgerMachine(recordKey: settings.recordKey, signer: signer))
        let inbox = LedgerInbox()
        condition = .running(view, inbox)
        let opened = DispatchSemaphore(value: 0)
        let thread = Thread { Self.run(settings, store, signer, view, inbox, opened) }
        thread.name = "facet-ledger"
        thread.start()
        opened.wait()
    }

    private static func run(
        _ settings: LedgerSettings, _ store: LedgerFiles, _ signer: CheckpointSigner, _ view: LedgerView,
        _ inbox: LedgerInbox, _ opened: DispatchSemaphore
    ) {
        let logger = Logger(label: "facet.ledger")
        do throws(LedgerError) {
            let empty = LedgerMachine(recordKey: settings.recordKey, signer: signer)
            let recovery = try LedgerRecovery(store, settings: settings, machine: empty)
            if let torn = recovery.torn {
                logger.warning("the ledger's log had a torn tail, which is cut off", metadata: ["at": "\(torn)"])
            }
            view.use { state in
                state.machine = recovery.machine
                state.index = recovery.index
            }
            opened.signal()
            LedgerWriter(recovery, store: store, view: view, inbox: inbox, logger: logger).run()
        } catch {
            logger.critical("the ledger cannot be used", metadata: ["reason": "\(error.reason)"])
            view.fail(error)
            for item in inbox.close(error) {
                if case .stop(let done) = item { done() }
            }
            opened.signal()
        }
    }

    package func append(_ entry: LedgerEntry, _ call: LedgerCall) async throws(LedgerError) -> UInt64 {
        let (_, inbox) = try running()
        let outcome = await withCheckedContinuation { continuation in
            let refusal = inbox.add(.entry(entry) { continuation.resume(returning: $0) })
            if let refusal { continuation.resume(returning: Result<UInt64, LedgerError>.failure(refusal)) }
        }
        return try outcome.get()
    }

    package func record(
        of search: SearchID, tenant: TenantID, _ call: LedgerCall
    ) async throws(LedgerError) -> SearchRecord? {
        let (view, _) = try running()
        let outcome = await withCheckedContinuation { continuation in
            reads.async { [store, settings] in
                let reader = LedgerRecordReader(store: store, view: view, recordKey: settings.recordKey)
                continuation.resume(
                    returning: Result { () throws(LedgerError) in
                        try reader.record(of: search, tenant: tenant)
                    })
            }
        }
        return try outcome.get()
    }

    package func status(_ call: LedgerCall) async throws(LedgerError) -> LedgerStatus {
        switch condition {
        case .running(let view, _): view.status
        case .unusable(let error):
            LedgerStatus(
                treeSize: 0, rootHash: MerkleHash.empty.bytes, verifierKey: "", refusing: error.reason)
        }
    }

    /// Proof that the tree of `size` leaves is a prefix of the committed one; nil for a size that never was.
    package func consistencyProof(from size: UInt64) async throws(LedgerError) -> [[UInt8]]? {
        let (view, _) = try running()
        return try view.whole { state in
            (1...max(1, state.machine.committedSize)).contains(size) && state.machine.committedSize > 0
                ? state.machine.consistencyProof(from: size) : nil
        }
    }

    /// The signed note of the committed tree.
    package func checkpoint() async throws(LedgerError) -> String {
        try running().view.whole { $0.machine.checkpoint() }
    }

    /// Ends the writer after what it has begun; returns when the last checkpoint is on disk.
    package func stop() async {
        guard case .running(_, let inbox) = condition else { return }
        await withCheckedContinuation { continuation in
            if inbox.add(.stop { continuation.resume() }) != nil { continuation.resume() }
        }
    }

    private func running() throws(LedgerError) -> (view: LedgerView, inbox: LedgerInbox) {
        switch condition {
        case .running(let view, let inbox):
            try view.whole { _ in }
            return (view, inbox)
        case .unusable(let error): throw error
        }
    }
}
