import AsyncHTTPClient
import ClusterModel
import ClusterTransport
import FaceModel
import Foundation
import NIOCore
import NIOSSL

/// The answering process, started and ended by this one.
final class ServerProcess: Sendable {
    let frames: NodeAddress
    let http: NodeAddress
    private let process: Process
    private let input: Pipe

    init(folder: URL) throws {
        let process = Process()
        let (input, output) = (Pipe(), Pipe())
        process.executableURL = URL(filePath: "/proc/self/exe").resolvingSymlinksInPath()
        process.arguments = ["serve", folder.path()]
        process.standardInput = input
        process.standardOutput = output
        try process.run()
        let line = String(decoding: output.fileHandleForReading.availableData, as: UTF8.self)
        let ports = line.split(whereSeparator: \.isWhitespace).compactMap { Int($0) }
        guard ports.count == 2 else { throw CocoaError(.executableLoad) }
        frames = NodeAddress(host: "127.0.0.1", port: ports[0])
        http = NodeAddress(host: "127.0.0.1", port: ports[1])
        self.process = process
        self.input = input
    }

    /// Microseconds of CPU so far.
    func processTime() -> Double { ProcessTime.of(process: process.processIdentifier) }

    func end() {
        try? input.fileHandleForWriting.close()
        process.waitUntilExit()
    }
}

/// Searches with 512 components, 2 KB.
struct FramesClient: Sendable {
    private let connections: NodeConnections
    private let shards: RemoteShards
    private let question = ShardSearch(
        query: RotatedVector(rotated: (0..<512).map { Float($0) / 512 }), limit: 80, minScore: 0, sigmas: 6)

    init(identity: TLSIdentity, address: NodeAddress) {
        connections = NodeConnections(identity: identity) { _ in address }
        shards = RemoteShards(connections)
    }

    func search() async throws {
        guard let node = NodeID("n1") else { preconditionFailure("n1 is a node's name") }
        let call = ShardCall(
            shard: ShardID(Bits128(high: 1, low: 2)), node: node, roots: [.root], deadline: .now + .seconds(30),
            request: RequestID(Bits128(high: 3, low: 4)))
        let answers = try await shards.search([question], call)
        guard answers.first?.candidates.count == 80 else { throw CocoaError(.coderReadCorrupt) }
    }

    func end() { connections.shut() }
}

/// Posts 2 KB, gets 4 KB.
struct HTTPClientUnderTest: Sendable {
    private let client: HTTPClient
    private let url: String
    private let body = ByteBuffer(repeating: 5, count: 2_048)

    init(folder: URL, address: NodeAddress) throws {
        let files = BenchCredentials.files(folder, "c1")
        var tls = TLSConfiguration.makeClientConfiguration()
        tls.minimumTLSVersion = .tlsv13
        tls.trustRoots = .certificates(try NIOSSLCertificate.fromPEMFile(files.ca))
        tls.certificateVerification = .noHostnameVerification
        tls.certificateChain = try NIOSSLCertificate.fromPEMFile(files.certificate).map { .certificate($0) }
        tls.privateKey = .privateKey(try NIOSSLPrivateKey(file: files.key, format: .pem))
        var configuration = HTTPClient.Configuration(tlsConfiguration: tls)
        configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = 64
        client = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
        url = "https://\(address)/"
    }

    func post() async throws {
        var request = HTTPClientRequest(url: url)
        request.method = .POST
        request.body = .bytes(body)
        let response = try await client.execute(request, timeout: .seconds(30))
        let answer = try await response.body.collect(upTo: 1 << 20)
        guard answer.readableBytes == BenchServer.answerBytes else { throw CocoaError(.coderReadCorrupt) }
    }

    func end() async throws { try await client.shutdown() }
}
