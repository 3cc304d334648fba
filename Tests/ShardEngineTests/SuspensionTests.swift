import AuditLedger
import FaceModel
import SimulatedDisk
import Testing

@testable import ShardEngine

/// Suspensions in a real copy of the ledger: over restarts, behind tiles, and where another copy takes over.
@Suite struct SuspensionTests {
    private static let other = TenantID.cluster

    private func order(
        _ act: StandingOrder.Act, _ number: UInt64, of tenant: TenantID = .embedded, by key: String? = nil
    ) throws -> LedgerEntry {
        .order(
            StandingOrder(
                act, of: tenant, id: SearchID(Bits128(high: 77, low: number)), time: Timestamp(milliseconds: 2_000),
                accessKey: key.flatMap { AccessKeyID($0) }, person: "operator", reason: "misuse"))
    }

    @Test func aSuspendedAccountHasNoFurtherLeaf() async throws {
        let disk = SimulatedDisk()
        let ledger = await LedgerSample.open(disk)
        try await LedgerSample.append(1, to: ledger)
        try await ledger.append(.intent(try LedgerSample.intent(2)))
        #expect(try await ledger.append(order(.suspend, 1)) == 3)
        #expect(try await ledger.append(order(.suspend, 1)) == 3, "asked again")
        #expect(try await ledger.append(order(.suspend, 2)) == 3, "it stands already")
        let refusal = LedgerError.suspended(since: Timestamp(milliseconds: 2_000))
        await #expect(throws: refusal) { try await ledger.append(.intent(try LedgerSample.intent(3))) }
        await #expect(throws: refusal) { try await ledger.append(.result(LedgerSample.result(2))) }
        #expect(try await ledger.append(.intent(try LedgerSample.intent(2))) == 2, "what stands is told")
        #expect(try await ledger.standing().suspended[.embedded]?.leaf == 3)
        let record = try #require(
            try await ledger.record(of: SearchID(Bits128(high: 77, low: 1)), tenant: .embedded))
        #expect(record.order?.reason == "misuse" && record.leaves.map(\.index) == [3] && record.intent == nil)
        #expect(try await ledger.append(order(.resume, 3)) == 4)
        #expect(try await ledger.append(.result(LedgerSample.result(2))) == 5)
        #expect(try await ledger.append(order(.suspend, 1)) == 3, "an order that was resumed is not given again")
        #expect(try await ledger.standing().suspended.isEmpty)
        await ledger.stop()
        #expect(LedgerSample.verify(disk).fault == nil && LedgerSample.verify(disk).leaves == 6)
    }

    /// All in one batch or not: each entry is judged at its place.
    @Test func entriesOfOneBatchAreJudgedAsWell() async throws {
        let ledger = await LedgerSample.open(SimulatedDisk())
        let refused = try await withThrowingTaskGroup(of: Bool.self) { group in
            group.addTask { [self] in
                _ = try await ledger.append(order(.suspend, 1))
                return false
            }
            for number: UInt64 in 0..<50 {
                group.addTask {
                    do {
                        try await ledger.append(.intent(try LedgerSample.intent(number)))
                        return false
                    } catch LedgerError.suspended {
                        return true
                    }
                }
            }
            return try await group.reduce(0) { $0 + ($1 ? 1 : 0) }
        }
        let standing = try await ledger.standing()
        #expect(standing.suspended[.embedded]?.leaf == UInt64(50 - refused))
        #expect(try await ledger.status().treeSize == UInt64(51 - refused))
        await ledger.stop()
    }

    @Test func aRevokedKeyAsksForNothing() async throws {
        let ledger = await LedgerSample.open(SimulatedDisk())
        let key = try LedgerSample.intent(1).accessKey
        #expect(try await ledger.append(order(.revoke(key), 0)) == 0)
        #expect(try await ledger.append(order(.revoke(key), 1)) == 0, "once, whoever says so")
        await #expect(throws: LedgerError.keyRevoked) { try await ledger.append(.intent(try LedgerSample.intent(1))) }
        await #expect(throws: LedgerError.keyRevoked) { try await ledger.append(order(.suspend, 2, by: key.text)) }
        #expect(try await ledger.standing().isRevoked(key))
        await ledger.stop()
    }

    /// Every start finds it: from the log, from tiles once the log is cut, and after a power cut.
    @Test func itSurvivesRestartsAndTheLogsEnd() async throws {
        let disk = SimulatedDisk()
        var ledger = await LedgerSample.open(disk)
        let key = try #require(AccessKeyID("AKIDREVOKED00000"))
        try await ledger.append(order(.suspend, 1, of: Self.other))
        try await ledger.append(order(.revoke(key), 2))
        let standing = try await ledger.standing()
        for round: UInt64 in 0..<3 {
            await ledger.stop()
            ledger = await LedgerSample.open(disk)
            #expect(try await ledger.standing() == standing)
            for number in 0..<150 { try await LedgerSample.append(1_000 * (round + 1) + UInt64(number), to: ledger) }
            #expect(try await ledger.standing() == standing)
        }
        await ledger.stop()
        #expect(disk.contents(LedgerSample.directory + "/tile/entries/002") != nil)
        #expect(LedgerSample.verify(disk).fault == nil)
        let again = await LedgerSample.open(disk.copy())
        #expect(try await again.standing() == standing && standing.suspended[Self.other]?.leaf == 0)
        await again.stop()
    }

    /// With three copies: whoever decides next obeys, a copy that was away too.
    @Test func itSurvivesTakeovers() async throws {
        let bench = LedgerBench()
        await withTaskGroup { group in
            for number in 0..<LedgerBench.copies { group.addTask { await bench.start(number) } }
        }
        #expect(try await bench.eventually { bench.registers.state.configuration.isr.count == LedgerBench.copies })
        let away = (bench.primary + 1) % LedgerBench.copies
        await bench.kill(away)
        try await bench.append(1)
        let entry = try order(.suspend, 1)
        #expect(
            try await bench.ask { (ledger) throws(LedgerError) in try await ledger.append(entry, LedgerBench.call()) }
                == 2)
        await bench.start(away)
        #expect(try await bench.eventually { bench.registers.state.configuration.isr.count == 3 })
        for _ in 0..<3 {
            let old = bench.primary
            await bench.kill(old)
            let standing = try await bench.ask { (ledger) throws(LedgerError) in
                try await ledger.standing(LedgerBench.call())
            }
            #expect(standing.suspended[.embedded]?.leaf == 2 && bench.primary != old)
            let intent = LedgerEntry.intent(try LedgerSample.intent(9))
            let primary = try #require(bench.post.node(CopiesBench.node(bench.primary)))
            await #expect(throws: LedgerError.suspended(since: Timestamp(milliseconds: 2_000))) {
                try await primary.append(intent, LedgerBench.call())
            }
            await bench.start(old)
            #expect(try await bench.eventually { bench.registers.state.configuration.isr.count == 3 })
        }
        await bench.stop()
        for disk in bench.disks { #expect(LedgerSample.verify(disk).fault == nil) }
    }
}
