import AccessControl
import ArgumentParser
import AsyncHTTPClient
import FaceModel
import Foundation

/// Where the server is and who asks.
struct ServerOptions: ParsableArguments {
    @Option(help: "The server's address. Default: FACET_ENDPOINT, or http://127.0.0.1:8900.")
    var endpoint: String?

    func connect() throws -> ServerConnection {
        let environment = ProcessInfo.processInfo.environment
        guard let id = environment["AWS_ACCESS_KEY_ID"], let secret = environment["AWS_SECRET_ACCESS_KEY"] else {
            throw Failure(
                text: "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set; 'facectl keys create' makes a key")
        }
        guard let accessKey = AccessKeyID(id) else { throw Failure(text: "AWS_ACCESS_KEY_ID '\(id)' is no access key") }
        let address = endpoint ?? environment["FACET_ENDPOINT"] ?? "http://127.0.0.1:8900"
        guard let url = URL(string: address), let host = url.host, ["http", "https"].contains(url.scheme) else {
            throw Failure(text: "the endpoint '\(address)' is not an http:// or https:// address")
        }
        return ServerConnection(
            address: address.hasSuffix("/") ? String(address.dropLast()) : address,
            host: (host.contains(":") ? "[\(host)]" : host) + (url.port.map { ":\($0)" } ?? ""),
            accessKey: accessKey, secret: Array(secret.utf8),
            region: environment["AWS_REGION"] ?? environment["AWS_DEFAULT_REGION"] ?? "us-east-1")
    }
}

/// Signed calls to one server.
struct ServerConnection: Sendable {
    var address: String
    var host: String
    var accessKey: AccessKeyID
    var secret: [UInt8]
    var region: String

    /// A server that is not there is said at once, not after a minute of trying. Lives as long as the process.
    private static let client: HTTPClient = {
        var configuration = HTTPClient.Configuration()
        configuration.connectionPool.retryConnectionEstablishment = false
        return HTTPClient(configuration: configuration)
    }()

    struct Reply: Sendable {
        // Safe to send: parsed JSON that nothing changes.
        nonisolated(unsafe) var json: [String: Any]
        var headers: [String: String]
    }

    /// What the server answered instead of a result.
    struct Refusal: Error {
        var code: String
        var message: String
    }

    /// One operation; a refusal of the server's becomes a `Failure` with its sentence.
    func call(
        _ target: String, _ body: [String: Any], headers: [String: String] = [:]
    ) async throws -> Reply {
        do {
            return try await send(target, JSONSerialization.data(withJSONObject: body), headers: headers)
        } catch let refusal as Refusal {
            throw Failure(text: "\(refusal.code): \(refusal.message)")
        }
    }

    /// Like `call`, with the body ready made and the server's refusal thrown as it is.
    func send(_ target: String, _ body: Data, headers: [String: String] = [:]) async throws -> Reply {
        var request = HTTPClientRequest(url: address + "/")
        request.method = .POST
        for header in signed(target, [UInt8](body), headers) {
            request.headers.add(name: header.name, value: header.value)
        }
        request.body = .bytes(body)
        let response: HTTPClientResponse
        let bytes: [UInt8]
        do {
            response = try await Self.client.execute(request, timeout: .seconds(120))
            bytes = Array(try await response.body.collect(upTo: 256 << 20).readableBytesView)
        } catch {
            throw Failure(text: "no answer from \(address): \(error); is the server running?")
        }
        let json = (try? JSONSerialization.jsonObject(with: Data(bytes))) as? [String: Any] ?? [:]
        guard response.status == .ok else {
            throw Refusal(
                code: json["__type"] as? String ?? "HTTP \(response.status.code)",
                message: json["message"] as? String ?? "no reason given")
        }
        return Reply(
            json: json,
            headers: Dictionary(response.headers.map { ($0.name.lowercased(), $0.value) }) { first, _ in first })
    }

    private func signed(_ target: String, _ body: [UInt8], _ more: [String: String]) -> [SignedRequest.Header] {
        var headers = [
            SignedRequest.Header("host", host), SignedRequest.Header("X-Amz-Target", target),
            SignedRequest.Header("Content-Type", "application/x-amz-json-1.1"),
        ]
        headers += more.sorted { $0.key < $1.key }.map { SignedRequest.Header($0.key, $0.value) }
        let request = SignedRequest(method: "POST", path: "/", query: "", headers: headers, body: body)
        let now = Timestamp(milliseconds: Int64(Date().timeIntervalSince1970 * 1_000))
        return headers + SigV4.sign(request, accessKey: accessKey, secret: secret, region: region, now: now)
    }
}

/// Reads a JSON answer without a crash where a member is missing.
struct Document {
    let members: [String: Any]
    init(_ value: Any?) { members = value as? [String: Any] ?? [:] }

    func text(_ name: String) -> String? { members[name] as? String }
    func number(_ name: String) -> Double? { (members[name] as? NSNumber)?.doubleValue }
    func integer(_ name: String) -> Int? { (members[name] as? NSNumber)?.intValue }
    func flag(_ name: String) -> Bool { (members[name] as? NSNumber)?.boolValue ?? false }
    func document(_ name: String) -> Document { Document(members[name]) }
    func documents(_ name: String) -> [Document] { (members[name] as? [Any] ?? []).map(Document.init) }
    func texts(_ name: String) -> [String] { members[name] as? [String] ?? [] }
    func has(_ name: String) -> Bool { members[name] != nil }
}
