import FaceModel
import Foundation
import NIOCore
import SwiftProtobuf
import Testing

@testable import ClusterModel
@testable import ClusterTransport

/// Bodies that are refused, each by the name of its field.
@Suite struct BadBodyTests {
    private static var call: WireShardCall {
        guard let call = WireShardCall(.sample(node: .embedded), now: .now) else {
            preconditionFailure("a minute remains")
        }
        return call
    }

    private func field(
        _ method: ClusterTransport.Method, _ message: some Message
    ) throws -> String? {
        var frame = try #require(message.frame(.request, id: 1))
        frame.moveReaderIndex(forwardBy: FrameHeader.bytes)
        do throws(BodyError) {
            _ = try RequestRunner.shardRequest(method, frame, node: .embedded)
            return nil
        } catch {
            return error.field
        }
    }

    private func search(_ change: (inout WireSearchRequest) -> Void) throws -> String? {
        let search = ShardSearch(query: .sample, limit: 3, minScore: 0, sigmas: 6, buckets: [.root, LeafID(300)])
        var message = WireSearchRequest([search, search], Self.call)
        change(&message)
        return try field(.search, message)
    }

    private func enrol(_ change: (inout WireEnrolRequest) -> Void) throws -> String? {
        var record = NewFace.sample
        record.record = FaceRecord(imageID: ImageID(Bits128(high: 1, low: 1)), detail: nil)
        var message = WireEnrolRequest([record, .sample], Self.call)
        change(&message)
        return try field(.enrol, message)
    }

    @Test func callsAreChecked() throws {
        #expect(try search { _ in } == nil)
        #expect(try search { $0.clearCall() } == "call.shard")
        #expect(try search { $0.call.shard.append(1) } == "call.shard")
        #expect(try search { $0.call.requestID = Data(count: 15) } == "call.request_id")
        #expect(try search { $0.call.remainingMilliseconds = 0 } == "call.remaining_milliseconds")
        #expect(try search { $0.call.remainingMilliseconds = .max } == "call.remaining_milliseconds")
        #expect(try search { $0.call.roots = Array(repeating: 1, count: 5_000) } == "call.roots")
    }

    @Test func searchesAreChecked() throws {
        func second(_ change: (inout WireSearch) -> Void) throws -> String? { try search { change(&$0.searches[1]) } }
        let nan = FieldBytes.floats([.nan] + Array(repeating: 0, count: 63))
        let infinite = FieldBytes.floats(Array(repeating: 0, count: 63) + [.infinity])
        #expect(try second { _ in } == nil)
        #expect(try second { $0.query = nan } == "searches[1].query")
        #expect(try second { $0.query = infinite } == "searches[1].query")
        #expect(try second { $0.query.removeLast() } == "searches[1].query")
        #expect(try second { $0.query = Data() } == "searches[1].query")
        #expect(try second { $0.query = Data(count: 4 * 65) } == "searches[1].query")
        #expect(try second { $0.query = Data(count: 4 * 4_096) } == "searches[1].query")
        #expect(try second { $0.limit = 0 } == "searches[1].limit")
        #expect(try second { $0.limit = 4_098 } == "searches[1].limit")
        #expect(try second { $0.minScore = .nan } == "searches[1].min_score")
        #expect(try second { $0.sigmas = 0 } == "searches[1].sigmas")
        #expect(try second { $0.sigmas = -1 } == "searches[1].sigmas")
        #expect(try second { $0.sigmas = .nan } == "searches[1].sigmas")
        #expect(try second { $0.sigmas = .infinity } == nil)
        #expect(try second { $0.buckets.removeLast() } == "searches[1].buckets")
        #expect(try second { $0.buckets = Data(count: 4 * 65_537) } == "searches[1].buckets")
    }

    @Test func batchesAreBounded() throws {
        func batch(_ count: Int, limit: UInt32) throws -> String? {
            try search { message in
                var search = message.searches[0]
                search.limit = limit
                message.searches = Array(repeating: search, count: count)
            }
        }
        #expect(try batch(0, limit: 1) == "searches")
        #expect(try batch(64, limit: 1_024) == nil)
        #expect(try batch(65, limit: 1) == "searches")
        #expect(try batch(64, limit: 1_025) == "searches")
        #expect(try batch(15, limit: 4_097) == nil)
        #expect(try batch(16, limit: 4_097) == "searches")
    }

