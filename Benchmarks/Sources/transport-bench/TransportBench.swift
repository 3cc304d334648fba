import ClusterModel
import ClusterTransport
import FaceModel
import Foundation

/// What a request of 2 KB and its answer of 4 KB cost between two processes over mutual TLS on the loopback: a search
/// over the node-to-node wire, and the same bytes as HTTP bodies.
///
///     transport-bench [seconds a measurement] [measurement ...]
@main
enum TransportBench {
    static func main() async throws {
        let arguments = Array(CommandLine.arguments.dropFirst())
        if arguments.first == "serve", arguments.count == 2 {
            try await BenchServer.run(folder: arguments[1])
        } else {
            try await drive(seconds: arguments.first.flatMap(Double.init) ?? 5, only: Array(arguments.dropFirst()))
        }
    }

    private static func drive(seconds: Double, only: [String]) async throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "transport-bench-\(getpid())")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let credentials = try BenchCredentials.make(in: folder)
        let server = try ServerProcess(folder: folder)
        defer { server.end() }
        let load = try String(contentsOfFile: "/proc/loadavg", encoding: .utf8).split(separator: " ").prefix(3)
        print("load before: \(load.joined(separator: " ")), \(ProcessInfo.processInfo.activeProcessorCount) cores")
        print("2 KB request, 4 KB answer, TLS 1.3, both ends prove themselves, two processes, \(seconds) s each")
        print("| | in flight | requests/s | p50 us | p99 us | CPU us asker | CPU us node |")
        print("|---|---|---|---|---|---|---|")
        let floor = try Floor.run(seconds: seconds)
        let figures = [floor.percentile(0.5), floor.percentile(0.99)].joined(separator: " | ")
        print(
            "| floor: bare TCP, no TLS | 1 | \(Int(Double(floor.latencies.count) / floor.seconds)) | \(figures) | | |")
        let frames = FramesClient(identity: credentials.coordinator, address: server.frames)
        let http = try HTTPClientUnderTest(folder: folder, address: server.http)
        for inFlight in [1, 8, 32] {
            try await measure("frames, search", only, inFlight, seconds, server) { try await frames.search() }
            try await measure("Hummingbird, raw bodies", only, inFlight, seconds, server) { try await http.post() }
        }
        frames.end()
        try await http.end()
    }

    private static func measure(
        _ name: String, _ only: [String], _ inFlight: Int, _ seconds: Double, _ server: ServerProcess,
        _ request: @escaping @Sendable () async throws -> Void
    ) async throws {
        guard only.isEmpty || only.contains(where: { name.contains($0) }) else { return }
        _ = try await Measurement.run(inFlight: inFlight, seconds: 1, request)
        let before = (asker: ProcessTime.own(), node: server.processTime())
        let result = try await Measurement.run(inFlight: inFlight, seconds: seconds, request)
        let count = Double(result.latencies.count)
        let asker = (ProcessTime.own() - before.asker) / count
        let node = (server.processTime() - before.node) / count
        let figures = [
            String(inFlight), String(Int(count / result.seconds)), result.percentile(0.5), result.percentile(0.99),
            String(format: "%.1f", asker), String(format: "%.1f", node),
        ]
        print("| \(name) | \(figures.joined(separator: " | ")) |")
    }
}
