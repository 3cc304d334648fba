import HTTPTypes
package import Hummingbird
package import Logging

/// Plain HTTP for those who watch a process: `/livez`, `/readyz`, `/metrics`. It answers nothing else and needs no key.
package struct MonitorServer: Sendable {
    /// What keeps the process from doing all it should, by kind and count, never by name: strangers may read it.
    package typealias Problems = @Sendable () async -> [String]

    private let metrics: MetricsRegistry
    private let gauges: @Sendable () async -> String
    private let problems: Problems

    /// `gauges` is Prometheus text of what is read at the time of the scrape.
    package init(
        metrics: MetricsRegistry, gauges: @escaping @Sendable () async -> String, problems: @escaping Problems
    ) {
        self.metrics = metrics
        self.gauges = gauges
        self.problems = problems
    }

    /// A service that listens until it is told to stop.
    package func application(host: String, port: Int, logger: Logger) -> some ApplicationProtocol {
        Application(
            responder: CallbackResponder<BasicRequestContext> { request, _ in await respond(to: request) },
            configuration: ApplicationConfiguration(address: .hostname(host, port: port), serverName: "facet"),
            logger: logger)
    }

    private func respond(to request: Request) async -> Response {
        switch (request.method, request.uri.path) {
        case (.get, "/livez"): return Self.text("ok\n", .ok)
        case (.get, "/readyz"):
            let problems = await problems()
            return Self.text(
                problems.isEmpty ? "ok\n" : problems.joined(separator: "\n") + "\n",
                problems.isEmpty ? .ok : .serviceUnavailable)
        case (.get, "/metrics"): return Self.text(metrics.text + (await gauges()), .ok)
        default: return Self.text("Only GET /livez, /readyz and /metrics are answered here.\n", .notFound)
        }
    }

    private static func text(_ text: String, _ status: HTTPResponse.Status) -> Response {
        Response(
            status: status, headers: [.contentType: "text/plain; charset=utf-8"],
            body: .init(byteBuffer: ByteBuffer(string: text)))
    }
}