    @Test func samplesAndPagesAreChecked() throws {
        var sample = WireSampleRequest(SampleRequest(every: 2, limit: 9), Self.call)
        #expect(try field(.sample, sample) == nil)
        sample.limit = 2_049
        #expect(try field(.sample, sample) == "limit")
        sample.every = 0
        #expect(try field(.sample, sample) == "every")
        for (limit, refused): (UInt32, String?) in [(0, "limit"), (1, nil), (2_048, nil), (2_049, "limit")] {
            var buckets = WireBucketsRequest(after: LeafID(4), limit: 1, Self.call)
            buckets.limit = limit
            #expect(try field(.buckets, buckets) == refused)
        }
    }

    @Test func enrolmentsAreChecked() throws {
        #expect(try enrol { _ in } == nil)
        #expect(try enrol { $0.faces.count = 1_001 } == "faces.count")
        #expect(try enrol { $0.faces.count = 3 } == "faces.parts")
        #expect(try enrol { $0.tokens.removeLast() } == "tokens")
        #expect(try enrol { $0.tokens = $0.tokens.prefix(16) } == "tokens")
        #expect(try enrol { $0.dimension = 72 } == "vectors")
        #expect(try enrol { $0.dimension = 63 } == "dimension")
        #expect(try enrol { $0.dimension = .max } == "dimension")
        #expect(try enrol { $0.vectors.removeLast() } == "vectors")
        #expect(try enrol { $0.vectors.replaceSubrange(256..<260, with: [0, 0, 0x80, 0x7F]) } == "vectors[1]")
        #expect(try enrol { $0.faces.parts = Data([1, 8]) } == "faces.parts[1]")
        #expect(try enrol { $0.faces.parts = Data([1, 1]) } == "faces.image_ids")
        #expect(try enrol { $0.faces.parts = Data([0, 0]) } == "faces.image_ids")
        #expect(try enrol { $0.faces.parts = Data([3, 0]) } == "faces.details")
        #expect(try enrol { $0.faces.details = Data([1]) } == "faces.details")
        #expect(try enrol { $0.faces.externalImageIds.removeLast() } == "faces.external_image_ids")
        #expect(try enrol { $0.faces.externalImageIds.append(0) } == "faces.external_image_ids")
        #expect(try enrol { $0.faces.externalImageIds[1] = UInt8(ascii: "/") } == "faces.external_image_ids")
    }

    @Test func descriptorsAreChecked() throws {
        func open(_ change: (inout WireOpenRequest) -> Void) throws -> String? {
            var message = WireOpenRequest(.sample, .existing, Self.call)
            change(&message)
            return try field(.open, message)
        }
        #expect(try open { _ in } == nil)
        #expect(try open { $0.tenant = "12" } == "tenant")
        #expect(try open { $0.collection = Data(count: 17) } == "collection")
        #expect(try open { $0.dimension = 12 } == "dimension")
        #expect(try open { $0.modelVersion = String(repeating: "m", count: 600) } == "model_version")
        #expect(try open { $0.idKey = Data(count: 31) } == "id_key")
    }

    @Test func listsAndIdsAreChecked() throws {
        var list = WireListRequest(after: nil, limit: 5, Self.call)
        list.after = Data(count: 3)
        #expect(try field(.list, list) == "after")
        list.after = Data()
        list.limit = 0
        #expect(try field(.list, list) == "limit")
        var faces = WireFacesRequest([], Self.call)
        faces.ids = Data(count: 16 * 5_000)
        #expect(try field(.faces, faces) == "ids")
        var vector = WireVectorRequest(FaceID(Bits128(high: 0, low: 0)), Self.call)
        vector.face = Data()
        #expect(try field(.vector, vector) == "face")
        var delete = WireDeleteRequest([], token: .none, Self.call)
        delete.token = Data()
        #expect(try field(.delete, delete) == "token")
    }

    @Test func bytesThatAreNoMessageAreRefused() {
        for bytes: [UInt8] in [[0xFF], [0x0A, 0x7F], [0x0A, 0xFF, 0xFF, 0xFF, 0xFF, 0x0F], [0x08]] {
            let error = #expect(throws: BodyError.self) {
                try RequestRunner.shardRequest(.search, ByteBuffer(bytes: bytes), node: .embedded)
            }
            #expect(error?.field == "body")
        }
    }
}
