import AccessControl
package import Coordinator
import FaceModel
import Foundation
import HTTPTypes
package import Hummingbird
package import Logging
import Synchronization
package import Telemetry

/// The HTTP surface: `POST /` for operations, `/livez`, `/readyz` and `/metrics` for those who watch.
package struct APIServer: Sendable {
    private let handler: APIHandler
    private let index: FaceIndex
    private let metrics: MetricsRegistry
    private let deadline: Duration
    private let inFlight = InFlight()

    /// `deadline` is for the whole of a request: its bytes, its work, its answer.
    package init(
        handler: APIHandler, index: FaceIndex, metrics: MetricsRegistry,
        deadline: Duration = .seconds(Limits.requestDeadlineSeconds)
    ) {
        self.handler = handler
        self.index = index
        self.metrics = metrics
        self.deadline = deadline
    }

    /// A service that listens until it is told to stop; `ready` is called once it does.
    package func application(
        host: String, port: Int, logger: Logger, ready: @escaping @Sendable () -> Void
    ) -> some ApplicationProtocol {
        Application(
            responder: CallbackResponder<BasicRequestContext> { request, _ in await respond(to: request) },
            server: .http1(configuration: .init(idleTimeout: .seconds(Int64(2 * Limits.requestDeadlineSeconds)))),
            configuration: ApplicationConfiguration(address: .hostname(host, port: port), serverName: "facet"),
            onServerRunning: { _ in ready() }, logger: logger)
    }

    func respond(to request: Request) async -> Response {
        switch (request.method, request.uri.path) {
        case (.post, "/"): return Self.response(await operation(request))
        case (.get, "/livez"): return Self.text("ok\n")
        case (.get, "/readyz"): return await readiness()
        case (.get, "/metrics"):
            return Self.text(metrics.text + Gauges.text(await index.status(), inFlight: inFlight.now))
        default: return Self.text("Facet answers POST / and GET /livez, /readyz, /metrics.\n", status: .notFound)
        }
    }

    /// The answer, or a refusal when it takes longer than `deadline`: the request is then cancelled. An answer that
    /// comes all the same is given, since what it says is true.
    private func operation(_ request: Request) async -> APIResponse {
        guard inFlight.enter() else {
            return handler.refusal(
                APIError(.throttling, "Slow down; \(Limits.requestsInFlightMax) requests are being served already."))
        }
        defer { inFlight.leave() }
        return await withTaskGroup(of: APIResponse?.self) { group in
            group.addTask { await served(request) }
            group.addTask {
                // Ends early only by being cancelled, and then nobody looks at what it returns.
                try? await Task.sleep(for: deadline)
                return nil
            }
            var late = false
            while let finished = await group.next() {
                group.cancelAll()
                if let response = finished { return late && response.status != 200 ? tooLate() : response }
                late = true
            }
            preconditionFailure("a request ended without an answer")
        }
    }

    private func served(_ request: Request) async -> APIResponse {
        await handler.handle(Self.head(of: request)) { () async throws(APIError) in try await Self.body(of: request) }
    }

    private func tooLate() -> APIResponse {
        handler.refusal(
            APIError(
                .internal,
                "Internal server error: the request took longer than \(deadline / .seconds(1)) s. A write may have "
                    + "happened; the same request again does no harm."))
    }

    /// The exact bytes. What is too much is read to its end and dropped, because a client that is still sending does
    /// not see an answer.
    private static func body(of request: Request) async throws(APIError) -> [UInt8] {
        var bytes: [UInt8] = []
        var dropped = false
        do {
            for try await buffer in request.body {
                dropped = dropped || bytes.count + buffer.readableBytes > Limits.requestBytesMax
                if dropped { bytes = [] } else { bytes.append(contentsOf: buffer.readableBytesView) }
            }
        } catch {
            throw APIError(.incompleteSignature, "The request ended before its body did.")
        }
        guard !dropped else {
            throw APIError(
                .imageTooLarge, "Image size is too large. The request has more than \(Limits.requestBytesMax) bytes.")
        }
        return bytes
    }

    private static func head(of request: Request) -> SignedRequest {
        var headers = request.headers.map { SignedRequest.Header($0.name.rawName, $0.value) }
        if let authority = request.head.authority { headers.append(SignedRequest.Header("host", authority)) }
        let target = request.head.path ?? "/"
        let parts = target.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        return SignedRequest(
            method: request.method.rawValue, path: parts.first.map(String.init) ?? "/",
            query: parts.count > 1 ? String(parts[1]) : "", headers: headers, body: [])
    }

    private func readiness() async -> Response {
        let status = await index.status()
        let body = JSONWriter.bytes(Shapes.readiness(status))
        return Self.response(
            APIResponse(
                status: status.complete ? 200 : 503, headers: ["Content-Type": "application/json"],
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

    var now: Int { count.load(ordering: .relaxed) }

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
