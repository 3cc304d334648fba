import FaceModel
import Testing

@testable import AuditLedger

/// Suspensions and revoked keys as a prefix of the leaves says them.
@Suite struct StandingTests {
    private let other = TenantID.cluster

    @Test func ordersAreJudgedInTheirOrder() throws {
        let (intent, result) = (LedgerEntry.intent(try Sample.intent(1)), LedgerEntry.result(Sample.result(1)))
        var standing = Standing()
        standing.take(try Sample.order(.suspend, 4), at: 10)
        #expect(standing.suspended == [Sample.tenant: .init(leaf: 10, since: Timestamp(milliseconds: 4_000))])
        standing.take(try Sample.order(.suspend, 5), at: 11)
        #expect(standing.suspended[Sample.tenant]?.leaf == 10, "the first stands")
        #expect(standing.refusal(of: intent) == .suspended(since: Timestamp(milliseconds: 4_000)))
        #expect(standing.refusal(of: result) == .suspended(since: Timestamp(milliseconds: 4_000)))
        #expect(standing.refusal(of: other, key: nil) == nil)
        let another = LedgerEntry.order(try Sample.order(.suspend, 6))
        #expect(standing.refusal(of: another) == nil)
        standing.take(try Sample.order(.resume, 6), at: 12)
        #expect(standing.refusal(of: intent) == nil && standing.refusal(of: result) == nil && standing.orders == 3)
    }

    @Test func aRevokedKeyStaysRevoked() throws {
        var standing = Standing()
        let revocation = try Sample.revocation(of: "AKIDEXAMPLE00000")
        standing.take(revocation, at: 3)
        standing.take(try Sample.order(.resume, 1), at: 4)
        #expect(standing.refusal(of: .intent(try Sample.intent(1))) == .keyRevoked)
        #expect(standing.refusal(of: .result(Sample.result(1))) == nil, "a result names no key")
        let operators = try #require(AccessKeyID("AKIDOPERATOR0000"))
        let byOperators = LedgerEntry.order(try Sample.order(.suspend, 2))
        #expect(!standing.isRevoked(operators) && standing.refusal(of: byOperators) == nil)
        standing.take(try Sample.revocation(of: operators.text), at: 5)
        #expect(standing.refusal(of: byOperators) == .keyRevoked)
        let again = try Sample.revocation(of: "AKIDEXAMPLE00000")
        #expect(revocation.id == again.id && revocation.id != SearchID(Bits128(high: 0, low: 0)))
    }

    @Test func aRevocationUnderAnotherIdIsNoRecord() throws {
        var record = PrivateRecord.encode(.order(try Sample.revocation(of: "AKIDEXAMPLE00000")))
        #expect(PrivateRecord.decode(record) != nil)
        // The id is the first field's value, behind version, kind, tag and length.
        record[8] ^= 1
        #expect(PrivateRecord.decode(record) == nil)
        for length in record.indices { #expect(PrivateRecord.decode(Array(record[..<length])) == nil) }
    }

    /// From tiles, from the log behind them, and from both; a batch that never counted leaves nothing.
    @Test func itIsFoundAgainFromTilesAndLog() throws {
        var ledger = try StoredLedger()
        try ledger.append(100)
        ledger.append(.order(try Sample.order(.suspend, 1, of: other)))
        ledger.append(.order(try Sample.revocation(of: "AKIDREVOKED00000")))
        try ledger.append(200)
        let inTiles = ledger.machine.standing
        ledger.flush()
        #expect(ledger.machine.standing == inTiles && ledger.machine.flushedSize == 256)
        ledger.append(.order(try Sample.order(.suspend, 2)))
        var again = LedgerMachine(recordKey: Sample.recordKey, signer: try Sample.signer())
        again.recover(bundle: try #require(LedgerBundle.rawEntries(ledger.files[.entries(0)] ?? [])))
        #expect(again.standing == inTiles && inTiles.suspended[other]?.leaf == 100)
        for payload in ledger.logged { #expect(again.take(payload) == .taken) }
        #expect(again.standing == ledger.machine.standing && again.standing.suspended.count == 2)
        again.forgetUnflushed()
        #expect(again.standing == inTiles)
        for payload in ledger.logged { _ = again.take(payload) }
        #expect(again.standing == ledger.machine.standing)
    }

    @Test func noCopyTakesASearchBehindASuspension() throws {
        var ledger = try StoredLedger()
        try ledger.append(3)
        ledger.append(.order(try Sample.order(.suspend, 1)))
        for entry in [LedgerEntry.intent(try Sample.intent(9)), .result(Sample.result(1))] {
            guard case .contradicts(let reason) = ledger.append(entry) else {
                Issue.record("taken")
                continue
            }
            #expect(reason.contains("leaf 3 suspends"))
        }
        #expect(ledger.append(.order(try Sample.order(.resume, 2))) == .taken)
        #expect(ledger.append(.result(Sample.result(1))) == .taken)
        #expect(try ledger.fault() == nil && ledger.machine.committedSize == 6)
    }

    /// Whoever signs may not have taken it; an auditor without any key finds it all the same.
    @Test func aVerifierFindsASearchBehindASuspension() throws {
        var ledger = try StoredLedger()
        try ledger.append(3)
        var generator = Seeded(state: 6)
        let suspended = SealedRecord.make(
            .order(try Sample.order(.suspend, 1)), recordKey: Sample.recordKey, using: &generator)
        // Behind its back: the machine takes it for an intent.
        let logged = [
            LeafPayload(index: 3, leaf: suspended.leaf, sealed: suspended.sealed),
            ledger.machine.leaf(of: .result(Sample.result(1)), behind: 1, using: &generator),
        ]
        ledger.logged += logged
        for key in [Sample.recordKey, nil] { #expect(try ledger.fault(recordKey: key)?.leaf == 4) }
    }
}
