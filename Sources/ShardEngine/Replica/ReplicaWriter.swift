import ClusterModel
import FaceModel
import Foundation
import Logging
import Replication
import WriteAheadLog

/// The one owner of a copy's files: drives `ReplicaCore`, which decides what counts, and does its I/O. What the log says
/// is decided by `content`, which keeps what comes of it.
///
/// Runs on a thread of its own, because every step may wait for the disk. Readers never wait for it: they take what
/// the content last published.
final class ReplicaWriter<Content: ReplicaContent> {
    let shard: ShardID
    let replica: ReplicaID
    let log: Log
    let memory: ReplicaMemoryFile
    let content: Content
    let condition: ReplicaCondition
    let inbox: ReplicaInbox<Content.Request>
    let surroundings: ReplicaSurroundings
    let logger: Logger
    var core: ReplicaCore
    var records: ReplicaRecords<Content.Change>
    /// Where the other copies run.
    var processes: [ReplicaID: ReplicaProcess] = [:]
    var isFindingProcesses = false
    var isElecting = false
    /// Other files are about to take the place of this copy's: what it took now would be lost.
    var isReplaced = false
    var waiting: [Content.Request] = []
    var reads: [RequestNumber: OpenRead] = [:]
    var outstanding: OutstandingWrite<Content.Change>?
    /// The log is to be made durable as far as here.
    var owedSync: LogPoint?
    /// What the present event brought for `append` effects.
    var arrived: [ReplicaRecord] = []
    private var lastNumber: UInt64 = 0
    var failure: ReplicaError?
    /// Who waits for this replica to serve, where nobody else could.
    var settling: [@Sendable () -> Void] = []
    private var end: ReplicaEnd?
    private var stopping: [@Sendable () -> Void] = []

    /// `unapplied`: the log's records behind `applied`. `recordBytes`: of a usual record, for the size of letters.
    init(
        _ opened: OpenedLog, applied: LogIndex, unapplied: [ReplicaRecord], content: Content,
        condition: ReplicaCondition, inbox: ReplicaInbox<Content.Request>, recordBytes: Int,
        surroundings: ReplicaSurroundings, logger: Logger
    ) {
        shard = opened.identity.shard
        replica = opened.identity.replica
        log = opened.log
        memory = opened.memoryFile
        self.content = content
        self.condition = condition
        self.inbox = inbox
        self.surroundings = surroundings
        self.logger = logger
        records = ReplicaRecords(after: applied, copies: opened.memory.register.configuration.named.count)
        for record in unapplied { records.append(.init(record: record, change: nil)) }
        core = ReplicaCore(
            id: replica, incarnation: surroundings.incarnation,
            timing: .product(recordBytes: recordBytes), memory: opened.memory,
            scanned: opened.scanned, applied: applied, at: .now)
    }

    /// Whether it was asked to stop.
    var isEnding: Bool { end != nil }
    /// The index up to which records are applied.
    var applied: LogIndex { records.taken }
    var now: Moment { .now }

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
        if let wanted = content.patience(self) { due = min(due ?? .max, wanted) }
        let deadlines = reads.values.map(\.deadline) + waiting.map(\.deadline)
        if let deadline = deadlines.min() {
            due = min(due ?? .max, max(1, Int(ContinuousClock.now.duration(to: deadline) / .milliseconds(1)) + 1))
        }
        return due
    }

    private func take(_ item: ReplicaInbox<Content.Request>.Item) {
        switch item {
        case .request(let request): wait(request)
        case .read(let read): begin(read)
        case .letter(let letter): receive(letter)
        case .register(let register): observe(register)
        case .transaction(let change, let outcome): step(.transaction(change, outcome))
        case .processes(let processes): found(processes)
        case .electionEnded: isElecting = false
        case .report(let reply): reply(report)
        case .settle(let done): settling.append(done)
        case .errand(let errand): content.receive(errand, self)
        case .retire(let replica, let reply): reply(retire(replica))
        case .stop(let end, let done):
            self.end = end
            stopping.append(done)
        }
    }

    /// What has become possible: the sync that is owed, the next batch, the content's own work.
    private func settle() {
        propose()
        synchronize()
        content.attend(self)
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
            read.resume(unconfirmed)
        }
        for request in waiting where request.deadline <= now { request.refuse(unconfirmed) }
        waiting.removeAll { $0.deadline <= now }
    }

    /// Why nothing was done in time.
    private var unconfirmed: ShardError {
        guard !core.isAlone else { return .deadlineExceeded(shard) }
        let reason =
            core.isPrimary
            ? "not all of its copies in sync have confirmed it in time"
            : "this copy has not heard in time what the others have"
        return .notServing(shard, reason: reason)
    }

    private func close(_ end: ReplicaEnd) {
        if end.movesFiles { awaitWork() }
        content.finish(self)
        let error = end.error(shard)
        stopping += inbox.abandon(error)
        for request in waiting { request.refuse(error) }
        for read in reads.values { read.resume(error) }
        outstanding?.complete(.failure(.interrupted(shard)))
        confirmLastBatch()
        content.close(error)
        for done in settling + stopping { done() }
    }

    /// A replica that is alone proves its last batch durable before it goes, so that the next start need not.
    private func confirmLastBatch() {
        guard core.isAlone, let due = core.nextTick else { return }
        for effect in core.step(.tick, at: max(now, due)) { perform(effect) }
        synchronize()
    }

    /// What still ran would write below a name that may be another shard's by then.
    private func awaitWork() {
        while content.isWorking {
            for item in inbox.take(timeout: nil) { take(item) }
        }
    }
}

/// A batch that was handed to the core and is not answered yet.
struct OutstandingWrite<Change> {
    let number: RequestNumber
    let entries: [LogEntry]
    /// What applying each entry does.
    let changes: [Change]
    /// With the position of its last record; called once.
    let complete: (Result<LogIndex, ShardError>) -> Void
}

/// A read that was handed to the core, or a batch without records.
struct OpenRead {
    let deadline: ContinuousClock.Instant
    let resume: (ShardError?) -> Void
}

extension ReplicaTiming {
    /// Letters stay well below what a frame holds, however large a record usually is.
    static func product(recordBytes: Int) -> ReplicaTiming {
        var timing = ReplicaTiming()
        timing.idleConfirm = Limits.idleConfirmMilliseconds
        timing.recordsPerAppend = max(16, min(1_024, Limits.replicaLetterBytes / recordBytes))
        return timing
    }
}

extension Moment {
    private static let processBegan = ContinuousClock.now

    /// By the one clock of all replicas of this process.
    fileprivate static var now: Moment {
        Moment(milliseconds: Int(processBegan.duration(to: .now) / .milliseconds(1)))
    }
}
