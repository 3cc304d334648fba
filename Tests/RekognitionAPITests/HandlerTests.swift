import AccessControl
import FaceModel
import Foundation
import TestBench
import Testing

@testable import RekognitionAPI

@Suite struct HandlerTests {
    private func withAPI(
        roles: Set<Role> = [.admin], _ body: (APIBench) async throws -> Void
    ) async throws {
        let api = try await APIBench(roles: roles)
        _ = try await api.call("RekognitionService.CreateCollection", ["CollectionId": "c"])
        try await body(api)
        await api.bench.close()
    }

    @Test func theWholePathInRekognitionsShapes() async throws {
        try await withAPI { api in
            let indexed = try await api.call(
                "RekognitionService.IndexFaces",
                ["CollectionId": "c", "Image": APIBench.photo(1), "ExternalImageId": "p:1"])
            #expect(indexed.status == 200)
            #expect(indexed.headers["Content-Type"] == "application/x-amz-json-1.1")
            let record = try #require((indexed.json["FaceRecords"] as? [[String: Any]])?.first)
            let face = try #require(record["Face"] as? [String: Any])
            #expect(
                Set(face.keys) == [
                    "FaceId", "BoundingBox", "ImageId", "ExternalImageId", "Confidence", "IndexFacesModelVersion",
                ])
            let found = try await api.call(
                "RekognitionService.SearchFacesByImage", ["CollectionId": "c", "Image": APIBench.photo(1)],
                signedHeaders: ["x-facet-purpose": "theft", "x-facet-case": "7"])
            let match = try #require((found.json["FaceMatches"] as? [[String: Any]])?.first)
            #expect((match["Face"] as? [String: Any])?["FaceId"] as? String == face["FaceId"] as? String)
            #expect(match["Cosine"] == nil)
            #expect(found.headers["x-facet-coverage"] == "shards=1/1 faces=1 mode=exhaustive sigmas=6")
            #expect(found.headers["x-facet-search-id"] != nil && found.headers["x-amzn-RequestId"] != nil)
            guard case .intent(let intent)? = api.bench.ledger.entries.first else {
                return #expect(Bool(false), "no intent")
            }
            #expect(intent.purpose == "theft" && intent.caseNumber == "7" && intent.person == "Ada")
        }
    }

    @Test func nothingIsParsedBeforeTheSignatureIsRight() async throws {
        try await withAPI { api in
            var request = SignedRequest(
                method: "POST", path: "/", query: "",
                headers: [.init("host", "h"), .init("X-Amz-Target", "RekognitionService.ListCollections")],
                body: Array("not json".utf8))
            let unsigned = try api.reply(await api.handler.handle(request))
            #expect(unsigned.error == "MissingAuthenticationTokenException" && unsigned.status == 400)
            request.headers += SigV4.sign(
                request, accessKey: api.key, secret: [1, 2, 3], region: "eu-test-1", now: APIBench.now)
            #expect(try api.reply(await api.handler.handle(request)).error == "InvalidSignatureException")
            #expect(
                try await api.send("RekognitionService.ListCollections", Array("not json".utf8)).error
                    == "SerializationException")
        }
    }

    @Test func withoutAnyKeyTheServerSaysHowToMakeOne() async throws {
        let api = try await APIBench(keyless: true)
        let reply = try await api.call("RekognitionService.ListCollections", [:])
        #expect(reply.error == "UnrecognizedClientException" && reply.message.contains("facectl keys create"))
        await api.bench.close()
    }

    @Test func rolesAreKept() async throws {
        let api = try await APIBench(roles: [.searcher])
        let reply = try await api.call("RekognitionService.CreateCollection", ["CollectionId": "c"])
        #expect(reply.error == "AccessDeniedException" && reply.message.contains("admin"))
        await api.bench.close()
    }

    @Test func aPurposeNobodySignedIsRefused() async throws {
        try await withAPI { api in
            let reply = try await api.call(
                "RekognitionService.ListCollections", [:], unsignedHeaders: ["x-facet-purpose": "theft"])
            #expect(reply.error == "InvalidSignatureException" && reply.message.contains("x-facet-purpose"))
            let long = String(repeating: "x", count: Limits.headerTextBytesMax + 1)
            let tooLong = try await api.call(
                "RekognitionService.ListCollections", [:], signedHeaders: ["x-facet-purpose": long])
            #expect(tooLong.error == "InvalidParameterException")
        }
    }

    @Test(arguments: [
        "RekognitionService.CreateUser", "RekognitionService.CompareFaces", "RekognitionService.DetectLabels",
        "RekognitionService.", "FacetService.Nothing", "S3.List", "",
    ])
    func otherOperationsAreUnknown(target: String) async throws {
        try await withAPI { api in
            let reply = try await api.call(target, [:])
            #expect(reply.error == "UnknownOperationException" && !reply.message.isEmpty)
        }
    }

    @Test func aLedgerThatRefusesIsSaidToTheClientWhoMayRetry() async throws {
        try await withAPI { api in
            api.bench.ledger.refuse("the disk is full")
            let reply = try await api.call(
                "RekognitionService.SearchFacesByImage", ["CollectionId": "c", "Image": APIBench.photo(1)])
            #expect(reply.error == "ProvisionedThroughputExceededException")
            #expect(reply.message.contains("the disk is full") && reply.headers["Retry-After"] == "1")
        }
    }

    @Test func vectorsGoInAsBase64OrNumbersAndAreFound() async throws {
        try await withAPI { api in
            let values = (0..<128).map { Float($0 % 7) - 3 }
            let bytes = values.flatMap { withUnsafeBytes(of: $0.bitPattern.littleEndian, Array.init) }
            let indexed = try await api.call(
                "FacetService.IndexVectors",
                [
                    "CollectionId": "c",
                    "Vectors": [["Vector": Data(bytes).base64EncodedString(), "ExternalImageId": "v"]],
                ])
            #expect(indexed.status == 200)
            let found = try await api.call(
                "FacetService.SearchByVector",
                ["CollectionId": "c", "Vector": values.map(Double.init), "CosineThreshold": 0.5])
            let match = try #require((found.json["FaceMatches"] as? [[String: Any]])?.first)
            #expect(abs(((match["Cosine"] as? NSNumber)?.doubleValue ?? 0) - 1) < 1e-6)
        }
    }
}
