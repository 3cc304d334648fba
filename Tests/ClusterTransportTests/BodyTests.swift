import FaceModel
import Foundation
import NIOCore
import SwiftProtobuf
import Testing

@testable import AuditLedger
@testable import ClusterModel
@testable import ClusterTransport

/// Domain values to bytes and back.
@Suite struct BodyTests {
    static let seeds: [UInt64] = Array(1...20)
    private let node = NodeID.embedded

    /// The message as the other end reads it: through bytes.
    private func sent<Sent: Message>(_ message: Sent) throws -> Sent {
        var frame = try #require(message.frame(.request, id: 1))
        frame.moveReaderIndex(forwardBy: FrameHeader.bytes)
        return try Sent(body: frame)
    }

    private func wire(_ call: ShardCall) throws -> WireShardCall { try #require(WireShardCall(call, now: .now)) }

    private func request(
        _ method: ClusterTransport.Method, _ message: some Message
    ) throws -> (ShardRequest, ShardCall) {
        var frame = try #require(message.frame(.request, id: 1))
        frame.moveReaderIndex(forwardBy: FrameHeader.bytes)
        return try RequestRunner.shardRequest(method, frame, node: node)
    }

    @Test(arguments: seeds) func calls(seed: UInt64) throws {
        var arbitrary = Arbitrary(seed: seed)
        let call = arbitrary.call(node)
        let now = ContinuousClock.now
        let message = try #require(WireShardCall(call, now: now))
        let read = try sent(message).domain(node: node, now: now)
        #expect(read.shard == call.shard && read.roots == call.roots && read.request == call.request)
        #expect(read.level == call.level)
        let late = read.deadline.duration(to: call.deadline)
        #expect(.zero <= late && late < .milliseconds(1))
    }

    @Test func aDeadlineIsWhatRemainsOfIt() {
        let now = ContinuousClock.now
        #expect(FieldBytes.remaining(until: now, now: now) == nil)
        #expect(FieldBytes.remaining(until: now - .seconds(1), now: now) == nil)
        #expect(FieldBytes.remaining(until: now + .nanoseconds(1), now: now) == 1)
        #expect(FieldBytes.remaining(until: now + .milliseconds(1_500), now: now) == 1_500)
        #expect(FieldBytes.remaining(until: now + .seconds(1 << 40), now: now) == 3_600_000)
    }

    @Test(arguments: seeds) func splits(seed: UInt64) throws {
        var arbitrary = Arbitrary(seed: seed)
        let call = arbitrary.call(node)
        let halves = (0..<2).map { number in
            SplitPlan.Half(shard: ShardID(arbitrary.bits()), root: LeafID(UInt32(2 * arbitrary.int(0...99) + number)))
        }
        let plan = SplitPlan(first: halves[0], second: halves[1])
        for step in [SplitStep.look, .draft(plan), .begin(plan), .release, .abort] {
            guard case (.split(step), let read) = try request(.split, WireSplitRequest(step, try wire(call))) else {
                throw BodyError("step", "another one was read")
            }
            #expect(read.shard == call.shard)
        }
        let dimension = arbitrary.dimension()
        for stage in SplitProgress.Stage.allCases {
            let isWhole = stage == .whole
            let sides = SplitProgress.Sides(first: arbitrary.vector(dimension), second: arbitrary.vector(dimension))
            let progress = SplitProgress(
                stage: stage, hasHalves: arbitrary.bool(), plan: isWhole ? nil : plan, end: LogIndex(seed),
                epoch: Epoch(seed + 1), sides: isWhole ? nil : sides, trouble: arbitrary.bool() ? "disk full" : nil)
            #expect(try sent(WireSplitAnswer(progress)).domain() == progress)
        }
    }

    @Test func halvesComeInPairs() throws {
        var wrong = WireSplitRequest(
            .begin(
                SplitPlan(
                    first: .init(shard: ShardID(Bits128(high: 1, low: 1)), root: .root),
                    second: .init(shard: ShardID(Bits128(high: 1, low: 2)), root: LeafID(1)))), WireShardCall())
        wrong.halves.removeLast()
        #expect(throws: BodyError.self) { try wrong.domain() }
        wrong.halves = []
        #expect(throws: BodyError.self) { try wrong.domain() }
        var answer = WireSplitAnswer(SplitProgress(stage: .whole))
        answer.stage = 2
        #expect(throws: BodyError.self) { try answer.domain() }
        answer.stage = 9
        #expect(throws: BodyError.self) { try answer.domain() }
    }

    @Test(arguments: seeds) func enrolments(seed: UInt64) throws {
        var arbitrary = Arbitrary(seed: seed)
        let call = arbitrary.call(node)
        let dimension = arbitrary.dimension()
        let faces = arbitrary.many(0...40) {
            NewFace(
                vector: $0.vector(dimension), externalImageID: $0.externalImageID(), record: $0.record(),
                token: RequestToken($0.bits()))
        }
        guard case (.enrol(let read), let readCall) = try request(.enrol, WireEnrolRequest(faces, try wire(call)))
        else { throw BodyError("method", "another one was read") }
        #expect(readCall.shard == call.shard)
        try #require(read.count == faces.count)
        for (a, b) in zip(read, faces) {
            #expect(a.vector == b.vector && a.externalImageID == b.externalImageID)
            #expect(a.record == b.record && a.token == b.token)
        }
        let outcome = EnrolOutcome(
            faces: faces.map { _ in arbitrary.face() }, at: ShardPosition(Generation(7), LogIndex(UInt64(seed))))
        #expect(try sent(WireEnrolAnswer(outcome)).domain(count: faces.count) == outcome)
        #expect(throws: BodyError.self) { try sent(WireEnrolAnswer(outcome)).domain(count: faces.count + 1) }
    }

    @Test(arguments: seeds) func searches(seed: UInt64) throws {
        var arbitrary = Arbitrary(seed: seed)
        let dimension = arbitrary.dimension()
        let searches = arbitrary.many(1...8) { arbitrary in
            ShardSearch(
                query: arbitrary.vector(dimension), limit: arbitrary.int(1...4_097), minScore: arbitrary.float(),
                sigmas: arbitrary.bool() ? .infinity : Double(arbitrary.int(1...9)),
                buckets: arbitrary.optional { $0.many(0...9) { LeafID(UInt32($0.int(0...1 << 30))) } })
        }
        guard
            case (.search(let read), _) = try request(
                .search, WireSearchRequest(searches, try wire(arbitrary.call(node))))
        else { throw BodyError("method", "another one was read") }
        try #require(read.count == searches.count)
        for (a, b) in zip(read, searches) {
            #expect(a.query == b.query && a.limit == b.limit && a.minScore == b.minScore)
            #expect(a.sigmas == b.sigmas && a.buckets == b.buckets)
        }
    }

    @Test(arguments: seeds) func answersToSearches(seed: UInt64) throws {
        var arbitrary = Arbitrary(seed: seed)
        let answers = arbitrary.many(1...5) { arbitrary in
            ShardSearchAnswer(
                candidates: arbitrary.many(0...30) { ShardCandidate(score: $0.float(), face: $0.storedFace()) }
                    .sorted {
                        Match.precedes(
                            Match(face: $0.face.id, score: $0.score), Match(face: $1.face.id, score: $1.score))
                    },
                facesScored: arbitrary.int(0...99), buckets: arbitrary.int(0...9),
                at: ShardPosition(Generation(2), LogIndex(4)), tree: LogIndex(3))
        }
        let limits = answers.map(\.candidates.count)
        let back = try sent(WireSearchAnswer(answers)).domain(limits: limits)
        try #require(back.count == answers.count)
        for (a, b) in zip(back, answers) {
            #expect(a.candidates == b.candidates && a.facesScored == b.facesScored && a.buckets == b.buckets)
            #expect(a.at == b.at && a.tree == b.tree)
        }
        #expect(throws: BodyError.self) { try sent(WireSearchAnswer(answers)).domain(limits: limits + [1]) }
        guard let long = answers.firstIndex(where: { $0.candidates.count > 1 }) else { return }
        var wrong = answers
        wrong[long].candidates.reverse()
        #expect(throws: BodyError.self) { try sent(WireSearchAnswer(wrong)).domain(limits: limits) }
        var fewer = limits
        fewer[long] -= 1
        #expect(throws: BodyError.self) { try sent(WireSearchAnswer(answers)).domain(limits: fewer) }
    }

    @Test(arguments: seeds) func bucketsAndSamples(seed: UInt64) throws {
        var arbitrary = Arbitrary(seed: seed)
        let dimension = arbitrary.dimension()
        var leaf: UInt32 = 0
        let buckets = arbitrary.many(2...30) { arbitrary in
            leaf += UInt32(arbitrary.int(1...99))
            return Bucket(
                leaf: LeafID(leaf), faces: arbitrary.int(0...999),
                centroid: arbitrary.optional { $0.vector(dimension) })
        }
        let page = BucketPage(tree: LogIndex(seed), buckets: buckets, more: arbitrary.bool())
        #expect(try sent(WireBucketsAnswer(page)).domain(after: nil, limit: buckets.count) == page)
        #expect(throws: BodyError.self) { try sent(WireBucketsAnswer(page)).domain(after: nil, limit: 1) }
        #expect(throws: BodyError.self) {
            try sent(WireBucketsAnswer(page)).domain(after: buckets[0].leaf, limit: buckets.count)
        }
        let unordered = BucketPage(tree: .zero, buckets: buckets.reversed(), more: false)
        #expect(throws: BodyError.self) {
            try sent(WireBucketsAnswer(unordered)).domain(after: nil, limit: buckets.count)
        }
        var cut = WireBucketsAnswer(page)
        cut.withCentroid.removeLast()
        #expect(throws: BodyError.self) { try sent(cut).domain(after: nil, limit: buckets.count) }
        let sample = arbitrary.many(1...30) { arbitrary in
            SampledFace(
                id: arbitrary.face(), vector: arbitrary.vector(dimension), bucket: LeafID(UInt32(arbitrary.int(0...9))),
                externalImageID: arbitrary.externalImageID(), imageID: arbitrary.optional { ImageID($0.bits()) })
        }
        .sorted { $0.id < $1.id }
        #expect(try sent(WireSampleAnswer(sample)).domain(limit: sample.count) == sample)
        #expect(throws: BodyError.self) { try sent(WireSampleAnswer(sample)).domain(limit: sample.count - 1) }
        var short = WireSampleAnswer(sample)
        short.vectors.removeLast(4)
        #expect(throws: BodyError.self) { try sent(short).domain(limit: sample.count) }
    }

    @Test(arguments: seeds) func facesAndPages(seed: UInt64) throws {
        var arbitrary = Arbitrary(seed: seed)
        let faces = arbitrary.many(1...50) { $0.storedFace() }.sorted { $0.id < $1.id }
        let stored = FacePage(faces: faces, more: false, at: ShardPosition(Generation(1), LogIndex(seed)))
        let back = try sent(WireFacesAnswer(stored)).domain(count: faces.count)
        #expect(back.faces == faces && back.at == stored.at)
        let page = try sent(WireListAnswer(FacePage(faces: faces, more: true, at: stored.at))).domain(
            after: nil, limit: 50)
        #expect(page.faces == faces && page.more && page.at == stored.at)
        #expect(throws: BodyError.self) {
            try sent(WireListAnswer(FacePage(faces: faces, more: true, at: stored.at))).domain(
                after: faces[0].id, limit: 50)
        }
        let ids = faces.map(\.id)
        guard case (.faces(ids), _) = try request(.faces, WireFacesRequest(ids, try wire(arbitrary.call(node)))),
            case (.list(ids[0], 7), _) = try request(
                .list, WireListRequest(after: ids[0], limit: 7, try wire(arbitrary.call(node)))),
            case (.list(nil, 7), _) = try request(
                .list, WireListRequest(after: nil, limit: 7, try wire(arbitrary.call(node)))),
            case (.vector(ids[0]), _) = try request(
                .vector, WireVectorRequest(ids[0], try wire(arbitrary.call(node)))),
            case (.delete(ids, .none), _) = try request(
                .delete, WireDeleteRequest(ids, token: .none, try wire(arbitrary.call(node))))
        else { throw BodyError("request", "another one was read") }
        let vector = arbitrary.vector(arbitrary.dimension())
        #expect(try sent(WireVectorAnswer(vector)).domain() == vector)
        #expect(try sent(WireVectorAnswer(nil)).domain() == nil)
        let deleted = DeleteOutcome(
            deleted: ids, notFound: [arbitrary.face()], at: ShardPosition(Generation(4), LogIndex(9)))
        #expect(try sent(WireDeleteAnswer(deleted)).domain(count: ids.count + 1) == deleted)
    }

    @Test func descriptorsAndStatistics() throws {
        var arbitrary = Arbitrary(seed: 3)
        let call = arbitrary.call(node)
        var descriptor = ShardDescriptor.sample
        descriptor.shard = call.shard
        for mode in [OpenMode.existing, .making] {
            let message = WireOpenRequest(descriptor, mode, try wire(call))
            guard case (.open(descriptor, mode), _) = try request(.open, message) else {
                throw BodyError("request", "another one was read")
            }
        }
        for refused in [nil, "disk full"] {
            let statistics = ShardStatistics(
                faces: 1, segments: 2, bufferedFaces: 3, residentBytes: 4, diskBytes: 5, lsn: LogIndex(6),
                writesRefused: refused)
            #expect(try sent(WireStatisticsAnswer(statistics)).domain() == statistics)
        }
        let node = NodeStatistics(
            version: "1", uptimeSeconds: 2, shards: 3, damagedShards: 4, faces: 5, residentBytes: 6, capacityBytes: 7,
            diskFreeBytes: 8, diskTotalBytes: .max)
        #expect(try sent(WireNodeStatisticsAnswer(node)).domain() == node)
    }

    @Test(arguments: seeds) func ledgerRecords(seed: UInt64) throws {
        var arbitrary = Arbitrary(seed: seed)
        let call = try #require(
            WireCall(request: RequestID(arbitrary.bits()), deadline: .now + .seconds(5), now: .now))
        for entry in [arbitrary.intent(), arbitrary.result(), .order(arbitrary.order())] {
            guard case .append(entry) = try sent(WireAppendRequest(entry, call)).domain() else {
                throw BodyError("entry", "another one was read")
            }
        }
        let record = arbitrary.searchRecord()
        let read = try #require(try sent(WireRecordAnswer(record)).domain())
        #expect(read.intent == record.intent && read.result == record.result && read.leaves == record.leaves)
        #expect(try sent(WireRecordAnswer(nil)).domain() == nil)
        let status = LedgerStatus(
            treeSize: 5, rootHash: arbitrary.bytes(32), verifierKey: "a+b+c", refusing: arbitrary.bool() ? "full" : nil)
        #expect(try sent(WireLedgerStatusAnswer(status)).domain() == status)
        let (standing, known) = (arbitrary.standing(), arbitrary.standing())
        let told = try sent(WireStandingAnswer(standing, known: known.orders)).domain(known: known)
        #expect(told == (standing.orders == known.orders ? known : standing))
        #expect(try sent(WireStandingAnswer(standing, known: standing.orders)).domain(known: standing) == standing)
        var broken = WireStandingAnswer(standing, known: UInt64.max)
        broken.revoked.append(7)
        #expect(throws: BodyError.self) { try broken.domain(known: Standing(orders: UInt64.max)) }
    }

    @Test func everyFailureComesBackAsItIs() throws {
        let shard = ShardID(Bits128(high: 1, low: 2))
        let node = NodeID.embedded
        let failures: [Failure] = [
            .badRequest(BodyError("query", "no")), .forbidden("a"), .unsupported("b"), .overloaded("c"),
            .stopping("d"), .unanswerable("e"), .node("f"), .shard(.unknownShard(shard)),
            .shard(.wrongDimension(expected: 64, got: 128)), .shard(.wrongOwner(shard, owned: [LeafID(1), LeafID(2)])),
            .shard(.writesRefused(shard, reason: "g")), .shard(.busy(shard, reason: "h")),
            .shard(.damaged(shard, reason: "i")), .shard(.stopped(shard, reason: "j")),
            .shard(.deadlineExceeded(shard)),
            .shard(.unreachable(shard, node: node, reason: "k", outcomeUnknown: true)),
            .ledger(.refusing(reason: "l")), .ledger(.damaged(reason: "m")), .ledger(.stopped(reason: "n")),
            .ledger(.unreachable(reason: "o")), .ledger(.suspended(since: Timestamp(milliseconds: -5))),
            .ledger(.keyRevoked),
        ]
        for failure in failures {
            #expect(try sent(WireFailure(failure)).domain(shard: shard) == failure)
        }
        #expect(Set(failures.map(\.label)).count == failures.count)
        let long = Failure.unsupported(String(repeating: "é", count: 10_000))
        guard case .unsupported(let text) = try sent(WireFailure(long)).domain(shard: shard) else {
            throw BodyError("failure", "another one was read")
        }
        #expect(text.utf8.count <= 3 * TransportLimits.textBytesMax)
    }

    @Test func fieldsOfALaterReleaseAreSkipped() throws {
        var bytes = [UInt8](try WireVectorAnswer(RotatedVector.sample).serializedData())
        // Field 100, of bytes: "new".
        bytes += [0xA2, 0x06, 3] + Array("new".utf8)
        let read = try WireVectorAnswer(body: ByteBuffer(bytes: bytes))
        #expect(try read.domain() == RotatedVector.sample)
        #expect(read.unknownFields.data.isEmpty)
    }
}
