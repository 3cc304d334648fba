import ClusterModel
import FaceModel
import Foundation
import Logging
import Replication
import StorageIO
import WriteAheadLog

/// The one owner of a replica's files: drives `ReplicaCore`, which decides what counts, and `ShardMachine`, which
/// decides what is written; does their I/O.
///
/// Runs on a thread of its own, because every step may wait for the disk. Readers never wait for it: they take the
/// snapshot it last published.
final class ReplicaWriter {
    let descriptor: ShardDescriptor
    let files: any FileSystem
    let log: Log
    let store: ReplicaStore
    let state: ShardState
    let memory: ReplicaMemoryFile
    let published: PublishedReplica
    let inbox: ReplicaInbox
    let budget: MemoryBudget
    let surroundings: ReplicaSurroundings
    let logger: Logger
    var core: ReplicaCore
    /// Of buckets, at the applied index.
    var tree: DatedTree
    var records: ReplicaRecords
    var merge: BackgroundMerge?
    var growth: BucketGrowth
    /// Where the other copies run.
    var processes: [ReplicaID: ReplicaProcess] = [:]
    var isElecting = false
    var waiting: [WaitingRequest] = []
    var reads: [RequestNumber: OpenRead] = [:]
    var outstanding: OutstandingWrite?
    /// The log is to be made durable as far as here.
    var owedSync: LogPoint?
    /// What the present event brought for `append` effects.
    var arrived: [ReplicaRecord] = []
    private var lastNumber: UInt64 = 0
    var failure: ReplicaError?
    /// Why one more face would be refused, as of the last batch.
    var enrolmentRefusal: String?
    /// Who waits for this replica to serve, where nobody else could.
    var settling: [@Sendable () -> Void] = []
    private(set) var end: ReplicaEnd?
    private var stopping: [@Sendable () -> Void] = []
    private let began = ContinuousClock.now

    init(
        descriptor: ShardDescriptor, files: any FileSystem, opened: OpenedFiles, published: PublishedReplica,
        inbox: ReplicaInbox, budget: MemoryBudget, surroundings: ReplicaSurroundings, logger: Logger
    ) {
        self.descriptor = descriptor
        self.budget = budget
        self.files = files
        self.surroundings = surroundings
        log = opened.log
        store = opened.store
        state = opened.state
        memory = opened.memoryFile
        tree = opened.tree
        self.published = published
        self.inbox = inbox
        self.logger = logger
        let copies = opened.memory.register.configuration.named.count
        records = ReplicaRecords(
            after: opened.applied, keptBytesMax: copies > 1 ? Limits.replicaRecordsKeptBytes : 0)
        for record in opened.unapplied { records.append(.init(record: record, change: nil)) }
        growth = BucketGrowth(rows: opened.snapshot.leafRows, tree: opened.tree.tree)
        core = ReplicaCore(
            id: descriptor.replica, incarnation: surroundings.incarnation,
            timing: .product(copies: copies, dimension: descriptor.dimension), memory: opened.memory,
            scanned: opened.scanned, applied: opened.applied, at: Moment(milliseconds: 0))
    }

    /// The index up to which records are applied.
    var applied: LogIndex { records.taken }
    var now: Moment { Moment(milliseconds: Int(began.duration(to: .now) / .milliseconds(1))) }

    func newNumber() -> RequestNumber {
        lastNumber += 1
        return RequestNumber(lastNumber)
    }

    /// Returns when asked to stop.
    func run() {
        findProcesses()
        step(.tick)
        settle()
        while true {
            let items = inbox.take(timeout: patience)
            for item in items { take(item) }
            if let due = core.nextTick, due <= now { step(.tick) }
            expire()
            settle()
            if let end { return close(end) }
        }
    }

    /// Milliseconds until something is to be done though nothing comes.
    private var patience: Int? {
        var due = core.nextTick.map { max(0, $0.since(now)) }
        if owesDivision { due = min(due ?? .max, Limits.idleConfirmMilliseconds) }
        let deadlines = reads.values.map(\.deadline) + waiting.map(\.deadline)
        if let deadline = deadlines.min() {
            due = min(due ?? .max, max(1, Int(ContinuousClock.now.duration(to: deadline) / .milliseconds(1)) + 1))
        }
        return due
    }

