import AuditLedger
import FaceModel
import Foundation
import Replication
import SimulatedDisk
import StorageIO
import Synchronization
import Testing
import WriteAheadLog

@testable import ShardEngine

/// Copies of a ledger in this process, each on a disk of its own, with registers that all of them see.
final class LedgerBench: Sendable {
    static let copies = 3
    static let cluster = LedgerSample.settings.cluster
    let disks = (0..<LedgerBench.copies).map { _ in SimulatedDisk() }
    let post = LocalPost<LedgerShelf>()
    let registers: SharedRegisters<LedgerShelf>

    private let recordsKept: UInt64

    /// `recordsKept`: behind which a log is cut.
    init(recordsKept: UInt64 = 262_144) {
        self.recordsKept = recordsKept
        registers = SharedRegisters(
            ShardID(Self.cluster), copies: Self.copies, learners: Self.copies - 1, minISR: 2, post: post)
    }

    func settings(_ replica: ReplicaID) -> LedgerSettings {
        LedgerSettings(
            directory: LedgerSample.directory, cluster: Self.cluster, replica: replica,
            signingKeyPath: "/keys/ledger-signing-key", signingSeed: [UInt8](repeating: 9, count: 32),
            recordKey: LedgerSample.recordKey)
    }

    /// A new life of the copy's node.
    func start(_ number: Int) async {
        let name = CopiesBench.node(number)
        let shelf = LedgerShelf(
            cluster: Self.cluster, on: disks[number],
            surroundings: ReplicaSurroundings(
                node: name, incarnation: registers.raise(name), registers: registers, post: post.from(name),
                copies: post.from(name), recordsKeptForCopies: recordsKept)
        ) { [self] (replica) throws(DataDirectoryError) in settings(replica) }
        shelf.observe(registers.state, of: ShardID(Self.cluster))
        post.set(name, shelf)
    }

    /// The node is gone without a word. With `power`, so is what its disk had not made durable.
    func kill(_ number: Int, power: Bool = false) async {
        let name = CopiesBench.node(number)
        let shelf = post.node(name)
        post.set(name, nil)
        if power { disks[number].crash(atOperation: disks[number].operations + 1) }
        await shelf?.stop()
        if power { disks[number].restart(seed: UInt64(disks[number].operations)) }
    }

    func stop() async {
        for shelf in post.all { await shelf.stop() }
    }

    /// Names a new copy on a node as a learner, in place of the one that it had.
    func rename(_ number: Int, to new: ReplicaID) async {
        while !registers.state.configuration.named.contains(new) {
            let state = registers.state
            let left = state.configuration.without([CopiesBench.replica(number)])
            let change = Replication.RegisterTransaction(
                expected: state.revision, new: left.with(learners: left.learners + [new]), joiners: [])
            _ = await registers.attempt(change, of: ShardID(Self.cluster))
        }
    }

    var primary: Int { Int(registers.state.configuration.primary.bits.low) }

    static func call(_ limit: Duration = .seconds(2)) -> LedgerCall {
        LedgerCall(deadline: .now + limit, request: RequestID(Bits128(high: 0, low: 1)))
    }

    /// Asks whoever the register names, as a coordinator would, until it answers.
    func ask<Value>(
        within limit: Duration = .seconds(60), _ body: (LedgerShelf) async throws(LedgerError) -> Value
    ) async throws -> Value {
        let deadline = ContinuousClock.now + limit
        while true {
            do throws(LedgerError) {
                guard let replica = post.node(CopiesBench.node(primary)) else {
                    throw .unreachable(reason: "it is gone")
                }
                return try await body(replica)
            } catch {
                guard ContinuousClock.now < deadline else { throw error }
                if case .refusing = error { throw error }
                try await Task.sleep(for: .milliseconds(10))
            }
        }
    }

    /// Intent and result of one search, each asked until it is acknowledged.
    @discardableResult func append(_ number: UInt64, large: Bool = false) async throws -> [UInt64] {
        let intent = try LedgerSample.intent(number)
        let result = large ? LedgerSample.largeResult(number) : LedgerSample.result(number)
        return [
            try await ask { (ledger) throws(LedgerError) in try await ledger.append(.intent(intent), Self.call()) },
            try await ask { (ledger) throws(LedgerError) in try await ledger.append(.result(result), Self.call()) },
        ]
    }

    func status() async throws -> LedgerStatus {
        try await ask { (ledger) throws(LedgerError) in try await ledger.status(Self.call()) }
    }

    func sizes() -> [UInt64?] {
        (0..<Self.copies).map { post.node(CopiesBench.node($0))?.ownStatus?.treeSize }
    }

    /// Waits for what must come about; false when it does not within a minute.
    func eventually(_ holds: () async -> Bool) async throws -> Bool {
        let deadline = ContinuousClock.now + .seconds(60)
        while ContinuousClock.now < deadline {
            if await holds() { return true }
            try await Task.sleep(for: .milliseconds(20))
        }
        return await holds()
    }

    /// All copies run and count.
    static func started(recordsKept: UInt64 = 262_144) async throws -> LedgerBench {
        let bench = LedgerBench(recordsKept: recordsKept)
        await withTaskGroup { group in
            for number in 0..<copies { group.addTask { await bench.start(number) } }
        }
        #expect(try await bench.isWhole())
        return bench
    }

    func isWhole() async throws -> Bool {
        try await eventually { registers.state.configuration.isr.count == Self.copies }
    }

    /// Every signed checkpoint that stands anywhere on a disk.
    static func promises(_ disk: SimulatedDisk) -> [String] {
        var notes: [String] = []
        _ = try? Log.inspect(directory: LedgerSample.directory + "/wal", on: disk) { record in
            if record.type == .signedCheckpoint { notes.append(String(decoding: record.payload, as: UTF8.self)) }
        }
        for path in disk.paths where path.contains("checkpoint") {
            notes.append(String(decoding: disk.contents(path) ?? [], as: UTF8.self))
        }
        return notes
    }

    /// Each copy is whole, and keeps every promise that any of them ever signed.
    func requireWhole(leaves: UInt64, also promises: [String] = []) {
        let all = Set(disks.flatMap(Self.promises) + promises)
        #expect(!all.isEmpty)
        for (number, disk) in disks.enumerated() {
            let report = LedgerInspection.verify(
                directory: LedgerSample.directory, recordKey: LedgerSample.recordKey, witnessed: all.sorted(),
                on: disk)
            #expect(report.fault == nil, "copy \(number): \(report.fault?.description ?? "")")
            #expect(report.leaves == leaves, "copy \(number)")
        }
        #expect(Set(disks.map { LedgerSample.verify($0).root }).count == 1)
    }
}
