import FaceModel

@testable import Replication

/// One core and words for what a test does to it. Syncs end when the test says so.
struct ReplicaScript {
    static let ids = (0..<4 as Range<UInt64>).map { ReplicaID(Bits128(high: 0, low: $0)) }

    var core: ReplicaCore
    var time = Moment(milliseconds: 1_000)
    private var requests: UInt64 = 0

    static func configuration(
        epoch: UInt64 = 0, primary: Int = 0, isr: [Int], learners: [Int] = [], minISR: Int, version: UInt64 = 1
    ) -> ShardConfiguration {
        ShardConfiguration(
            generation: Generation(0), version: version, epoch: Epoch(epoch), primary: ids[primary],
            primaryIncarnation: Incarnation(1), isr: isr.map { ids[$0] }, learners: learners.map { ids[$0] },
            minISR: minISR)
    }

    init(
        _ id: Int, _ configuration: ShardConfiguration, scanned: ScannedLog = .init(outline: .init(), tail: .clean),
        applied: LogIndex = .zero, mutant: Mutant? = nil
    ) {
        let register = RegisterState(configuration: configuration, revision: 1)
        core = ReplicaCore(
            id: Self.ids[id], incarnation: Incarnation(1),
            timing: ReplicaTiming(replicas: configuration.named.count),
            memory: ReplicaMemory(epoch: configuration.epoch, register: register), scanned: scanned,
            applied: applied, at: time, mutant: mutant)
    }

    mutating func step(_ event: ReplicaEvent) -> [ReplicaEffect] { core.step(event, at: time) }

    mutating func register(_ configuration: ShardConfiguration, revision: UInt64) -> [ReplicaEffect] {
        step(.register(RegisterState(configuration: configuration, revision: revision)))
    }

    mutating func synced() -> [ReplicaEffect] { step(.durable(core.log.end)) }

    mutating func write(_ records: Int = 1) -> [ReplicaEffect] {
        requests += 1
        return step(.write(RequestNumber(requests), records: records))
    }

    mutating func wait(_ milliseconds: Int) -> [ReplicaEffect] {
        var effects: [ReplicaEffect] = []
        for _ in stride(from: 0, to: milliseconds, by: 20) {
            time = Moment(milliseconds: time.milliseconds + 20)
            effects += step(.tick)
        }
        return effects
    }

    /// Goes to when it asked to be woken, and wakes it.
    mutating func wake() -> [ReplicaEffect] {
        guard let next = core.nextTick else { return [] }
        time = max(time, next)
        return step(.tick)
    }

    /// What this replica says, as a message.
    func asked(_ body: ReplicaMessage.Body) -> ReplicaMessage {
        ReplicaMessage(
            generation: Generation(0), epoch: core.epoch, incarnation: core.incarnation, body: body)
    }

    /// Another replica says that it holds the log as far as `match`.
    mutating func acknowledge(_ replica: Int, _ match: UInt64, incarnation: UInt64 = 1) -> [ReplicaEffect] {
        message(.appended(match: LogIndex(match), version: core.configuration.version), replica, incarnation)
    }

    mutating func message(
        _ body: ReplicaMessage.Body, _ replica: Int, _ incarnation: UInt64 = 1, epoch: UInt64? = nil
    ) -> [ReplicaEffect] {
        let message = ReplicaMessage(
            generation: Generation(0), epoch: epoch.map { Epoch($0) } ?? core.epoch,
            incarnation: Incarnation(incarnation), body: body)
        return step(.message(message, from: Self.ids[replica]))
    }
}

extension [ReplicaEffect] {
    var answers: [ReplicaAnswer] { compactMap { if case .answer(_, let answer) = $0 { answer } else { nil } } }
    var transactions: [RegisterTransaction] {
        compactMap { if case .transact(let transaction) = $0 { transaction } else { nil } }
    }
    var appends: [ReplicaMessage.Append] {
        compactMap {
            guard case .send(let message, _) = $0, case .append(let append) = message.body else { return nil }
            return append
        }
    }
    var sources: [ReplicaEffect.Source] {
        compactMap { if case .append(_, _, let source) = $0 { source } else { nil } }
    }
}