    private func take(_ item: ReplicaInbox.Item) {
        switch item {
        case .request(let request): wait(request)
        case .read(let read): begin(read)
        case .letter(let letter): receive(letter)
        case .register(let register): observe(register)
        case .transaction(let outcome): step(.transaction(outcome))
        case .processes(let found): processes = found
        case .electionEnded: isElecting = false
        case .report(let reply): reply(report)
        case .settle(let done): settling.append(done)
        case .mergeFinished: installMerge()
        case .stop(let end, let done):
            self.end = end
            stopping.append(done)
        }
    }

    /// What has become possible: the sync that is owed, the next batch, divisions, maintenance.
    private func settle() {
        propose()
        synchronize()
        divideBuckets()
        if end == nil { maintain() }
        showRole()
    }

    /// Makes the log durable, and goes on with the requests that waited meanwhile, until nothing is owed.
    func synchronize() {
        while let point = owedSync {
            owedSync = nil
            do throws(LogError) {
                try log.synchronize()
            } catch {
                return stop(.log(error))
            }
            step(.durable(point))
            propose()
        }
    }

    private func expire() {
        let now = ContinuousClock.now
        for (number, read) in reads where read.deadline <= now {
            reads[number] = nil
            read.resume(.deadlineExceeded(descriptor.shard))
        }
        for request in waiting where request.deadline <= now {
            request.resume(.failure(.deadlineExceeded(descriptor.shard)))
        }
        waiting.removeAll { $0.deadline <= now }
    }

    private func close(_ end: ReplicaEnd) {
        if case .dropped = end { awaitMerge() }
        let error = end.error(descriptor.shard)
        for item in inbox.close(error) {
            switch item {
            case .request(let request): request.resume(.failure(error))
            case .read(let read): read.resume(error)
            case .report(let reply): reply(nil)
            case .stop(_, let done): stopping.append(done)
            case .settle(let done): done()
            case .letter, .register, .transaction, .processes, .electionEnded, .mergeFinished: break
            }
        }
        for request in waiting { request.resume(.failure(error)) }
        for read in reads.values { read.resume(error) }
        outstanding?.complete(.failure(.interrupted(descriptor.shard)))
        confirmLastBatch()
        published.close(error)
        do throws(ReplicaError) {
            try state.close()
        } catch {
            logger.warning("a shard's state was not closed", metadata: ["reason": "\(error.text)"])
        }
        for done in settling + stopping { done() }
    }

    /// A replica that is alone proves its last batch durable before it goes, so that the next start need not.
    private func confirmLastBatch() {
        guard core.isAlone, let due = core.nextTick else { return }
        for effect in core.step(.tick, at: max(now, due)) { perform(effect) }
        synchronize()
    }

    /// A merge that still ran would write below a name that may be another shard's by then.
    private func awaitMerge() {
        while merge != nil {
            for item in inbox.take(timeout: nil) { take(item) }
        }
    }
}

/// A write that was handed to the core and is not answered yet.
struct OutstandingWrite {
    let number: RequestNumber
    let batch: ShardBatch
    /// With the position of its last record; called once.
    let complete: (Result<LogIndex, ShardError>) -> Void
}

/// A read that was handed to the core, or a batch without records.
struct OpenRead {
    let deadline: ContinuousClock.Instant
    let resume: (ShardError?) -> Void
}

extension ReplicaTiming {
    /// Letters stay well below what a frame holds, whatever a collection's dimension is.
    static func product(copies: Int, dimension: Int) -> ReplicaTiming {
        var timing = ReplicaTiming(replicas: copies)
        timing.idleConfirm = Limits.idleConfirmMilliseconds
        timing.recordsPerAppend = max(16, min(1_024, Limits.replicaLetterBytes / (256 + 4 * dimension)))
        return timing
    }
}
