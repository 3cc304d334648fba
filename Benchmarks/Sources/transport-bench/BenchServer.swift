import ClusterModel
import ClusterTransport
import FaceModel
import Foundation
import Hummingbird
import HummingbirdTLS
import Logging
import NIOCore
import NIOSSL

/// The process that answers; prints its two ports and serves until its input ends.
enum BenchServer {
    static let answerBytes = 4_096

    static func run(folder: String) async throws {
        let folder = URL(filePath: folder)
        let now = Timestamp(milliseconds: Int64(Date().timeIntervalSince1970 * 1_000))
        LoggingSystem.bootstrap { _ in SwiftLogNoOpLogHandler() }
        let server = NodeServer(
            shards: BenchShards(), ledger: nil,
            identity: try TLSIdentity(BenchCredentials.files(folder, "n1"), now: now))
        let frames = try await server.start(at: NodeAddress(host: "127.0.0.1", port: 0))
        let (ports, port) = AsyncStream<Int>.makeStream()
        let http = Task { try await serveHTTP(folder) { port.yield($0) } }
        var iterator = ports.makeAsyncIterator()
        guard let httpPort = await iterator.next() else { return }
        FileHandle.standardOutput.write(Data("\(frames.port) \(httpPort)\n".utf8))
        _ = await Task.detached { FileHandle.standardInput.readDataToEndOfFile() }.value
        http.cancel()
        await server.stop(grace: .seconds(1))
    }

    private static func serveHTTP(_ folder: URL, _ listening: @escaping @Sendable (Int) -> Void) async throws {
        let answer = ByteBuffer(repeating: 7, count: answerBytes)
        let router = Router()
        router.post("/") { request, _ in
            _ = try await request.body.collect(upTo: 1 << 20)
            return Response(status: .ok, body: ResponseBody(byteBuffer: answer))
        }
        let files = BenchCredentials.files(folder, "n1")
        var tls = TLSConfiguration.makeServerConfigurationWithMTLS(
            certificateChain: try NIOSSLCertificate.fromPEMFile(files.certificate).map { .certificate($0) },
            privateKey: .privateKey(try NIOSSLPrivateKey(file: files.key, format: .pem)),
            trustRoots: .certificates(try NIOSSLCertificate.fromPEMFile(files.ca)))
        tls.minimumTLSVersion = .tlsv13
        let application = Application(
            router: router, server: try .tls(.http1(), tlsConfiguration: tls),
            configuration: .init(address: .hostname("127.0.0.1", port: 0)),
            onServerRunning: { listening($0.localAddress?.port ?? 0) },
            logger: Logger(label: "none", factory: { _ in SwiftLogNoOpLogHandler() }))
        try await application.run()
    }
}

/// Answers every search with the same 80 candidates: 4 KB.
private final class BenchShards: ShardService {
    private let answer: ShardSearchAnswer

    init() {
        let candidates = (0..<80).map { index in
            ShardCandidate(
                score: 1 - Float(index) / 100,
                face: StoredFace(
                    id: FaceID(Bits128(high: 1, low: UInt64(index))),
                    externalImageID: ExternalImageID("photo-2026-000000000000-\(1_000 + index)"),
                    record: FaceRecord(imageID: nil, detail: nil)))
        }
        answer = ShardSearchAnswer(
            candidates: candidates, facesScored: 1_000_000, buckets: 1, at: .zero, tree: .zero)
    }

    func search(_ searches: [ShardSearch], _ call: ShardCall) async throws(ShardError) -> [ShardSearchAnswer] {
        searches.map { _ in answer }
    }
    func buckets(after: LeafID?, limit: Int, _ call: ShardCall) async throws(ShardError) -> BucketPage {
        BucketPage(tree: .zero, buckets: [], more: false)
    }
    func sample(_ request: SampleRequest, _ call: ShardCall) async throws(ShardError) -> [SampledFace] { [] }

    func open(_ descriptor: ShardDescriptor, _ mode: OpenMode, _ call: ShardCall) async throws(ShardError) {}
    func drop(_ call: ShardCall) async throws(ShardError) {}
    func retire(_ replica: ReplicaID, _ call: ShardCall) async throws(ShardError) {}
    func split(_ step: SplitStep, _ call: ShardCall) async throws(ShardError) -> SplitProgress {
        throw .unknownShard(call.shard)
    }
    func enrol(_ faces: [NewFace], _ call: ShardCall) async throws(ShardError) -> EnrolOutcome {
        throw .unknownShard(call.shard)
    }
    func delete(
        _ faces: [FaceID], token: RequestToken, _ call: ShardCall
    ) async throws(ShardError) -> DeleteOutcome {
        throw .unknownShard(call.shard)
    }
    func faces(_ ids: [FaceID], _ call: ShardCall) async throws(ShardError) -> FacePage {
        FacePage(faces: [], more: false, at: .zero)
    }
    func vector(_ id: FaceID, _ call: ShardCall) async throws(ShardError) -> RotatedVector? { nil }
    func list(after: FaceID?, limit: Int, _ call: ShardCall) async throws(ShardError) -> FacePage {
        FacePage(faces: [], more: false, at: .zero)
    }
    func statistics(_ call: ShardCall) async throws(ShardError) -> ShardStatistics {
        throw .unknownShard(call.shard)
    }
    func statistics(
        ofNode node: NodeID, deadline: ContinuousClock.Instant
    ) async throws(NodeError) -> NodeStatistics {
        throw NodeError(node: node, reason: "a benchmark")
    }
    func copies(
        ofNode node: NodeID, of shard: ShardID?, deadline: ContinuousClock.Instant
    ) async throws(NodeError) -> [HeldCopy] { [] }
}
