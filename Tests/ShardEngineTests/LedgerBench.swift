import AuditLedger
import FaceModel
import Foundation
import Replication
import SimulatedDisk
import StorageIO
import Synchronization

@testable import ShardEngine

/// Copies of a ledger in this process, each on a disk of its own, with registers that all of them see.
final class LedgerBench: Sendable {
    static let copies = 3
    static let cluster = LedgerSample.settings.cluster
    let disks = (0..<LedgerBench.copies).map { _ in SimulatedDisk() }
    let post = LocalPost<LedgerReplica>()
    let registers: SharedRegisters<LedgerReplica>

    init() {
        registers = SharedRegisters(
            ShardID(Self.cluster), copies: Self.copies, learners: Self.copies - 1, minISR: 2, post: post)
    }

    func settings(_ number: Int) -> LedgerSettings {
        LedgerSettings(
            directory: LedgerSample.directory, cluster: Self.cluster, replica: CopiesBench.replica(number),
            signingKeyPath: "/keys/ledger-signing-key", signingSeed: [UInt8](repeating: 9, count: 32),
            recordKey: LedgerSample.recordKey)
    }

    /// A new life of the copy's node.
    func start(_ number: Int) async {
        let name = CopiesBench.node(number)
        let replica = await LedgerReplica.open(
            settings(number), on: disks[number],
            surroundings: ReplicaSurroundings(
                node: name, incarnation: registers.raise(name), registers: registers, post: post.from(name)))
        post.set(name, replica)
    }

    /// The node is gone without a word. With `power`, so is what its disk had not made durable.
    func kill(_ number: Int, power: Bool = false) async {
        let name = CopiesBench.node(number)
        let replica = post.node(name)
        post.set(name, nil)
        if power { disks[number].crash(atOperation: disks[number].operations + 1) }
        await replica?.stop()
        if power { disks[number].restart(seed: UInt64(disks[number].operations)) }
    }

    func stop() async {
        for replica in post.all { await replica.stop() }
    }

    var primary: Int { Int(registers.state.configuration.primary.bits.low) }

    static func call(_ limit: Duration = .seconds(2)) -> LedgerCall {
        LedgerCall(deadline: .now + limit, request: RequestID(Bits128(high: 0, low: 1)))
    }

    /// Asks whoever the register names, as a coordinator would, until it answers.
    func ask<Value>(
        within limit: Duration = .seconds(60), _ body: (LedgerReplica) async throws(LedgerError) -> Value
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
    @discardableResult func append(_ number: UInt64) async throws -> [UInt64] {
        let (intent, result) = (try LedgerSample.intent(number), LedgerSample.result(number))
        return [
            try await ask { (ledger) throws(LedgerError) in try await ledger.append(.intent(intent), Self.call()) },
            try await ask { (ledger) throws(LedgerError) in try await ledger.append(.result(result), Self.call()) },
        ]
    }

    func status() async throws -> LedgerStatus {
        try await ask { (ledger) throws(LedgerError) in try await ledger.status(Self.call()) }
    }

    func sizes() -> [UInt64?] {
        (0..<Self.copies).map { post.node(CopiesBench.node($0))?.ownStatus.treeSize }
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
}
