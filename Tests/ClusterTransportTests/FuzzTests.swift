import FaceModel
import Foundation
import NIOCore
import Replication
import SwiftProtobuf
import Testing

@testable import AuditLedger
@testable import ClusterModel
@testable import ClusterTransport

/// Looks that a test leaves no more memory behind than the allocator's slack. Only a soak runs by itself; beside other
/// tests the process's memory says nothing.
private struct BoundedMemory: SuiteTrait, TestTrait, TestScoping {
    private static let growthMax = 64 << 20
    let isRecursive = true

    func provideScope(
        for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void
    ) async throws {
        let before = try Self.residentBytes()
        try await function()
        guard testCase != nil, FuzzTests.isSoak else { return }
        let growth = try Self.residentBytes() - before
        #expect(growth < Self.growthMax, "\(growth) bytes more than before")
    }

    private static func residentBytes() throws -> Int {
        let statm = try String(contentsOfFile: "/proc/self/statm", encoding: .utf8).split(separator: " ")
        return try #require(statm.count > 1 ? Int(statm[1]) : nil) * 4_096
    }
}

/// Mutated frames and bodies on both ends: any outcome but a trap or memory that grows.
@Suite(BoundedMemory()) struct FuzzTests {
    private static let asked = ProcessInfo.processInfo.environment["FACET_FUZZ"].flatMap { Int($0) }
    /// How many mutated inputs in all; `FACET_FUZZ` sets it, for a soak.
    static let inputs = asked ?? 100_000
    static let isSoak = asked != nil

    private static let shardMethods: [ClusterTransport.Method] = [
        .open, .drop, .enrol, .delete, .search, .buckets, .sample, .faces, .vector, .list, .statistics,
    ]

    /// Flips, cuts, repeats and inserts.
    private func mutate(_ bytes: [UInt8], _ arbitrary: inout Arbitrary) -> [UInt8] {
        var bytes = bytes
        for _ in 0..<arbitrary.int(1...4) {
            guard !bytes.isEmpty else { return arbitrary.bytes(arbitrary.int(0...8)) }
            let place = arbitrary.int(0...bytes.count - 1)
            switch arbitrary.int(0...5) {
            case 0, 1: bytes[place] ^= 1 << UInt8(arbitrary.int(0...7))
            case 2: bytes[place] = [0, 1, 0x7F, 0x80, 0xFF][arbitrary.int(0...4)]
            case 3: bytes.removeSubrange(place..<min(bytes.count, place + arbitrary.int(1...40)))
            case 4: bytes.insert(contentsOf: arbitrary.bytes(arbitrary.int(1...9)), at: place)
            default: bytes += bytes[place...].prefix(64)
            }
        }
        return bytes
    }

    private func body(_ message: some Message) -> [UInt8] {
        guard var frame = message.frame(.request, id: 1) else { return [] }
        frame.moveReaderIndex(forwardBy: FrameHeader.bytes)
        return Array(frame.readableBytesView)
    }

    private func shardBodies(_ arbitrary: inout Arbitrary) throws -> [[UInt8]] {
        let call = try #require(WireShardCall(arbitrary.call(.embedded), now: .now))
        let faces = arbitrary.many(1...4) {
            NewFace(
                vector: $0.vector(64), externalImageID: $0.externalImageID(), record: $0.record(),
                token: RequestToken($0.bits()))
        }
        let search = ShardSearch(
            query: arbitrary.vector(64), limit: 4, minScore: 0, sigmas: .infinity, buckets: [.root, LeafID(300)])
        return [
            body(WireOpenRequest(.sample, .making, call)), body(WireDropRequest.with { $0.call = call }),
            body(WireEnrolRequest(faces, call)), body(WireDeleteRequest([arbitrary.face()], token: .none, call)),
            body(
                WireSearchRequest([search, ShardSearch(query: search.query, limit: 9, minScore: 1, sigmas: 6)], call)),
            body(WireBucketsRequest(after: .root, limit: 4, call)),
            body(WireSampleRequest(SampleRequest(every: 3, limit: 4), call)),
            body(WireFacesRequest([arbitrary.face()], call)), body(WireVectorRequest(arbitrary.face(), call)),
            body(WireListRequest(after: arbitrary.face(), limit: 4, call)),
            body(WireStatisticsRequest.with { $0.call = call }),
        ]
    }

    @Test func requestsOnANode() throws {
        var arbitrary = Arbitrary(seed: 101)
        var bodies = try shardBodies(&arbitrary)
        var refused = 0
        for round in 0..<Self.inputs * 4 / 10 {
            if round.isMultiple(of: 500) { bodies = try shardBodies(&arbitrary) }
            let method = round % Self.shardMethods.count
            let bytes = mutate(bodies[method], &arbitrary)
            do throws(BodyError) {
                let (request, _) = try RequestRunner.shardRequest(
                    Self.shardMethods[method], ByteBuffer(bytes: bytes), node: .embedded)
                guard case .search(let searches) = request else { continue }
                #expect((1...Limits.searchesPerRequestMax).contains(searches.count))
                for search in searches {
                    #expect(search.query.values.allSatisfy(\.isFinite) && (1...4_097).contains(search.limit))
                    #expect(search.sigmas > 0)
                }
            } catch {
                refused += 1
            }
        }
        #expect(refused > 0)
    }

    @Test func requestsToALedger() throws {
        var arbitrary = Arbitrary(seed: 102)
        let call = try #require(
            WireCall(request: RequestID(arbitrary.bits()), deadline: .now + .seconds(5), now: .now))
        let bodies: [(ClusterTransport.Method, [UInt8])] = [
            (.append, body(WireAppendRequest(arbitrary.intent(), call))),
            (.append, body(WireAppendRequest(arbitrary.result(), call))),
            (.record, body(WireRecordRequest(SearchID(arbitrary.bits()), tenant: .embedded, call))),
            (.ledgerStatus, body(WireLedgerStatusRequest.with { $0.call = call })),
            (.standing, body(WireStandingRequest.with { $0.call = call })),
        ]
        var refused = 0
        for round in 0..<Self.inputs / 10 {
            let (method, bytes) = bodies[round % bodies.count]
            let mutated = ByteBuffer(bytes: mutate(bytes, &arbitrary))
            do throws(BodyError) {
                _ = try RequestRunner.ledgerRequest(method, mutated)
            } catch {
                refused += 1
            }
        }
        #expect(refused > 0)
    }

    /// Garbage that is read as a letter is one that a replica can be told.
    @Test func lettersToAReplica() throws {
        var arbitrary = Arbitrary(seed: 105)
        let call = try #require(
            WireCall(request: RequestID(arbitrary.bits()), deadline: .now + .seconds(5), now: .now))
        var (bodies, read, refused): ([[UInt8]], Int, Int) = ([], 0, 0)
        for round in 0..<Self.inputs / 10 {
            if round.isMultiple(of: 100) {
                bodies = (0..<10).map { _ in
                    body(WirePostRequest(arbitrary.many(1...2) { ReplicaUnderFuzz.letter(&$0) }, call))
                }
            }
            let bytes = mutate(bodies[round % bodies.count], &arbitrary)
            do throws(BodyError) {
                guard case (.post(let letters), _) = try RequestRunner.replicaRequest(.post, ByteBuffer(bytes: bytes))
                else { continue }
                for letter in letters {
                    ReplicaUnderFuzz.take(letter)
                    read += 1
                }
            } catch {
                refused += 1
            }
        }
        #expect(refused > 0 && read > 0)
    }

    @Test func answersOnAnAsker() throws {
        var arbitrary = Arbitrary(seed: 103)
        let shard = ShardID(arbitrary.bits())
        let faces = arbitrary.many(4...4) { $0.storedFace() }.sorted { $0.id < $1.id }
        let candidates = faces.map { ShardCandidate(score: 0.5, face: $0) }
        let found = ShardSearchAnswer(candidates: candidates, facesScored: 1, buckets: 1, at: .zero, tree: .zero)
        let page = BucketPage(tree: .zero, buckets: [.sample(1), .sample(2), .sample(3)], more: true)
        let answers: [([UInt8], (ByteBuffer) throws -> Void)] = [
            (
                body(WireSearchAnswer([found, found])),
                { _ = try WireSearchAnswer(body: $0).domain(limits: [4, 4]) }
            ),
            (
                body(WireBucketsAnswer(page)),
                { _ = try WireBucketsAnswer(body: $0).domain(after: nil, limit: 4) }
            ),
            (
                body(WireSampleAnswer([.sample(1), .sample(2)])),
                { _ = try WireSampleAnswer(body: $0).domain(limit: 4) }
            ),
            (
                body(WireFacesAnswer(FacePage(faces: faces, more: false, at: .zero))),
                { _ = try WireFacesAnswer(body: $0).domain(count: 4) }
            ),
            (
                body(WireListAnswer(FacePage(faces: faces, more: true, at: .zero))),
                { _ = try WireListAnswer(body: $0).domain(after: nil, limit: 4) }
            ),
            (body(WireVectorAnswer(arbitrary.vector(64))), { _ = try WireVectorAnswer(body: $0).domain() }),
            (body(WireRecordAnswer(arbitrary.searchRecord())), { _ = try WireRecordAnswer(body: $0).domain() }),
            (body(WireReportAnswer(.sample)), { _ = try WireReportAnswer(body: $0).domain() }),
            (
                body(WireFailure(.shard(.wrongOwner(shard, owned: [.root])))),
                { _ = try WireFailure(body: $0).domain(shard: shard) }
            ),
        ]
        var refused = 0
        for round in 0..<Self.inputs * 4 / 10 {
            let (bytes, read) = answers[round % answers.count]
            do {
                try read(ByteBuffer(bytes: mutate(bytes, &arbitrary)))
            } catch {
                #expect(error is BodyError)
                refused += 1
            }
        }
        #expect(refused > 0)
    }

    @Test func frames() throws {
        var arbitrary = Arbitrary(seed: 104)
        var bytes: [UInt8] = []
        for id in 0..<6 {
            var frame = ByteBuffer(repeating: 0, count: FrameHeader.bytes + arbitrary.int(0...60))
            FrameHeader.set(.request, method: 5, id: UInt64(id), in: &frame)
            bytes += Array(frame.readableBytesView)
        }
        var refused = 0
        for _ in 0..<Self.inputs / 10 {
            var reader = FrameReader()
            reader.lengthMax = TransportLimits.frameBytesMax
            var rest = ByteBuffer(bytes: mutate(bytes, &arbitrary))
            var taken = 0
            let total = rest.readableBytes
            do throws(FrameError) {
                while let piece = rest.readSlice(length: min(arbitrary.int(1...97), rest.readableBytes)),
                    piece.readableBytes > 0
                {
                    reader.append(piece)
                    while let frame = try reader.next() { taken += FrameHeader.bytes + frame.body.readableBytes }
                    #expect(reader.heldBytes <= 1_024)
                }
            } catch {
                refused += 1
            }
            #expect(taken <= total)
        }
        #expect(refused > 0)
    }
}
