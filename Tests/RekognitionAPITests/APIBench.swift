import AccessControl
import FaceModel
import Foundation
import TestBench

@testable import RekognitionAPI

/// One key, known; no other.
struct OneKey: KeyDirectory {
    static let secret = Array("a-secret-of-the-tests".utf8)
    var principal: Principal?

    func lookup(_ key: AccessKeyID) async throws(APIError) -> (principal: Principal, secret: [UInt8])? {
        guard let principal, principal.accessKey == key else { return nil }
        return (principal, Self.secret)
    }

    func isEmpty() async throws(APIError) -> Bool { principal == nil }
}

/// A handler over a whole bench, called as a signed HTTP request would call it.
struct APIBench {
    static let now = Timestamp(milliseconds: 1_763_000_000_000)

    let bench: Bench
    var handler: APIHandler
    let key: AccessKeyID

    init(roles: Set<Role> = [.admin], keyless: Bool = false) async throws {
        bench = try await Bench()
        key = try bench.context.accessKey
        let principal = Principal(tenant: .embedded, accessKey: key, person: "Ada", roles: roles)
        handler = APIHandler(
            index: bench.index, keys: OneKey(principal: keyless ? nil : principal), region: "eu-test-1",
            now: { Self.now })
    }

    /// The same server, asked with a key of another account.
    func asked(by tenant: TenantID, roles: Set<Role> = [.admin]) -> APIBench {
        var other = self
        let principal = Principal(tenant: tenant, accessKey: key, person: "Grace", roles: roles)
        other.handler = APIHandler(
            index: bench.index, keys: OneKey(principal: principal), region: "eu-test-1", now: { Self.now })
        return other
    }

    struct Reply {
        var status: Int
        var headers: [String: String]
        var json: [String: Any]
        var error: String? { json["__type"] as? String }
        var message: String { json["message"] as? String ?? "" }
    }

    func call(
        _ target: String, _ body: [String: Any], signedHeaders: [String: String] = [:],
        unsignedHeaders: [String: String] = [:]
    ) async throws -> Reply {
        try await send(
            target, [UInt8](JSONSerialization.data(withJSONObject: body)), signedHeaders, unsignedHeaders)
    }

    func send(
        _ target: String, _ body: [UInt8], _ signed: [String: String] = [:], _ unsigned: [String: String] = [:]
    ) async throws -> Reply {
        var request = SignedRequest(
            method: "POST", path: "/", query: "",
            headers: [.init("host", "facet.test"), .init("X-Amz-Target", target)], body: body)
        request.headers += signed.map { .init($0.key, $0.value) }
        request.headers += SigV4.sign(
            request, accessKey: key, secret: OneKey.secret, region: "eu-test-1", now: Self.now)
        request.headers += unsigned.map { .init($0.key, $0.value) }
        return try reply(await handler.handle(request))
    }

    func reply(_ response: APIResponse) throws -> Reply {
        let json = try JSONSerialization.jsonObject(with: Data(response.body)) as? [String: Any] ?? [:]
        return Reply(status: response.status, headers: response.headers, json: json)
    }

    static func photo(_ seed: Int) -> [String: Any] {
        ["Bytes": Data(FakeExtractor.image([(seed, 99, 0.3)])).base64EncodedString()]
    }
}
