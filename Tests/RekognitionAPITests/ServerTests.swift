import AccessControl
import FaceModel
import Hummingbird
import Synchronization
import Telemetry
import TestBench
import Testing

@testable import RekognitionAPI

/// The server between the socket and the handler: bodies, deadlines, what is told to those who watch.
@Suite struct ServerTests {
    private func withServer(
        deadline: Duration = .seconds(60), _ body: (APIServer, APIBench) async throws -> Void
    ) async throws {
        let api = try await APIBench()
        let server = APIServer(
            handler: api.handler, index: api.bench.index, metrics: MetricsRegistry(), deadline: deadline)
        try await body(server, api)
        await api.bench.close()
    }

    private func request(
        _ api: APIBench, signing bytes: [UInt8], body: RequestBody, unsigned: Bool = false
    ) throws -> Request {
        var signed = SignedRequest(
            method: "POST", path: "/", query: "",
            headers: [.init("host", "facet.test"), .init("X-Amz-Target", "RekognitionService.ListCollections")],
            body: bytes)
        if !unsigned {
            signed.headers += SigV4.sign(
                signed, accessKey: api.key, secret: OneKey.secret, region: "eu-test-1", now: APIBench.now)
        }
        var fields = HTTPFields()
        for header in signed.headers where header.name != "host" {
            fields.append(.init(name: try #require(.init(header.name)), value: header.value))
        }
        return Request(
            head: .init(method: .post, scheme: "http", authority: "facet.test", path: "/", headerFields: fields),
            body: body)
    }

    private func error(_ response: Response) throws -> String? {
        response.headers[try #require(.init("x-amzn-ErrorType"))]
    }

    @Test func aBodyInPiecesIsPutTogether() async throws {
        try await withServer { server, api in
            let bytes = Array(#"{"MaxResults": 10}"#.utf8)
            let pieces = bytes.map { ByteBuffer(bytes: [$0]) }
            let response = await server.respond(
                to: try request(api, signing: bytes, body: RequestBody(asyncSequence: pieces.async)))
            #expect(response.status == .ok)
        }
    }

    @Test func aBodyOverTheLimitIsReadToItsEndAndRefused() async throws {
        try await withServer { server, api in
            let source = Pieces(size: 1 << 20, count: Limits.requestBytesMax >> 20 + 2)
            let response = await server.respond(
                to: try request(api, signing: [], body: RequestBody(asyncSequence: source)))
            #expect(try error(response) == "ImageTooLargeException" && response.status == .badRequest)
            #expect(source.given.load() == source.count)
        }
    }

    @Test func nothingIsReadFromWhoHasNoKey() async throws {
        try await withServer { server, api in
            let source = Pieces(size: 1_000, count: 3)
            let response = await server.respond(
                to: try request(api, signing: [], body: RequestBody(asyncSequence: source), unsigned: true))
            #expect(try error(response) == "MissingAuthenticationTokenException")
            #expect(source.given.load() == 0)
        }
    }

    @Test func aClientThatNeverFinishesGivesItsPlaceUp() async throws {
        try await withServer(deadline: .milliseconds(50)) { server, api in
            let never = AsyncStream<ByteBuffer>(unfolding: {
                try? await Task.sleep(for: .seconds(3_600))
                return nil
            })
            let response = await server.respond(
                to: try request(api, signing: [1], body: RequestBody(asyncSequence: never)))
            #expect(try error(response) == "InternalServerError" && response.status.code == 500)
        }
    }

    @Test func aBodyThatBreaksOffIsRefused() async throws {
        try await withServer { server, api in
            let broken = AsyncThrowingStream<ByteBuffer, any Error> { stream in
                stream.yield(ByteBuffer(bytes: [1]))
                stream.finish(throwing: CancellationError())
            }
            let response = await server.respond(
                to: try request(api, signing: [1], body: RequestBody(asyncSequence: broken)))
            #expect(try error(response) == "IncompleteSignatureException")
        }
    }

    @Test func noFacetHeaderIsTakenUnsignedWhateverItsName() async throws {
        try await withServer { _, api in
            let reply = try await api.call(
                "RekognitionService.ListCollections", [:], unsignedHeaders: ["X-Facet-Session": "1"])
            #expect(reply.error == "InvalidSignatureException" && reply.message.contains("x-facet-session"))
        }
    }

    @Test func keysThatCannotBeReadAreTheServersFaultAndStrangersLearnNoMore() async throws {
        try await withServer { _, api in
            let handler = APIHandler(
                index: api.bench.index, keys: BrokenDirectory(), region: "eu-test-1", now: { APIBench.now })
            var request = SignedRequest(
                method: "POST", path: "/", query: "", headers: [.init("host", "facet.test")], body: [])
            request.headers += SigV4.sign(
                request, accessKey: api.key, secret: OneKey.secret, region: "eu-test-1", now: APIBench.now)
            let reply = try api.reply(await handler.handle(request))
            #expect(reply.error == "InternalServerError" && reply.status == 500)
            #expect(!reply.message.contains("/secret/path"))
        }
    }

    @Test(arguments: ["/livez", "/readyz", "/metrics"])
    func whoWatchesNeedsNoKey(path: String) async throws {
        try await withServer { server, _ in
            let response = await server.respond(
                to: Request(
                    head: .init(method: .get, scheme: "http", authority: "h", path: path),
                    body: RequestBody(buffer: .init())))
            #expect(response.status == .ok)
        }
    }

    @Test func gaugesComeFromTheStatus() async throws {
        try await withServer { _, api in
            _ = try await api.call("RekognitionService.CreateCollection", ["CollectionId": "c"])
            _ = try await api.call("RekognitionService.IndexFaces", ["CollectionId": "c", "Image": APIBench.photo(1)])
            let lines = Gauges.text(await api.bench.index.status(), inFlight: 3).split(separator: "\n")
            for line in ["facet_ready 1", "facet_collections 1", "facet_faces 1", "facet_requests_in_flight 3"] {
                #expect(lines.contains(Substring(line)))
            }
        }
    }
}

private struct BrokenDirectory: KeyDirectory {
    func lookup(_ key: AccessKeyID) async throws(APIError) -> (principal: Principal, secret: [UInt8])? {
        throw APIError(.internal, "/secret/path is locked")
    }
    func isEmpty() async throws(APIError) -> Bool { false }
}

/// A body that counts what was taken of it.
private struct Pieces: AsyncSequence, Sendable {
    final class Count: Sendable {
        private let count = Mutex(0)
        func add() { count.withLock { $0 += 1 } }
        func load() -> Int { count.withLock { $0 } }
    }

    var size: Int
    var count: Int
    let given = Count()

    struct Iterator: AsyncIteratorProtocol {
        var pieces: Pieces
        mutating func next() async -> ByteBuffer? {
            guard pieces.given.load() < pieces.count else { return nil }
            pieces.given.add()
            return ByteBuffer(repeating: 0, count: pieces.size)
        }
    }
    func makeAsyncIterator() -> Iterator { Iterator(pieces: self) }
}

extension Array where Element: Sendable {
    fileprivate var async: AsyncStream<Element> {
        AsyncStream { stream in
            for element in self { stream.yield(element) }
            stream.finish()
        }
    }
}
