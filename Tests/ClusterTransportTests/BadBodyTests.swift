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
        var message = WireSearchRequest(ShardSearch(query: .sample, limit: 3, minScore: 0), Self.call)
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
        let nan = FieldBytes.floats([.nan] + Array(repeating: 0, count: 63))
        let infinite = FieldBytes.floats(Array(repeating: 0, count: 63) + [.infinity])
        #expect(try search { $0.query = nan } == "query")
        #expect(try search { $0.query = infinite } == "query")
        #expect(try search { $0.query.removeLast() } == "query")
        #expect(try search { $0.query = Data() } == "query")
        #expect(try search { $0.query = Data(count: 4 * 65) } == "query")
        #expect(try search { $0.query = Data(count: 4 * 4_096) } == "query")
        #expect(try search { $0.limit = 0 } == "limit")
        #expect(try search { $0.limit = 4_098 } == "limit")
        #expect(try search { $0.minScore = .nan } == "min_score")
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
