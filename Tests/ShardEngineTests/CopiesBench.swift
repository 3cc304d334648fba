import ClusterModel
import FaceModel
import Foundation
import Replication
import SimulatedDisk
import StorageIO
import Synchronization

@testable import ShardEngine

/// Nodes of one process, with registers that all of them see and a network that can be cut.
final class CopiesBench: Sendable {
    let root = NSTemporaryDirectory() + "facet-copies-\(ProcessInfo.processInfo.globallyUniqueString)"
    let shard = ShardID(Bits128(high: 2, low: 2))
    let registers: SharedRegisters<ShardNode>
    let post = LocalPost<ShardNode>()
    static let dimension = 64
    private let recordsKept: UInt64
    private let checkpointDelay: Duration

    /// `recordsKept`: behind which a log is cut. `checkpointDelay`: from a change to a comparison of the copies.
    init(
        copies: Int = 3, minISR: Int = 2, recordsKept: UInt64 = 262_144, checkpointDelay: Duration = .seconds(30)
    ) throws {
        self.recordsKept = recordsKept
        self.checkpointDelay = checkpointDelay
        registers = SharedRegisters(shard, copies: copies, minISR: minISR, post: post)
        for number in 0..<copies { start(number) }
    }

    func stop() async {
        for node in post.all { await node.stop() }
        _ = try? FileManager.default.removeItem(atPath: root)
    }

    static func node(_ number: Int) -> NodeID {
        guard let node = NodeID("n\(number)") else { preconditionFailure("a node's name") }
        return node
    }

    /// The `copy`th that a node has had.
    static func replica(_ number: Int, copy: Int = 0) -> ReplicaID {
        ReplicaID(Bits128(high: UInt64(7 + copy), low: UInt64(number)))
    }

    /// The folder of a node's copy.
    func folder(_ number: Int) -> String { "\(root)/\(number)/\(shard)" }

    /// Names a new copy on a node as a learner, and none that the node had before.
    func name(_ new: ReplicaID) async throws {
        let gone = registers.state.configuration.named.filter { $0.bits.low == new.bits.low }
        while !registers.state.configuration.named.contains(new) {
            let state = registers.state
            let left = state.configuration.without(gone)
            let change = Replication.RegisterTransaction(
                expected: state.revision, new: left.with(learners: left.learners + [new]), joiners: [])
            _ = await registers.attempt(change, of: shard)
        }
    }

    func descriptor(_ number: Int, copy: Int = 0) -> ShardDescriptor {
        ShardDescriptor(
            tenant: .embedded, collection: CollectionUID(Bits128(high: 1, low: 1)), shard: shard,
            replica: Self.replica(number, copy: copy), dimension: Self.dimension, modelVersion: "1.0",
            idKey: [UInt8](repeating: 5, count: 32), roots: [.root])
    }

    /// A new life of the node.
    @discardableResult func start(_ number: Int) -> ShardNode {
        let name = Self.node(number)
        let node = ShardNode(
            directory: "\(root)/\(number)", files: POSIXFileSystem(), pool: ScanPool(threads: 1),
            surroundings: ReplicaSurroundings(
                node: name, incarnation: registers.raise(name), registers: registers, post: post.from(name),
                copies: post.from(name), recordsKeptForCopies: recordsKept,
                checkpointDelay: checkpointDelay))
        post.set(name, node)
        return node
    }

    func open(_ number: Int, _ mode: OpenMode, copy: Int = 0) async throws {
        guard let node = post.node(Self.node(number)) else { return }
        try await node.open(descriptor(number, copy: copy), mode, call(.seconds(30)))
    }

    /// The node is gone without a word; its files stay.
    func kill(_ number: Int) async {
        let name = Self.node(number)
        let node = post.node(name)
        post.set(name, nil)
        await node?.stop()
    }

    func call(_ limit: Duration = .seconds(5)) -> ShardCall {
        ShardCall(
            shard: shard, node: .embedded, roots: [.root], deadline: .now + limit,
            request: RequestID(Bits128(high: 0, low: 1)))
    }

