import AccessControl
package import Coordinator
import FaceModel
import Foundation
import HTTPTypes
package import Hummingbird
package import Logging
import Synchronization

/// The HTTP surface: `POST /` for operations, `/livez`, `/readyz` and `/metrics` for those who watch.
package struct APIServer: Sendable {
    private let handler: APIHandler
    private let index: FaceIndex
    private let metrics: MetricsRegistry
    private let inFlight = InFlight()

    package init(handler: APIHandler, index: FaceIndex, metrics: MetricsRegistry) {
        self.handler = handler
        self.index = index
        self.metrics = metrics
    }

    /// A service that listens until it is told to stop; `ready` is called once it does.
    package func application(
        host: String, port: Int, logger: Logger, ready: @escaping @Sendable () -> Void
    ) -> some ApplicationProtocol {
        Application(
            responder: CallbackResponder<BasicRequestContext> { request, _ in await respond(to: request) },
            configuration: ApplicationConfiguration(address: .hostname(host, port: port), serverName: "facet"),
            onServerRunning: { _ in ready() }, logger: logger)
    }

    private func respond(to request: Request) async -> Response {
        switch (request.method, request.uri.path) {
        case (.post, "/"): return Self.response(await operation(request))
        case (.get, "/livez"): return Self.text("ok\n")
        case (.get, "/readyz"): return await readiness()
        case (.get, "/metrics"): return Self.text(metrics.text)
        default: return Self.text("Facet answers POST / and GET /livez, /readyz, /metrics.\n", status: .notFound)
        }
    }

    private func operation(_ request: Request) async -> APIResponse {
        guard inFlight.enter() else { return handler.overloaded() }
        defer { inFlight.leave() }
        guard let body = await Self.body(of: request) else { return handler.tooLarge() }
        return await handler.handle(Self.signed(request, body: body))
    }

    /// The exact bytes; nil when there are more than the server reads. The rest is read and dropped, because a client
    /// that is still sending does not see an answer.
    private static func body(of request: Request) async -> [UInt8]? {
        var bytes: [UInt8] = []
        var dropped = false
        do {
            for try await buffer in request.body {
                guard !dropped, bytes.count + buffer.readableBytes <= Limits.requestBytesMax else {
                    dropped = true
                    bytes = []
                    continue
                }
                bytes.append(contentsOf: buffer.readableBytesView)
            }
        } catch {
            return bytes
        }
        return dropped ? nil : bytes
    }

    private static func signed(_ request: Request, body: [UInt8]) -> SignedRequest {
        var headers = request.headers.map { SignedRequest.Header($0.name.rawName, $0.value) }
        if let authority = request.head.authority { headers.append(SignedRequest.Header("host", authority)) }
        let target = request.head.path ?? "/"
        let parts = target.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        return SignedRequest(
            method: request.method.rawValue, path: parts.first.map(String.init) ?? "/",
            query: parts.count > 1 ? String(parts[1]) : "", headers: headers, body: body)
    }

    private func readiness() async -> Response {
        let status = await index.status()
        let body = APIHandler.json(["ready": status.ready, "problems": status.problems])
        return Self.response(
            APIResponse(
                status: status.ready ? 200 : 503, headers: ["Content-Type": "application/json"],
                body: body + [UInt8(ascii: "\n")]))
    }

    private static func response(_ response: APIResponse) -> Response {
        var headers = HTTPFields()
        for (name, value) in response.headers.sorted(by: { $0.key < $1.key }) {
            if let field = HTTPField.Name(name) { headers[field] = value }
        }
        return Response(
            status: .init(code: response.status), headers: headers,
            body: .init(byteBuffer: ByteBuffer(bytes: response.body)))
    }

    private static func text(_ text: String, status: HTTPResponse.Status = .ok) -> Response {
        Response(
            status: status, headers: [.contentType: "text/plain; charset=utf-8"],
            body: .init(byteBuffer: ByteBuffer(string: text)))
    }
}

/// Counts the requests being served, up to `Limits.requestsInFlightMax`.
private final class InFlight: Sendable {
    private let count = Atomic(0)

    func enter() -> Bool {
        let before = count.wrappingAdd(1, ordering: .relaxed).oldValue
        guard before < Limits.requestsInFlightMax else {
            leave()
            return false
        }
        return true
    }

    func leave() { count.wrappingSubtract(1, ordering: .relaxed) }
}
