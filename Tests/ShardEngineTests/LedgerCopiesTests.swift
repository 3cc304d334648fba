import AuditLedger
import FaceModel
import Replication
import SimulatedDisk
import StorageIO
import Synchronization
import Testing

@testable import ShardEngine

/// Three copies of a ledger: whoever decides, nothing acknowledged is lost, nothing stands twice, no promise is broken.
@Suite struct LedgerCopiesTests {
    private func bench() async throws -> LedgerBench { try await LedgerBench.started() }

    @Test func everyCopyHoldsTheSameTree() async throws {
        let bench = try await bench()
        for number: UInt64 in 0..<10 {
            #expect(try await bench.append(number) == [2 * number, 2 * number + 1])
        }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number: UInt64 in 10..<140 { group.addTask { try await bench.append(number) } }
            try await group.waitForAll()
        }
        let status = try await bench.status()
        #expect(status.treeSize == 280 && status.refusing == nil)
        #expect(try await bench.eventually { bench.sizes() == [280, 280, 280] })
        let record = try await bench.ask { (ledger) throws(LedgerError) in
            try await ledger.record(of: LedgerSample.search(7), tenant: .embedded, LedgerBench.call())
        }
        #expect(record?.leaves.map(\.index) == [14, 15] && record?.result == LedgerSample.result(7))
        for number in 0..<LedgerBench.copies where number != bench.primary {
            let follower = try #require(bench.post.node(CopiesBench.node(number)))
            await #expect(throws: LedgerError.unreachable(reason: "another of its copies decides now")) {
                try await follower.append(.result(LedgerSample.result(900)), LedgerBench.call())
            }
            await #expect(throws: LedgerError.self) {
                try await follower.record(of: LedgerSample.search(7), tenant: .embedded, LedgerBench.call())
            }
        }
        // Tiles are each copy's own files, and the same.
        let tile = LedgerSample.directory + "/tile/"
        #expect(
            try await bench.eventually {
                bench.disks.allSatisfy { $0.contents(tile + "entries/000") != nil }
            })
        await bench.stop()
        for path in ["entries/000", "private/000", "0/000", "checkpoint/000"] {
            #expect(Set(bench.disks.map { $0.contents(tile + path) }).count == 1, "\(path)")
        }
        bench.requireWhole(leaves: 280)
    }

    @Test func anEntryThatIsAskedAgainStandsOnce() async throws {
        let bench = try await bench()
        let first = try await bench.append(1)
        for round: UInt64 in 0..<2 {
            #expect(try await bench.append(1) == first)
            try await bench.append(10 + round)
            let old = bench.primary
            await bench.kill(old)
            #expect(try await bench.append(1) == first)
            await bench.start(old)
            #expect(try await bench.eventually { bench.registers.state.configuration.isr.count == 3 })
        }
        // Another entry under the same search is not taken for it.
        var other = LedgerSample.result(1)
        other.facesScored += 1
        await #expect(throws: LedgerError.self) {
            try await bench.ask { [other] (ledger) throws(LedgerError) in
                try await ledger.append(.result(other), LedgerBench.call())
            }
        }
        #expect(try await bench.status().treeSize == 6)
        await bench.stop()
        bench.requireWhole(leaves: 6)
    }

    /// Callers go on while primaries are killed, with and without what their disks had not made durable.
    @Test func nothingAcknowledgedIsLostAndNothingStandsTwice() async throws {
        let bench = try await bench()
        let callers: UInt64 = 4
        let each: UInt64 = 40
        var witnessed: [String] = []
        try await withThrowingTaskGroup(of: Void.self) { group in
            for caller in 0..<callers {
                group.addTask {
                    for number in 0..<each { try await bench.append(caller * 1_000 + number) }
                }
            }
            for round in 0..<4 {
                try await Task.sleep(for: .milliseconds(150))
                let victim = round == 2 ? (bench.primary + 1) % LedgerBench.copies : bench.primary
                witnessed += LedgerBench.promises(bench.disks[victim])
                await bench.kill(victim, power: round.isMultiple(of: 2))
                try await Task.sleep(for: .milliseconds(150))
                await bench.start(victim)
                #expect(try await bench.eventually { bench.registers.state.configuration.isr.count == 3 })
            }
            try await group.waitForAll()
        }
        let leaves = 2 * callers * each
        #expect(try await bench.status().treeSize == leaves)
        for caller in 0..<callers {
            for number in 0..<each {
                let search = LedgerSample.search(caller * 1_000 + number)
                let record = try await bench.ask { (ledger) throws(LedgerError) in
                    try await ledger.record(of: search, tenant: .embedded, LedgerBench.call())
                }
                #expect(record?.leaves.count == 2 && record?.intent != nil && record?.result != nil)
            }
        }
        #expect(try await bench.eventually { bench.sizes() == [leaves, leaves, leaves] })
        await bench.stop()
        bench.requireWhole(leaves: leaves, also: witnessed)
    }

    @Test func withoutAMajorityNothingIsAcknowledged() async throws {
        let bench = try await bench()
        try await bench.append(1)
        let primary = bench.primary
        for number in 0..<LedgerBench.copies where number != primary { await bench.kill(number) }
        let alone = try #require(bench.post.node(CopiesBench.node(primary)))
        let entry = LedgerEntry.intent(try LedgerSample.intent(2))
        // What was written waits for the others, however long; nobody is told that it stands.
        let acknowledged = Mutex(false)
        let first = Task {
            _ = try? await alone.append(entry, LedgerBench.call(.seconds(1)))
            acknowledged.withLock { $0 = true }
        }
        await #expect(throws: LedgerError.self) { try await alone.status(LedgerBench.call(.seconds(1))) }
        #expect(acknowledged.withLock { $0 } == false && alone.ownStatus?.treeSize == 2)
        for number in 0..<LedgerBench.copies where number != primary { await bench.start(number) }
        await first.value
        // Whether the first asking was written or not, it stands once.
        try await bench.append(2)
        #expect(try await bench.status().treeSize == 4)
        #expect(try await bench.eventually { bench.sizes() == [4, 4, 4] })
        await bench.stop()
        bench.requireWhole(leaves: 4)
    }

    /// A copy that counts and has lost its files says so; an empty ledger would hide what was searched.
    @Test func aCopyThatLostItsFilesBeginsNone() async throws {
        let bench = try await bench()
        try await bench.append(1)
        // With two gone none of them can be taken out of the set.
        let others = (0..<LedgerBench.copies).filter { $0 != bench.primary }
        for number in others { await bench.kill(number) }
        let name = CopiesBench.node(others[0])
        let replica = await LedgerReplica.open(
            bench.settings(CopiesBench.replica(others[0])), on: SimulatedDisk(),
            surroundings: ReplicaSurroundings(
                node: name, incarnation: bench.registers.raise(name), registers: bench.registers,
                post: bench.post.from(name)))
        #expect(replica.ownStatus.refusing?.contains("is the disk mounted") == true)
        await replica.stop()
        await bench.stop()
    }
}