    /// Asks whoever the register names, as a coordinator would, until it answers.
    func ask<Value>(
        within limit: Duration = .seconds(90), _ body: (ShardNode) async throws(ShardError) -> Value
    ) async throws -> Value {
        let deadline = ContinuousClock.now + limit
        while true {
            let configuration = registers.state.configuration
            let number = Int(configuration.primary.bits.low)
            do throws(ShardError) {
                guard let node = post.node(Self.node(number)) else { throw .notPrimary(shard) }
                return try await body(node)
            } catch {
                guard ContinuousClock.now < deadline else { throw error }
                switch error {
                case .notPrimary, .notServing, .interrupted, .deadlineExceeded, .busy, .unknownShard:
                    try await Task.sleep(for: .milliseconds(20))
                default: throw error
                }
            }
        }
    }

    /// Waits for what must come about; false when it does not within a minute and a half.
    func eventually(_ holds: () async -> Bool) async throws -> Bool {
        let deadline = ContinuousClock.now + .seconds(90)
        while ContinuousClock.now < deadline {
            if await holds() { return true }
            try await Task.sleep(for: .milliseconds(20))
        }
        return await holds()
    }

    static func faces(_ range: Range<Int>) -> [NewFace] {
        range.map { number in
            var random = SplitMix(state: UInt64(number) &* 77)
            var values = (0..<dimension).map { _ in Float.random(in: -1...1, using: &random) }
            let norm = values.reduce(0) { $0 + $1 * $1 }.squareRoot()
            for index in values.indices { values[index] /= norm }
            return NewFace(
                vector: RotatedVector(rotated: values), externalImageID: ExternalImageID("face:\(number)"),
                record: FaceRecord(imageID: nil, detail: nil), token: .none)
        }
    }
}

/// What holds copies and is told of registers: a node of the bench.
protocol BenchHost: ReplicaHost {
    func observe(_ register: RegisterState, of shard: ShardID)
}

extension ShardNode: BenchHost {}
extension LedgerShelf: BenchHost {}

/// The register of one shard, seen by every node at once.
final class SharedRegisters<Host: BenchHost>: ShardRegisters {
    private struct State {
        var register: RegisterState
        var incarnations: [NodeID: Incarnation] = [:]
        var down = false
    }

    private let shard: ShardID
    private let post: LocalPost<Host>
    private let held: Mutex<State>

    /// The last `learners` of the copies do not count at first.
    init(_ shard: ShardID, copies: Int, learners: Int = 0, minISR: Int, post: LocalPost<Host>) {
        self.shard = shard
        self.post = post
        let replicas = (0..<copies).map { CopiesBench.replica($0) }
        held = Mutex(
            State(
                register: RegisterState(
                    configuration: ShardConfiguration(
                        generation: Generation(0), version: 1, epoch: Epoch(1), primary: replicas[0],
                        primaryIncarnation: Incarnation(0), isr: Array(replicas.dropLast(learners)),
                        learners: Array(replicas.suffix(learners)), minISR: minISR),
                    revision: 1)))
    }

    var state: RegisterState { held.withLock { $0.register } }
    /// As a backup or an operator has it: every node hears of it. Without `revision` the store's goes on rising.
    func restore(_ configuration: ShardConfiguration, revision: UInt64? = nil) {
        let state = held.withLock { state in
            let next = revision ?? state.register.revision + 1
            state.register = RegisterState(configuration: configuration, revision: next)
            return state.register
        }
        for node in post.all { node.observe(state, of: shard) }
    }
    func setDown(_ down: Bool) { held.withLock { $0.down = down } }

    func raise(_ node: NodeID) -> Incarnation {
        held.withLock { state in
            let next = (state.incarnations[node] ?? Incarnation(0)).next
            state.incarnations[node] = next
            return next
        }
    }

    func read(_ shard: ShardID) async throws(ControlPlaneError) -> RegisterState? { try reached { $0.register } }

    func attempt(
        _ change: Replication.RegisterTransaction, of shard: ShardID
    ) async -> Replication.TransactionOutcome {
        let outcome = held.withLock { state -> Replication.TransactionOutcome in
            guard !state.down else { return .unknown }
            let incarnations = state.incarnations
            let current = change.joiners.allSatisfy { joiner in
                incarnations[CopiesBench.node(Int(joiner.replica.bits.low))] == joiner.incarnation
            }
            guard change.expected == state.register.revision, current else { return .refused(state.register) }
            state.register = RegisterState(configuration: change.new, revision: state.register.revision + 1)
            return .made(revision: state.register.revision)
        }
        if case .made = outcome { for node in post.all { node.observe(state, of: shard) } }
        return outcome
    }

