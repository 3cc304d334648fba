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
    let budget: MemoryBudget
    let logger: Logger
    var machine: ShardMachine
    var merge: BackgroundMerge?
    var growth: BucketGrowth
    private var callers: [ProposalID: @Sendable (Result<ProposalOutcome, ShardError>) -> Void] = [:]
    private var nextProposal: UInt64 = 0
    /// Why one more face would be refused, as of the last batch.
    private var enrolmentRefusal: String?
    private(set) var end: ReplicaEnd?
    private var stopping: [@Sendable () -> Void] = []

    init(
        descriptor: ShardDescriptor, files: any FileSystem, opened: OpenedFiles, published: PublishedReplica,
        inbox: ReplicaInbox, budget: MemoryBudget, logger: Logger
    ) {
        self.descriptor = descriptor
        self.budget = budget
        self.files = files
        log = opened.log
        store = opened.store
        state = opened.state
        self.published = published
        self.inbox = inbox
        self.logger = logger
        machine = ShardMachine(
            identity: FaceIdentityKeys(idKey: descriptor.idKey, modelVersion: descriptor.modelVersion),
            tree: opened.tree, lastIndex: opened.log.lastIndex)
        growth = BucketGrowth(rows: opened.snapshot.leafRows, tree: opened.tree.tree)
    }

    /// Returns when asked to stop.
    func run() {
        while true {
            let isIdle = !machine.owesConfirmation && !owesDivision
            let items = inbox.take(timeout: isIdle ? nil : Limits.idleConfirmMilliseconds)
            if items.isEmpty {
                // A shard that was enrolled before there were buckets gets them without being written to.
                divideBuckets()
                perform(machine.step(.idle))
            }
            handle(items)
            if let end { return close(end) }
        }
    }

    private func handle(_ items: [ReplicaInbox.Item]) {
        var proposals: [Proposal] = []
        var bytes = 0
        for item in items {
            switch item {
            case .request(let waiting):
                guard waiting.deadline > .now else {
                    waiting.resume(.failure(.deadlineExceeded(descriptor.shard)))
                    continue
                }
                nextProposal += 1
                let id = ProposalID(value: nextProposal)
                callers[id] = waiting.resume
                proposals.append(Proposal(id: id, roots: waiting.roots, request: waiting.request))
                bytes += waiting.request.estimatedBytes
                if bytes >= Limits.batchBytesMax {
                    propose(proposals)
                    (proposals, bytes) = ([], 0)
                }
            case .mergeFinished: installMerge()
            case .stop(let end, let done):
                self.end = end
                stopping.append(done)
            }
        }
        if !proposals.isEmpty { propose(proposals) }
    }

    private func propose(_ proposals: [Proposal]) {
        maintain()
        let (taken, reserved) = admit(proposals)
        defer { budget.change(by: -reserved) }
        guard !taken.isEmpty else { return }
        do throws(ReplicaError) {
            let known = try state.known(keys: taken.flatMap(\.request.keys), ids: taken.flatMap(\.request.ids))
            perform(machine.step(.proposed(taken, known: known)))
        } catch {
            for proposal in taken { answer(proposal.id, .refused(reason: error.text)) }
        }
        divideBuckets()
        maintain()
    }

    /// Answers the requests that cannot be taken now, before anything is written for them; returns the others, and the
    /// bytes of the budget that are reserved for them.
    private func admit(_ proposals: [Proposal]) -> (taken: [Proposal], reserved: Int) {
        guard store.hasRoom else {
            let reason = "the buffer is full and cannot be flushed: \(published.writesRefused ?? "")"
            for proposal in proposals { answer(proposal.id, .refused(reason: reason)) }
            return ([], 0)
        }
        let diskRefusal = DiskSpace.refusal(at: store.directory, enrolling: true, on: files)
        let deleteRefusal = DiskSpace.refusal(at: store.directory, enrolling: false, on: files)
        enrolmentRefusal = diskRefusal ?? budget.refusal(of: store.growth(adding: 1, after: 0))
        published.setWritesRefused(enrolmentRefusal)
        var (taken, faces, reserved) = ([Proposal](), 0, 0)
        for proposal in proposals {
            var refusal = deleteRefusal
            if case .enrol(let new) = proposal.request {
                let growth = store.growth(adding: new.count, after: faces)
                refusal = diskRefusal ?? budget.reserve(growth)
                if refusal == nil { (faces, reserved) = (faces + new.count, reserved + growth) }
            }
            if let refusal { answer(proposal.id, .refused(reason: refusal)) } else { taken.append(proposal) }
        }
        return (taken, reserved)
    }

    func perform(_ effects: [ShardMachine.Effect]) {
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
                published.setWritesRefused(enrolmentRefusal)
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
            case .config, .split: break
            }
        }
        growth.count(changes)
        publish(at: index)
    }

    func publish(at index: LogIndex) {
        published.publish(.init(snapshot: store.snapshot, tree: machine.tree, lsn: index))
    }

    private func answer(_ id: ProposalID, _ outcome: ProposalOutcome) {
        callers.removeValue(forKey: id)?(outcome.result(descriptor.shard))
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

    private func close(_ end: ReplicaEnd) {
        if case .dropped = end { awaitMerge() }
        let error = end.error(descriptor.shard)
        for item in inbox.close(error) {
            switch item {
            case .request(let waiting): waiting.resume(.failure(error))
            case .stop(_, let done): stopping.append(done)
            case .mergeFinished: break
            }
        }
        if machine.owesConfirmation { perform(machine.step(.idle)) }
        published.close(error)
        do throws(ReplicaError) {
            try state.close()
        } catch {
            logger.warning("a shard's state was not closed", metadata: ["reason": "\(error.text)"])
        }
        for done in stopping { done() }
    }

    /// A merge that still ran would write below a name that may be another shard's by then.
    private func awaitMerge() {
        while merge != nil { handle(inbox.take(timeout: nil)) }
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
