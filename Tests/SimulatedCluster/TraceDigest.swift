import FaceModel
import Replication

/// One number for everything that happened in a world, in order: FNV-1a over words. Swift's own hashes will not do, as
/// each process seeds them anew: equal seeds must give equal digests in every process and every build.
struct TraceDigest {
    private(set) var value: UInt64 = 0xCBF2_9CE4_8422_2325

    mutating func mix(_ word: UInt64) { value = (value ^ word) &* 0x100_0000_01B3 }
    mutating func mix(_ word: Int) { mix(UInt64(bitPattern: Int64(word))) }
    mutating func mix(_ index: LogIndex) { mix(index.value) }
    mutating func mix(_ replica: ReplicaID) { mix(replica.bits.low) }
    mutating func mix(_ incarnation: Incarnation) { mix(incarnation.value) }
    mutating func mix(_ point: LogPoint) {
        mix(point.epoch.value)
        mix(point.index)
    }

    mutating func mix(_ replicas: [ReplicaID]) {
        mix(replicas.count)
        for replica in replicas { mix(replica) }
    }

    mutating func mix(_ configuration: ShardConfiguration) {
        mix(configuration.version)
        mix(configuration.epoch.value)
        mix(configuration.primary)
        mix(configuration.primaryIncarnation)
        mix(configuration.isr)
        mix(configuration.learners)
    }

    mutating func mix(_ state: RegisterState) {
        mix(state.configuration)
        mix(state.revision)
    }

    mutating func mix(_ transaction: RegisterTransaction) {
        mix(transaction.expected)
        mix(transaction.new)
        for joiner in transaction.joiners {
            mix(joiner.replica)
            mix(joiner.incarnation)
        }
    }

    mutating func mix(_ outcome: TransactionOutcome) {
        switch outcome {
        case .made(let revision): mix(revision)
        case .refused(let state): mix(state)
        case .unknown: mix(3)
        }
    }

    mutating func mix(_ message: ReplicaMessage) {
        mix(message.epoch.value)
        mix(message.incarnation)
        switch message.body {
        case .append(let append): mix(append)
        case .appended(let match, let version): mix([1, match.value, version])
        case .mismatch(let hint): mix([2, hint.value])
        case .copyNeeded(let first): mix([3, first.value])
        case .fenced: mix(4)
        case .confirm(let round): mix([5, round])
        case .confirmed(let round): mix([6, round])
        case .poll(let number): mix([7, number.value])
        case .polled(let number, let commit, let age): mix([8, number.value, commit.value, UInt64(age)])
        }
    }

    private mutating func mix(_ append: ReplicaMessage.Append) {
        mix(append.range.previous)
        mix(append.range.last)
        for run in append.range.runs { mix([run.epoch.value, run.first.value]) }
        mix(append.commit)
        mix(append.register)
        mix(append.complete?.value ?? 0)
    }

    mutating func mix(_ words: [UInt64]) { for word in words { mix(word) } }
}

extension TraceDigest {
    mutating func mix(_ event: ReplicaEvent) {
        switch event {
        case .tick: mix(1)
        case .message(let message, let sender):
            mix(sender)
            mix(message)
        case .durable(let point): mix(point)
        case .logBegins(let first): mix([2, first.value])
        case .logFailed: mix(3)
        case .register(let state): mix(state)
        case .transaction(let transaction, let outcome):
            mix(transaction)
            mix(outcome)
        case .retire(let replica): mix(replica)
        case .write(let number, let records): mix([4, number.value, UInt64(records)])
        case .strongRead(let number): mix([5, number.value])
        case .sessionRead(let number, _, let index): mix([6, number.value, index.value])
        case .boundedRead(let number, let bound): mix([7, number.value, UInt64(bound)])
        }
    }

    mutating func mix(_ effect: ReplicaEffect) {
        switch effect {
        case .persist(let memory):
            mix(memory.epoch.value)
            mix(memory.register)
            mix((memory.isSuspect ? 1 : 0) + (memory.isNew ? 2 : 0))
        case .truncate(let after): mix([1, after.value])
        case .append(let first, let count, _): mix([2, first.value, UInt64(count)])
        case .synchronize(let point): mix(point)
        case .send(let message, let receiver):
            mix(receiver)
            mix(message)
        case .apply(let index): mix([3, index.value])
        case .answer(let number, let answer): mix([4, number.value, Self.word(of: answer)])
        case .transact(let transaction): mix(transaction)
        case .readRegister: mix(5)
        case .fetchCopy(let source): mix(source)
        case .suspectPrimary(let epoch): mix([6, epoch.value])
        case .stop: mix(7)
        }
    }

    private static func word(of answer: ReplicaAnswer) -> UInt64 {
        switch answer {
        case .committed(let index): index.value
        case .unknown: 1 << 62
        case .readable(let index): 1 << 61 | index.value
        case .refused: 1 << 60
        }
    }
}
