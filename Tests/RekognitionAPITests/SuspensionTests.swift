import AccessControl
import AuditLedger
import FaceModel
import Foundation
import TestBench
import Testing

@testable import RekognitionAPI

/// What clients and operators see of suspensions and revoked keys.
@Suite struct SuspensionTests {
    private static let account = TenantID.embedded.text

    private func withAPI(_ body: (APIBench) async throws -> Void) async throws {
        let api = try await APIBench()
        _ = try await api.call("RekognitionService.CreateCollection", ["CollectionId": "c"])
        try await body(api)
        await api.bench.close()
    }

    private func order(_ api: APIBench, _ operation: String, of account: String = account) async throws
        -> APIBench.Reply
    {
        try await api.call("FacetService.\(operation)", ["Tenant": account, "Reason": "misuse"])
    }

    @Test func aSuspendedAccountIsToldSoByEveryOperation() async throws {
        try await withAPI { api in
            let operators = api.asked(by: .cluster)
            let given = try await order(operators, "SuspendTenant")
            #expect(given.status == 200 && given.json["Suspended"] as? Bool == true && given.json["OrderId"] != nil)
            for operation in Operation.table.values where !operation.action.isOfOperators {
                let reply = try await api.call(operation.target, ["CollectionId": "c"])
                #expect(reply.error == "AccessDeniedException" && reply.status == 400, "\(operation.target)")
                #expect(reply.message.contains("suspended since 1970-01-01T00:00:01Z:"), "\(reply.message)")
            }
            #expect(try await operators.call("RekognitionService.ListCollections", [:]).status == 200)
            #expect(api.bench.ledger.entries.count == 1, "nothing of it is on record")
            guard case .order(let order)? = api.bench.ledger.entries.first else { return #expect(Bool(false)) }
            #expect(order.person == "Grace" && order.reason == "misuse" && order.tenant == .embedded)
            #expect(try await self.order(operators, "ResumeTenant").status == 200)
            #expect(try await api.call("RekognitionService.ListCollections", [:]).status == 200)
        }
    }

    @Test func operatorsCallsGoOn() async throws {
        try await withAPI { api in
            #expect(try await order(api, "SuspendTenant").status == 200, "an admin stops the own account")
            let status = try await api.call("FacetService.GetStatus", [:])
            let standing = try #require(status.json["Standing"] as? [String: Any])
            let suspended = try #require(standing["Suspended"] as? [[String: Any]])
            #expect(suspended.map { $0["Tenant"] as? String } == [Self.account])
            #expect(status.json["Ready"] as? Bool == true && (standing["AgeMilliseconds"] as? Int ?? -1) >= 0)
            #expect(
                try await api.call("FacetService.GetSearchRecord", ["SearchId": Bits128(high: 1, low: 2).text]).error
                    == "ResourceNotFoundException")
            #expect(try await order(api, "ResumeTenant").error == "AccessDeniedException", "who stops does not start")
            #expect(Gauges.text(await api.bench.index.status(), inFlight: 0).contains("facet_suspended_accounts 1\n"))
        }
    }

    @Test func nobodySuspendsForAnother() async throws {
        try await withAPI { api in
            let other = "000000000002"
            #expect(try await order(api, "SuspendTenant", of: other).error == "AccessDeniedException")
            let auditor = api.asked(by: .cluster, roles: [.auditor, .enroller, .searcher])
            #expect(try await order(auditor, "SuspendTenant").error == "AccessDeniedException")
            #expect(try await order(auditor, "ResumeTenant").error == "AccessDeniedException")
            let operators = api.asked(by: .cluster)
            for (tenant, reason) in [
                (other, ""), (other, String(repeating: "a", count: 257)), (other, "a\nb"), ("12", "a"),
            ] {
                let reply = try await operators.call(
                    "FacetService.SuspendTenant", ["Tenant": tenant, "Reason": reason])
                #expect(reply.error == "InvalidParameterException")
            }
            #expect(api.bench.ledger.entries.isEmpty)
            #expect(try await order(operators, "SuspendTenant", of: other).status == 200)
            #expect(try await api.call("RekognitionService.ListCollections", [:]).status == 200, "others go on")
            let seen = try await api.call("FacetService.GetStatus", [:]).json["Standing"] as? [String: Any]
            #expect((seen?["Suspended"] as? [Any])?.isEmpty == true, "an account does not hear of others")
        }
    }

    @Test func aRevokedKeyIsUnknownHereToo() async throws {
        try await withAPI { api in
            let order = StandingOrder(
                .revoke(api.key), of: .embedded, id: SearchID(Bits128(high: 0, low: 0)), time: APIBench.now,
                accessKey: nil, person: nil, reason: "revoked in the registers")
            _ = try await api.bench.ledger.append(
                .order(order), LedgerCall(deadline: .now + .seconds(1), request: RequestID(Bits128(high: 0, low: 1))))
            await api.bench.index.refreshStanding()
            // An operator's, who may ask everything.
            let api = api.asked(by: .cluster)
            for target in Operation.table.keys {
                #expect(try await api.call(target, [:]).error == "UnrecognizedClientException", "\(target)")
            }
        }
    }

    /// A ledger that is silent for longer than a second stops everything but operators' calls.
    @Test func withoutTheLedgersWordNobodyIsAnswered() async throws {
        try await withAPI { api in
            let handler = APIHandler(
                index: api.bench.index,
                keys: OneKey(
                    principal: Principal(tenant: .embedded, accessKey: api.key, person: "Ada", roles: [.admin])),
                region: "eu-test-1", deadline: .milliseconds(100), now: { APIBench.now })
            var hurried = api
            hurried.handler = handler
            #expect(try await hurried.call("RekognitionService.ListCollections", [:]).status == 200)
            api.bench.ledger.fall(silent: "its disk burns")
            // What it said before grows old.
            while try await hurried.call("RekognitionService.ListCollections", [:]).status == 200 {}
            let refused = try await hurried.call("RekognitionService.ListCollections", [:])
            #expect(refused.status == 500 && refused.error == "InternalServerError")
            #expect(refused.message.contains("who is suspended") && refused.message.contains("its disk burns"))
            let status = try await hurried.call("FacetService.GetStatus", [:])
            #expect(status.json["Ready"] as? Bool == false)
            #expect((status.json["Problems"] as? [String])?.contains { $0.contains("its disk burns") } == true)
            api.bench.ledger.fall(silent: nil)
            #expect(try await hurried.call("RekognitionService.ListCollections", [:]).status == 200)
        }
    }
}
