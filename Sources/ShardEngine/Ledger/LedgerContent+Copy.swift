import AuditLedger
import ClusterModel
import FaceModel
import Replication
import WriteAheadLog

/// Copies of the ledger, others' and this one, that are built from tiles.
///
/// Tiles are never changed, and what they hold was committed: a copy is lent by saying how far they reach.
enum LedgerErrand: ReplicaErrand {
    /// How far the tiles reach; nil where this copy has none to lend.
    case lend(@Sendable (CopyListing?) -> Void)
    /// A copy was fetched whose leaves reach as far as this; nil where it was not.
    case fetched(LogPoint?)

    func abandon() {
        switch self {
        case .lend(let reply): reply(nil)
        case .fetched: break
        }
    }
}

/// How a copy of the ledger is built from another's, and takes this one's place.
struct LedgerCopying {
    let identity: LogIdentity
    /// Has this copy stopped, what was fetched put in its place, and that opened.
    let replace: @Sendable () -> Void
    var fetch: Task<Void, Never>?
}

extension LedgerContent {
    func receive(_ errand: LedgerErrand, _ writer: ReplicaWriter<LedgerContent>) {
        switch errand {
        case .lend(let reply): reply(listing(writer))
        case .fetched(let end): fetched(end, writer)
        }
    }

    var isWorking: Bool { copying.fetch != nil }

    /// The listing's number is that of the bundles: of an append-only tree that tells all states apart.
    private func listing(_ writer: ReplicaWriter<LedgerContent>) -> CopyListing? {
        let next = unflushed.first ?? writer.applied.next
        guard writer.failure == nil, !writer.isEnding, !writer.isReplaced, next > LogIndex(1),
            let epoch = writer.core.log.epoch(at: LogIndex(next.value - 1))
        else { return nil }
        let end = LogPoint(epoch: epoch, index: LogIndex(next.value - 1))
        let bundles = view.use { $0.machine.flushedSize } / LedgerTile.width
        return CopyListing(
            number: bundles, end: end, runs: writer.core.log.runs.filter { $0.first <= end.index }, files: [])
    }

    /// One fetch at a time.
    func fetchCopy(from source: ReplicaID, _ writer: ReplicaWriter<LedgerContent>) {
        guard copying.fetch == nil, !writer.isReplaced, !writer.isEnding else { return }
        guard let process = writer.processes[source] else { return writer.findProcesses() }
        let fetch = LedgerFetch(
            identity: copying.identity, store: store, node: process.node, source: writer.surroundings.copies,
            logger: logger)
        var machine = view.use { $0.machine }
        machine.forgetUnflushed()
        let inbox = writer.inbox
        copying.fetch = Task { [machine] in _ = inbox.add(.errand(.fetched(await fetch.run(machine)))) }
    }

    /// As with a shard's copy: nobody may have counted on this one beyond what was fetched.
    private func fetched(_ end: LogPoint?, _ writer: ReplicaWriter<LedgerContent>) {
        copying.fetch = nil
        guard let end, writer.failure == nil, !writer.isEnding,
            !writer.core.configuration.isr.contains(writer.replica), writer.core.promised <= end.index
        else { return }
        writer.isReplaced = true
        copying.replace()
    }
}
