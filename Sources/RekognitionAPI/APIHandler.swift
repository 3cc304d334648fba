package import AccessControl
import ClusterModel
package import Coordinator
import Crypto
package import FaceModel
import Foundation
import Logging
import Metrics

/// Who may sign, by access key.
package protocol KeyDirectory: Sendable {
    /// Nil for a key that does not exist or is revoked; an error when that cannot be told.
    func lookup(_ key: AccessKeyID) async throws(APIError) -> (principal: Principal, secret: [UInt8])?
    /// True while no key has ever been made: the server then tells how to make one.
    func isEmpty() async throws(APIError) -> Bool
}

/// An HTTP response as the handler decides it, before any server sends it.
package struct APIResponse: Sendable {
    package var status: Int
    package var headers: [String: String]
    package var body: [UInt8]
}

/// Answers one signed request. The order is the contract: authenticate the exact bytes, authorise, then parse.
package struct APIHandler: Sendable {
    private let index: FaceIndex
    private let keys: any KeyDirectory
    private let region: String
    private let now: @Sendable () -> Timestamp
    private let log = Logger(label: "facet.api")

    package init(
        index: FaceIndex, keys: any KeyDirectory, region: String, now: @escaping @Sendable () -> Timestamp
    ) {
        self.index = index
        self.keys = keys
        self.region = region
        self.now = now
    }

    package func handle(_ request: SignedRequest) async -> APIResponse {
        let started = ContinuousClock.now
        let requestID = UUID().uuidString.lowercased()
        let target = request.headers.first { $0.name.lowercased() == "x-amz-target" }?.value ?? ""
        var response: APIResponse
        var caller: Principal?
        do throws(APIError) {
            let (principal, facts) = try await authenticate(request)
            caller = principal
            response = Self.response(try await run(request, target: target, principal: principal, facts: facts))
        } catch {
            response = Self.response(error)
        }
        response.headers["x-amzn-RequestId"] = requestID
        note(response, requestID: requestID, target: target, caller: caller, took: started.duration(to: .now))
        return response
    }

    /// The answer to a body larger than the server reads.
    package func tooLarge() -> APIResponse {
        var response = Self.response(
            APIError(
                .imageTooLarge,
                "Image size is too large. The request has more than \(Limits.requestBytesMax) bytes."))
        response.headers["x-amzn-RequestId"] = UUID().uuidString.lowercased()
        return response
    }

    /// The answer while as many requests run as the server takes at once.
    package func overloaded() -> APIResponse {
        var response = Self.response(
            APIError(.throttling, "Slow down; \(Limits.requestsInFlightMax) requests are being served already."))
        response.headers["x-amzn-RequestId"] = UUID().uuidString.lowercased()
        return response
    }

    private func authenticate(_ request: SignedRequest) async throws(APIError) -> (Principal, HeaderFacts) {
        do throws(AuthError) {
            let claim = try SigV4.parse(request)
            guard let key = try await found(claim.accessKey) else { throw .unrecognizedClient }
            try claim.verify(secret: key.secret, request: request, now: now())
            return (key.principal, HeaderFacts(request, claim: claim))
        } catch {
            guard error == .unrecognizedClient || error == .missingToken, try await keys.isEmpty() else {
                throw APIError(error)
            }
            throw APIError(
                .unrecognizedClient,
                "This server has no access keys yet. Make one with: facectl keys create --person NAME --role admin")
        }
    }

    /// A directory that cannot be read must not look like a wrong key.
    private func found(_ key: AccessKeyID) async throws(AuthError) -> (principal: Principal, secret: [UInt8])? {
        do throws(APIError) {
            return try await keys.lookup(key)
        } catch {
            log.error("access keys cannot be read", metadata: ["reason": "\(error.message)"])
            throw .accessDenied(reason: "Access keys cannot be checked now: \(error.message)")
        }
    }

    private func run(
        _ request: SignedRequest, target: String, principal: Principal, facts: HeaderFacts
    ) async throws(APIError) -> Answer {
        guard let operation = Operation.table[target] else { throw UnknownOperation.error(target) }
        if case .deny(let reason) = Authorization.decide(principal, operation.action) {
            throw APIError(.accessDenied, reason)
        }
        let context = CallContext(
            tenant: principal.tenant, accessKey: principal.accessKey, person: principal.person,
            token: token(of: request, principal), purpose: try purpose(facts))
        let fields = try RequestFields(body: request.body)
        return try await operation.run(Call(index: index, region: region, context: context, fields: fields))
    }

    /// Purpose and the rest must be signed: what stands between client and server could have written them.
    private func purpose(_ facts: HeaderFacts) throws(APIError) -> SearchPurpose {
        SearchPurpose(
            purpose: try text("x-facet-purpose", facts), caseNumber: try text("x-facet-case", facts),
            authority: try text("x-facet-authority", facts), source: try text("x-facet-source", facts))
    }

    private func text(_ name: String, _ facts: HeaderFacts) throws(APIError) -> String? {
        switch facts[name] {
        case .absent: return nil
        case .unsigned: throw APIError(.invalidSignature, "The header \(name) must be covered by the signature.")
        case .signed(let text):
            guard (1...Limits.headerTextBytesMax).contains(text.utf8.count),
                text.unicodeScalars.allSatisfy({ $0.value >= 32 && $0.value != 127 })
            else {
                throw APIError(
                    .invalidParameter,
                    "Request has invalid parameters. The header \(name) must be 1 to \(Limits.headerTextBytesMax) "
                        + "printable characters.")
            }
            return text
        }
    }

    private func token(of request: SignedRequest, _ principal: Principal) -> RequestToken {
        let sent = request.headers.first { $0.name.lowercased() == "amz-sdk-invocation-id" }?.value
        let text = "\(principal.accessKey)/\(sent ?? UUID().uuidString)"
        return RequestToken(Bits128(bigEndian: Array(SHA256.hash(data: Data(text.utf8)))))
    }

    private func note(
        _ response: APIResponse, requestID: String, target: String, caller: Principal?, took: Duration
    ) {
        let operation = Operation.table[target] == nil ? "unknown" : target
        let code = response.headers["x-amzn-ErrorType"] ?? "200"
        Counter(label: "facet_requests_total", dimensions: [("operation", operation), ("code", code)]).increment()
        Timer(label: "facet_request_seconds", dimensions: [("operation", operation)]).record(duration: took)
        log.info(
            "request",
            metadata: [
                "request_id": "\(requestID)", "operation": "\(operation)", "code": "\(code)",
                "milliseconds": "\(took / .milliseconds(1))", "tenant": "\(caller?.tenant.text ?? "-")",
                "access_key": "\(caller?.accessKey.text ?? "-")",
            ])
    }

    private static let contentType = "application/x-amz-json-1.1"

    private static func response(_ answer: Answer) -> APIResponse {
        var headers = answer.headers
        headers["Content-Type"] = contentType
        return APIResponse(status: 200, headers: headers, body: json(answer.json))
    }

    private static func response(_ error: APIError) -> APIResponse {
        var headers = ["Content-Type": contentType, "x-amzn-ErrorType": error.code.rawValue]
        if let seconds = error.retryAfter { headers["Retry-After"] = "\(seconds)" }
        return APIResponse(
            status: error.status, headers: headers,
            body: json(["__type": error.code.rawValue, "message": error.message]))
    }

    static func json(_ object: [String: Any]) -> [UInt8] {
        do {
            return [UInt8](try JSONSerialization.data(withJSONObject: object, options: [.sortedKeys]))
        } catch {
            preconditionFailure("an answer holds only JSON values")
        }
    }
}