    func processes(of shard: ShardID) async throws(ControlPlaneError) -> [ReplicaID: ReplicaProcess] {
        try reached { state in
            Dictionary(
                uniqueKeysWithValues: state.register.configuration.named.map { replica in
                    let node = CopiesBench.node(Int(replica.bits.low))
                    return (
                        replica,
                        ReplicaProcess(node: node, incarnation: state.incarnations[node] ?? Incarnation(0))
                    )
                })
        }
    }

    private func reached<Value>(_ body: (State) -> Value) throws(ControlPlaneError) -> Value {
        let value = held.withLock { $0.down ? nil : body($0) }
        guard let value else { throw .unavailable(reason: "down", outcomeUnknown: false) }
        return value
    }
}

/// Letters from node to node within the process. What comes from or goes to a node that is cut off is lost.
final class LocalPost<Host: BenchHost>: Sendable {
    private struct State {
        var nodes: [NodeID: Host] = [:]
        var cut: Set<NodeID> = []
        /// Chunks that may still be read.
        var chunks = Int.max
        /// Faces that copies gave each other for repairs.
        var rowsGiven = 0
        var givesRows = true
    }

    struct Sender: ReplicaPost {
        let name: NodeID
        let post: LocalPost<Host>

        func send(_ letter: ReplicaLetter, to node: NodeID) { post.way(name, node)?.receive(letter) }

        func report(
            of shard: ShardID, on node: NodeID, deadline: ContinuousClock.Instant
        ) async -> ReplicaReport? { await post.way(name, node)?.report(of: shard) }
    }

    private let state = Mutex(State())

    var all: [Host] { state.withLock { Array($0.nodes.values) } }
    func node(_ name: NodeID) -> Host? { state.withLock { $0.nodes[name] } }
    func set(_ name: NodeID, _ node: Host?) { state.withLock { $0.nodes[name] = node } }
    func cut(_ name: NodeID, _ isCut: Bool) {
        state.withLock { state in
            if isCut { state.cut.insert(name) } else { state.cut.remove(name) }
        }
    }
    /// Only so many chunks of copies are given from now on.
    func limitChunks(_ count: Int) { state.withLock { $0.chunks = count } }
    var rowsGiven: Int { state.withLock { $0.rowsGiven } }
    var givesRows: Bool { state.withLock { $0.givesRows } }
    func giveRows(_ gives: Bool) { state.withLock { $0.givesRows = gives } }
    fileprivate func count(rows: Int) { state.withLock { $0.rowsGiven += rows } }
    fileprivate func spendChunk() -> Bool {
        state.withLock { state in
            guard state.chunks > 0 else { return false }
            state.chunks -= 1
            return true
        }
    }
    func from(_ name: NodeID) -> Sender { Sender(name: name, post: self) }

    fileprivate func way(_ from: NodeID, _ to: NodeID) -> Host? {
        state.withLock { $0.cut.contains(from) || $0.cut.contains(to) ? nil : $0.nodes[to] }
    }
}

extension LocalPost.Sender: CopySource {
    func listing(
        of shard: ShardID, on node: NodeID, for receiver: ReplicaID, deadline: ContinuousClock.Instant
    ) async -> CopyListing? { await post.way(name, node)?.listing(of: shard, for: receiver) }

    func read(
        _ chunk: CopyChunk, of shard: ShardID, on node: NodeID, deadline: ContinuousClock.Instant
    ) async -> [UInt8]? {
        guard post.spendChunk() else { return nil }
        return await post.way(name, node)?.read(chunk, of: shard)
    }

    func release(_ number: UInt64, of shard: ShardID, on node: NodeID) async {
        await post.way(name, node)?.release(number, of: shard)
    }

    func rows(
        of faces: [FaceID], _ shard: ShardID, on node: NodeID, deadline: ContinuousClock.Instant
    ) async -> [[UInt8]]? {
        guard post.givesRows else { return nil }
        let rows = await post.way(name, node)?.rows(of: faces, shard)
        post.count(rows: rows?.count ?? 0)
        return rows
    }
}
