import FaceModel
import Replication

import enum ClusterModel.ShardError
import enum ClusterModel.SplitStep
import struct ClusterModel.SplitPlan
import struct ClusterModel.SplitProgress

/// A seeded world around real replica cores: a network, disks, machines that fail, a control plane, clients and a
/// checker. Nothing in it but its seed decides what happens.
package final class World {
    enum Happening {
        case tick(Int, life: Int)
        case duty(Int, life: Int)
        case deliver(ReplicaMessage, [UInt64], from: ReplicaID, to: ReplicaID)
        case synced(Int, life: Int, LogPoint)
        case fetched(SimulatedCopy, by: Int, life: Int)
        case boot(Int, life: Int)
        case request(StoreRequest, from: Int, life: Int)
        case reply(StoreReply, to: Int, life: Int)
        case askReport(of: Int, for: Int, life: Int)
        case reported(ReplicaReport, to: Int, life: Int)
        case count(Int, life: Int)
        case controller
        case decided(RegisterTransaction)
        case rebuild
        case moveStep
        case raiseMinimum
        case search(Int, at: Int)
        case splitStep(Int, SplitStep, at: Int, until: Int)
        case halved(Int, life: Int)
        case drop(Int)
        case client
        case fault
        case faultsEnd

        /// Whether it goes on where the shard is in no map any more.
        var isOfCopies: Bool {
            switch self {
            case .controller, .decided, .rebuild, .moveStep, .raiseMinimum, .client, .fault: false
            case .tick, .duty, .deliver, .synced, .fetched, .boot, .request, .reply, .askReport, .reported, .count,
                .search, .splitStep, .halved, .drop, .faultsEnd:
                true
            }
        }
    }

    enum StoreRequest {
        case incarnation(ReplicaID)
        case start(ReplicaID, UInt64, after: UInt64)
        case read
        case transact(RegisterTransaction)
        case suspect(Epoch)
        case candidates
        case propose(RegisterTransaction)
        case report(ReplicaReport)
    }

    enum StoreReply {
        case incarnation(ReplicaID, UInt64, RegisterState)
        case register(RegisterState)
        case transaction(RegisterTransaction, TransactionOutcome)
        case candidates(RegisterState, [ReplicaID: Incarnation])
    }

    package let seed: UInt64
    package let options: WorldOptions
    var random: SeededRandom
    var queue = EventQueue<Happening>()
    var now = 0
    var nodes: [SimulatedNode] = []
    var store: SimulatedStore
    /// One-way cuts, `from * 16 + to`; the store is machine 15.
    var cuts: Set<Int> = []
    var splitUntil = 0
    var faultsOn = true
    /// A configuration of some time ago, as a backup of the store holds it.
    var savedConfiguration: ShardConfiguration?
    /// The register stands as the backup had it, and nobody has put it right.
    var isRestored = false
    var wasRestored = false
    /// The newest that was ever decided, when a backup of the store took it back.
    var newestBeforeBackup: ShardConfiguration?
    /// What the operator is at.
    var move: SimulatedMove?
    /// The shard's name, where it is a half.
    var half: ShardID?
    /// Which of its faces the first shard of its family holds: all, where it is no half.
    var side = ShardSide.whole
    /// Every plan by which the shard was to be split.
    var plans: [SplitPlan] = []
    /// An operator wants it split.
    var isBeingSplit = false
    /// The halves are in its place. What its copies do until they are dropped counts no more.
    var isPublished = false
    /// Copies that have had files of the halves since the split began.
    var dividedCopies: [ReplicaID] = []
    var splitAnswers: [(Int, Result<SplitProgress, ShardError>)] = []
    var checker: Checker
    /// What copies said to searches, until it is fetched.
    var answers: [(Int, SimulatedAnswer)] = []
    /// Of everything that happened.
    var digest = TraceDigest()
    package internal(set) var figures = WorldFigures()
    /// The last events in words; kept only when asked for.
    package internal(set) var trail: [String] = []
    let keepsTrail: Bool

    static let storeMachine = 15
    private static let eventsMax = 300_000

    package init(seed: UInt64, options: WorldOptions, keepsTrail: Bool = false) {
        self.seed = seed
        self.options = options
        self.keepsTrail = keepsTrail
        random = SeededRandom(seed: seed)
        let replicas = (0..<options.copies).map { Self.replica($0, copy: 1) }
        let counting = options.raisesMinimum ? 1 : replicas.count
        let configuration = ShardConfiguration(
            generation: Generation(0), version: 1, epoch: Epoch(0), primary: replicas[0],
            primaryIncarnation: Incarnation(0), isr: Array(replicas.prefix(counting)),
            learners: Array(replicas.dropFirst(counting)), minISR: options.raisesMinimum ? 1 : options.minISR)
        store = SimulatedStore(state: RegisterState(configuration: configuration, revision: 1))
        checker = Checker()
        let memory = ReplicaMemory(epoch: Epoch(0), register: store.state)
        nodes = replicas.enumerated().map { number, replica in
            SimulatedNode(disk: SimulatedDisk(replica: replica, memory: number < counting ? memory : nil))
        }
        if options.movesCopies {
            let spare = SimulatedDisk(replica: Self.replica(options.copies, copy: 1))
            nodes.append(SimulatedNode(disk: spare, up: false))
        }
    }

    static func replica(_ node: Int, copy: Int) -> ReplicaID {
        ReplicaID(Bits128(high: 0, low: UInt64(copy * 16 + node)))
    }

    static func node(of replica: ReplicaID) -> Int { Int(replica.bits.low % 16) }

    /// What went wrong, if anything did.
    package var failure: String? { checker.failure }

    /// Equal seeds and options give equal ones.
    package var trace: UInt64 { digest.value }

    package func run() {
        begin()
        while checker.failure == nil, let time = queue.nextTime, time <= options.end { advance() }
        if checker.failure == nil { checkEnd() }
    }

    /// From now on: at 0, or when the shard comes to be as a half of another.
    func begin() {
        for node in nodes.indices { queue.add(.boot(node, life: 0), at: now + 1 + node) }
        for start in [20, 50] { queue.add(.controller, at: now + start) }
        queue.add(.client, at: now + 30)
        if !options.faults.isEmpty { queue.add(.fault, at: now + 400) }
        if options.raisesMinimum { queue.add(.raiseMinimum, at: now + 800) }
        if options.movesCopies { queue.add(.moveStep, at: now + 700) }
        if faultsOn { queue.add(.faultsEnd, at: options.faultsEnd) }
    }

    /// What is next, and all that follows from it at once.
    func advance() {
        guard let (time, happening) = queue.next() else { return }
        now = time
        figures.events += 1
        if figures.events > Self.eventsMax { fail("more than \(Self.eventsMax) events: a storm") }
        digest.mix(time)
        handle(happening)
    }

    func takeAnswers() -> [(Int, SimulatedAnswer)] {
        defer { answers = [] }
        return answers
    }

    func takeSplitAnswers() -> [(Int, Result<SplitProgress, ShardError>)] {
        defer { splitAnswers = [] }
        return splitAnswers
    }

    func handle(_ happening: Happening) {
        guard !isPublished || happening.isOfCopies else { return }
        switch happening {
        case .tick(let node, let life): tick(node, life)
        case .duty(let node, let life): duty(node, life)
        case .deliver(let message, let values, let sender, let receiver):
            deliver(message, values, from: sender, to: receiver)
        case .synced(let node, let life, let point): synced(node, life, point)
        case .fetched(let copied, let node, let life): fetched(copied, by: node, life)
        case .boot(let node, let life): boot(node, life)
        case .request(let request, let node, let life): serve(request, of: node, life)
        case .reply(let reply, let node, let life): receive(reply, at: node, life)
        case .askReport(let node, let asker, let life): askReport(of: node, for: asker, life)
        case .reported(let report, let node, let life): reported(report, to: node, life)
        case .count(let node, let life): count(node, life)
        case .controller: controller()
        case .decided(let transaction): change(transaction)
        case .rebuild: rebuildRegister()
        case .moveStep: moveStep()
        case .raiseMinimum: raiseMinimum()
        case .search(let search, let node): self.search(search, at: node)
        case .splitStep(let number, let step, let node, let end): splitStep(number, step, at: node, until: end)
        case .halved(let node, let life): halved(node, life)
        case .drop(let node): drop(node)
        case .client: client()
        case .fault: fault()
        case .faultsEnd: endFaults()
        }
    }

    func has(_ fault: WorldOptions.Fault) -> Bool { faultsOn && options.faults.contains(fault) }

    func note(_ text: @autoclosure () -> String) {
        guard keepsTrail else { return }
        trail.append("\(now) \(text())")
        if trail.count > 400_000 { trail.removeFirst(200_000) }
    }

    func fail(_ text: String) { checker.fail("t=\(now) \(text)") }
}

/// What happened in a world.
package struct WorldFigures: Hashable, Sendable {
    package var events = 0
    package var acknowledged = 0
    package var strongReads = 0
    package var sessionReads = 0
    package var boundedReads = 0
    /// Of all shards, with an answer from each.
    package var searches = 0
    package var reigns = 0
    package var shrinks = 0
    package var expands = 0
    package var crashes = 0
    package var lostDisks = 0
    /// Copies that were built from another's files.
    package var builtCopies = 0
    /// Copies that left, and whose place another took.
    package var moves = 0
    /// Shards that two others took the place of.
    package var splits = 0
    /// Minimums of in-sync copies that were raised.
    package var raises = 0
    /// Splits that were given up.
    package var abortedSplits = 0
    package var faults = 0
    /// Worlds that ended where only an operator may go on.
    package var operatorNeeded = 0

    package init() {}

    /// Whether the seed says anything: a world in which nothing failed proves little.
    package var counts: Bool {
        reigns > 1 && shrinks > 0 && expands > 0 && crashes > 0 && acknowledged >= 100
    }
}
