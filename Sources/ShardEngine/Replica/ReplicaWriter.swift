import ClusterModel
import FaceModel
import Foundation
import Logging
import StorageIO
import WriteAheadLog

/// The one owner of a replica's files: takes requests in batches, drives `ShardMachine`, does its I/O.
///
/// Runs on a thread of its own, because every step may wait for the disk. Readers never wait for it: they take the
/// snapshot it last published.
final class ReplicaWriter {
    let descriptor: ShardDescriptor
    let files: any FileSystem
    let log: Log
    let store: ReplicaStore
    let state: ShardState
    let published: PublishedReplica
    let inbox: ReplicaInbox
    let logger: Logger
    var machine: ShardMachine
    var merge: BackgroundMerge?
    private var callers: [ProposalID: ReplyBox] = [:]
    private var nextProposal: UInt64 = 0
    private var stopping: [ReplyBox] = []

    init(
        descriptor: ShardDescriptor, files: any FileSystem, opened: OpenedFiles, published: PublishedReplica,
        inbox: ReplicaInbox, logger: Logger
    ) {
        self.descriptor = descriptor
        self.files = files
        log = opened.log
        store = opened.store
        state = opened.state
        self.published = published
        self.inbox = inbox
        self.logger = logger
        machine = ShardMachine(
            identity: FaceIdentityKeys(idKey: descriptor.idKey, modelVersion: descriptor.modelVersion),
            lastIndex: opened.log.lastIndex)
    }

    /// Returns when asked to stop.
    func run() {
        while stopping.isEmpty {
            let items = inbox.take(timeout: machine.owesConfirmation ? Limits.idleConfirmMilliseconds : nil)
            if items.isEmpty { perform(machine.step(.idle)) }
            handle(items)
        }
        close()
    }

    private func handle(_ items: [ReplicaInbox.Item]) {
        var proposals: [Proposal] = []
        var bytes = 0
        for item in items {
            switch item {
            case .request(let request, let caller):
                nextProposal += 1
                let proposal = Proposal(id: ProposalID(value: nextProposal), request: request)
                callers[proposal.id] = caller
                proposals.append(proposal)
                bytes += request.estimatedBytes
                if bytes >= Limits.batchBytesMax {
                    propose(proposals)
                    (proposals, bytes) = ([], 0)
                }
            case .mergeFinished: installMerge()
            case .stop(let caller): stopping.append(caller)
            }
        }
        if !proposals.isEmpty { propose(proposals) }
    }

    private func propose(_ proposals: [Proposal]) {
        if let reason = refusal(for: proposals) {
            for proposal in proposals { answer(proposal.id, .refused(reason: reason)) }
            return
        }
        do throws(ReplicaError) {
            let known = try state.known(keys: proposals.flatMap(\.request.keys), ids: proposals.flatMap(\.request.ids))
            perform(machine.step(.proposed(proposals, known: known)))
        } catch {
            for proposal in proposals { answer(proposal.id, .refused(reason: error.text)) }
        }
        maintain()
    }

    /// Why these requests cannot be taken now, before anything is written for them.
    private func refusal(for proposals: [Proposal]) -> String? {
        maintain()
        guard store.hasRoom else { return "the buffer is full and cannot be flushed: \(published.writesRefused ?? "")" }
        let enrols = proposals.contains { if case .enrol = $0.request { true } else { false } }
        let reason = DiskSpace.refusal(at: store.directory, enrolling: enrols, on: files)
        published.setWritesRefused(reason)
        return reason
    }

    private func perform(_ effects: [ShardMachine.Effect]) {
        for effect in effects {
            switch effect {
            case .append(let entries): append(entries)
            case .apply(let changes, let index): apply(changes, through: index)
            case .answer(let id, let outcome): answer(id, outcome)
            }
        }
    }

    private func append(_ entries: [LogEntry]) {
        do throws(LogError) {
            _ = try log.append(entries, epoch: log.epoch)
        } catch {
            guard error.isTransient else { return stop(ReplicaError.log(error)) }
            published.setWritesRefused("\(error)")
            return perform(machine.step(.refused(reason: "\(error)")))
        }
        do throws(LogError) {
            try log.synchronize()
        } catch {
            return stop(ReplicaError.log(error))
        }
        perform(machine.step(.durable(log.durableIndex)))
    }

    /// A durable record must be applied before anything else happens; a full disk is waited out.
    private func apply(_ changes: [Change], through index: LogIndex) {
        while true {
            do throws(ReplicaError) {
                let places = try state.places(of: changes.deletedIDs)
                try state.apply(changes, through: index)
                published.setWritesRefused(nil)
                try publish(changes, places: places, at: index)
                return perform(machine.step(.applied))
            } catch {
                guard case .state(_, _, full: true) = error else { return stop(error) }
                published.setWritesRefused(error.text)
                Thread.sleep(forTimeInterval: 0.2)
            }
        }
    }

    private func publish(
        _ changes: [Change], places: [FaceID: RowPlace], at index: LogIndex
    ) throws(ReplicaError) {
        for change in changes {
            switch change {
            case .put(let put): try store.buffer(put.row)
            case .delete(let delete): store.markDead(delete.id, at: places[delete.id])
            }
        }
        published.publish(store.snapshot, at: index)
    }

    private func answer(_ id: ProposalID, _ outcome: ProposalOutcome) {
        callers.removeValue(forKey: id)?.resume(outcome)
    }

    /// Ends writing for good: what is on disk can no longer be known to follow what was promised.
    func stop(_ error: ReplicaError) {
        logger.critical(
            "a shard takes no more writes",
            metadata: [
                "shard": "\(descriptor.shard)", "reason": "\(error.text)",
            ])
        published.setWritesRefused(error.text)
        perform(machine.step(.stopped(reason: error.text)))
        for (id, _) in callers { answer(id, .stopped(reason: error.text)) }
    }

    private func close() {
        for item in inbox.close(reason: "the server is stopping") {
            switch item {
            case .request(_, let caller): caller.resume(.refused(reason: "the server is stopping"))
            case .stop(let caller): stopping.append(caller)
            case .mergeFinished: break
            }
        }
        if machine.owesConfirmation { perform(machine.step(.idle)) }
        for caller in stopping { caller.resume(.refused(reason: "stopped")) }
    }
}

extension Proposal.Request {
    var keys: [FaceKey] {
        if case .enrol(let faces) = self { faces.map(\.key) } else { [] }
    }

    var ids: [FaceID] {
        if case .delete(let ids, _) = self { ids } else { [] }
    }

    /// What the request will weigh in the log, about.
    var estimatedBytes: Int {
        switch self {
        case .enrol(let faces): faces.reduce(0) { $0 + 256 + 4 * $1.face.vector.dimension }
        case .delete(let ids, _): ids.count * 112
        }
    }
}

extension [Change] {
    var deletedIDs: [FaceID] {
        compactMap { if case .delete(let delete) = $0 { delete.id } else { nil } }
    }
}
