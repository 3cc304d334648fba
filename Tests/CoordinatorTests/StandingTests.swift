import AuditLedger
import ClusterModel
import FaceModel
import TestBench
import Testing

@testable import Coordinator

/// How a coordinator keeps up with who is suspended.
@Suite struct StandingTests {
    private func key(_ text: String, revoked: Bool) throws -> AccessKeyRegister {
        AccessKeyRegister(
            accessKey: try #require(AccessKeyID(text)), tenant: .embedded, person: "p", roles: ["admin"],
            sealedSecret: [1, 2, 3], created: Timestamp(milliseconds: 1),
            revoked: revoked ? Timestamp(milliseconds: 2) : nil)
    }

    @Test func revocationsOfTheRegistersReachTheLedgerOnce() async throws {
        let bench = try await Bench()
        let (revoked, good) = (try key("AKIDREVOKED00000", revoked: true), try key("AKIDGOOD00000000", revoked: false))
        _ = try await bench.index.controlPlane.commit(
            RegisterTransaction([
                .put(.accessKey(revoked), expecting: .absent), .put(.accessKey(good), expecting: .absent),
            ]))
        try await bench.index.carryRevocations()
        #expect(bench.ledger.entries.isEmpty, "not before the ledger was asked what it knows")
        for _ in 0..<3 {
            await bench.index.refreshStanding()
            try await bench.index.carryRevocations()
        }
        #expect(bench.ledger.entries.count == 1)
        guard case .order(let order)? = bench.ledger.entries.first else { return #expect(Bool(false), "no order") }
        #expect(order.act == .revoke(revoked.accessKey) && order.accessKey == nil && order.tenant == .embedded)
        var context = try bench.context
        try bench.index.requireKey(in: context)
        context.accessKey = revoked.accessKey
        #expect(throws: CoordinatorError.ledger(.keyRevoked)) { try bench.index.requireKey(in: context) }
        await #expect(throws: CoordinatorError.ledger(.keyRevoked)) {
            try await bench.index.requireStanding(in: context)
        }
        await bench.close()
    }

    /// A word that is young enough holds; no request waits longer than its own time for a new one.
    @Test func aSilentLedgerIsWaitedForAndThenSaidToBeSilent() async throws {
        let bench = try await Bench()
        var context = try bench.context
        bench.ledger.fall(silent: "cut off")
        context.deadline = .now
        await #expect(throws: CoordinatorError.standingUnknown(.unreachable(reason: "no time was left to ask it"))) {
            try await bench.index.requireStanding(in: context)
        }
        context.deadline = .now + .milliseconds(200)
        await #expect(throws: CoordinatorError.standingUnknown(.unreachable(reason: "cut off"))) {
            try await bench.index.requireStanding(in: context)
        }
        context.deadline = .now + .seconds(600)
        async let waiting: Void = bench.index.requireStanding(in: context)
        bench.ledger.fall(silent: nil)
        try await waiting
        let known = try #require(bench.index.standings.known)
        #expect(known.age < .seconds(600) && known.standing == Standing())
        await bench.close()
    }
}
