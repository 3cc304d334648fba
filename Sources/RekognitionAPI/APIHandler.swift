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
    private let deadline: Duration
    private let now: @Sendable () -> Timestamp
    private let log = Logger(label: "facet.api")

    /// `deadline` is what the work for a request may take; shards and ledger stop then.
    package init(
        index: FaceIndex, keys: any KeyDirectory, region: String,
        deadline: Duration = .seconds(Limits.requestDeadlineSeconds), now: @escaping @Sendable () -> Timestamp
    ) {
        self.index = index
        self.keys = keys
        self.region = region
        self.deadline = deadline
        self.now = now
    }

    package func handle(_ request: SignedRequest) async -> APIResponse {
        await handle(request) { () throws(APIError) in request.body }
    }

    /// `head` is a request whose body is not read yet: `body` reads it once the access key is known to exist, so that
    /// strangers cannot make the server hold their bytes.
    package func handle(
        _ head: SignedRequest, body: @Sendable () async throws(APIError) -> [UInt8]
    ) async -> APIResponse {
        let (started, id) = (ContinuousClock.now, Self.requestID())
        let target = head.headers.first { $0.name.lowercased() == "x-amz-target" }?.value ?? ""
        var response: APIResponse
        var caller: Principal?
        do throws(APIError) {
            let (claim, key) = try await claimant(of: head)
            var request = head
            request.body = try await body()
            let bodyHash = try verify(request, claim: claim, secret: key.secret)
            caller = key.principal
            let facts = HeaderFacts(request, claim: claim)
            let token = token(of: request, bodyHash: bodyHash, key.principal)
            let context = try context(key.principal, facts, token: token, id: id, started: started)
            let mode = try ModeMembers(facts)
            response = Self.response(try await run(request, target: target, key.principal, context, mode))
        } catch {
            response = Self.response(error)
        }
        return noted(response, id: id, target: target, caller: caller, took: started.duration(to: .now))
    }

    /// The answer to a request that was not looked at further.
    package func refusal(_ error: APIError) -> APIResponse {
        noted(Self.response(error), id: Self.requestID(), target: "", caller: nil, took: .zero)
    }

    /// Who the request says it is from, and the key that must prove it.
    private func claimant(
        of head: SignedRequest
    ) async throws(APIError) -> (SigV4.Claim, (principal: Principal, secret: [UInt8])) {
        let claim: SigV4.Claim
        do throws(AuthError) {
            claim = try SigV4.parse(head)
        } catch {
            throw try await explained(error)
        }
        guard let key = try await found(claim.accessKey) else { throw try await explained(.unrecognizedClient) }
        return (claim, key)
    }

    /// While there is no key at all, whoever comes is told how to make one.
    private func explained(_ error: AuthError) async throws(APIError) -> APIError {
        guard error == .unrecognizedClient || error == .missingToken, try await keys.isEmpty() else {
            return APIError(error)
        }
        return APIError(
            .unrecognizedClient,
            "This server has no access keys yet. Make one with: facectl keys create --person NAME --role admin")
    }

    /// A directory that cannot be read must not look like a wrong key, and strangers are not told why it cannot.
    private func found(_ key: AccessKeyID) async throws(APIError) -> (principal: Principal, secret: [UInt8])? {
        do throws(APIError) {
            return try await keys.lookup(key)
        } catch {
            log.error("access keys cannot be read", metadata: ["reason": "\(error.message)"])
            throw APIError(.internal, "Internal server error: access keys cannot be checked now.")
        }
    }

    /// Returns the body's hash.
    private func verify(
        _ request: SignedRequest, claim: SigV4.Claim, secret: [UInt8]
    ) throws(APIError) -> String {
        do throws(AuthError) {
            return try claim.verify(secret: secret, request: request, now: now())
        } catch {
            throw APIError(error)
        }
    }

    private func run(
        _ request: SignedRequest, target: String, _ principal: Principal, _ context: CallContext, _ mode: ModeMembers
    ) async throws(APIError) -> Answer {
        guard let operation = Operation.table[target] else { throw UnknownOperation.error(target) }
        if case .deny(let reason) = Authorization.decide(principal, operation.action) {
            throw APIError(.accessDenied, reason)
        }
        let fields = try RequestFields(body: request.body)
        let call = Call(index: index, region: region, context: context, mode: mode, fields: fields)
        // Again behind the work: no answer leaves for an account that was suspended meanwhile.
        try await requireStanding(for: operation, call)
        var answer = try await operation.run(call)
        answer.headers[ConsistencyHeaders.session] = context.session.token?.text
        try await requireStanding(for: operation, call)
        return answer
    }

    private func requireStanding(for operation: Operation, _ call: Call) async throws(APIError) {
        try await call.index { (index) throws(CoordinatorError) in
            if operation.action.isOfOperators {
                try index.requireKey(in: call.context)
            } else {
                try await index.requireStanding(in: call.context)
            }
        }
    }

    private func context(
        _ principal: Principal, _ facts: HeaderFacts, token: RequestToken, id: RequestID,
        started: ContinuousClock.Instant
    ) throws(APIError) -> CallContext {
        CallContext(
            tenant: principal.tenant, accessKey: principal.accessKey, person: principal.person,
            token: token, purpose: try purpose(facts), request: id,
            deadline: started + deadline, allowsPartial: try allowsPartial(facts),
            session: try ConsistencyHeaders.session(facts))
    }

    private func allowsPartial(_ facts: HeaderFacts) throws(APIError) -> Bool {
        switch facts["x-facet-partial"].text {
        case nil: return false
        case "allow": return true
        default:
            throw APIError(
                .invalidParameter,
                "Request has invalid parameters. The header x-facet-partial must be 'allow', or not be there.")
        }
    }

    /// Purpose and the rest must be signed: what stands between client and server could have written them.
    private func purpose(_ facts: HeaderFacts) throws(APIError) -> SearchPurpose {
        if let name = facts.unsigned.first {
            throw APIError(.invalidSignature, "The header \(name.prefix(64)) must be covered by the signature.")
        }
        return SearchPurpose(
            purpose: try text("x-facet-purpose", facts), caseNumber: try text("x-facet-case", facts),
            authority: try text("x-facet-authority", facts), source: try text("x-facet-source", facts))
    }

    private func text(_ name: String, _ facts: HeaderFacts) throws(APIError) -> String? {
        guard let text = facts[name].text else { return nil }
        guard (1...Limits.headerTextBytesMax).contains(text.utf8.count),
            text.unicodeScalars.allSatisfy({ $0.value >= 32 && $0.value != 127 })
        else {
            throw APIError(
                .invalidParameter,
                "Request has invalid parameters. The header \(name) must be 1 to \(Limits.headerTextBytesMax) printable "
                    + "characters.")
        }
        return text
    }

    /// Equal for a request that a client's SDK repeats because the answer was lost, and different for all others.
    private func token(of request: SignedRequest, bodyHash: String, _ principal: Principal) -> RequestToken {
        let sent = request.headers.first { $0.name.lowercased() == "amz-sdk-invocation-id" }?.value
        let text = "\(principal.accessKey)/\(sent ?? UUID().uuidString)/\(bodyHash)"
        return RequestToken(Bits128(bigEndian: Array(SHA256.hash(data: Data(text.utf8)))))
    }

    /// Gives the answer its id, counts it and logs it; never what stood in the request.
    private func noted(
        _ answer: APIResponse, id: RequestID, target: String, caller: Principal?, took: Duration
    ) -> APIResponse {
        var response = answer
        response.headers["x-amzn-RequestId"] = id.description
        let operation = Operation.table[target] == nil ? "unknown" : target
        let code = response.headers["x-amzn-ErrorType"] ?? "200"
        Counter(label: "facet_requests_total", dimensions: [("operation", operation), ("code", code)]).increment()
        Timer(label: "facet_request_seconds", dimensions: [("operation", operation)]).record(duration: took)
        log.info(
            "request",
            metadata: [
                "request": "\(id)", "operation": "\(operation)", "code": "\(code)",
                "milliseconds": "\(took / .milliseconds(1))", "tenant": "\(caller?.tenant.text ?? "-")",
                "access_key": "\(caller?.accessKey.text ?? "-")",
            ])
        return response
    }

    private static func requestID() -> RequestID {
        var generator = SystemRandomNumberGenerator()
        return RequestID(.random(using: &generator).stamped(version: 4))
    }

    private static let contentType = "application/x-amz-json-1.1"

    private static func response(_ answer: Answer) -> APIResponse {
        var headers = answer.headers
        headers["Content-Type"] = contentType
        return APIResponse(status: 200, headers: headers, body: JSONWriter.bytes(answer.json))
    }

    private static func response(_ error: APIError) -> APIResponse {
        var headers = ["Content-Type": contentType, "x-amzn-ErrorType": error.code.rawValue]
        if let seconds = error.retryAfter { headers["Retry-After"] = "\(seconds)" }
        return APIResponse(
            status: error.status, headers: headers,
            body: JSONWriter.bytes(["__type": .text(error.code.rawValue), "message": .text(error.message)]))
    }
}
