import FaceModel
import Foundation
import TestBench
import Testing

@testable import RekognitionAPI

/// What is wrong with a request is said by naming the member; nothing wrong gets through.
@Suite struct ValidationTests {
    /// Operation, member that must be named, members of an otherwise good request that are changed.
    static let bad: [(target: String, member: String, change: @Sendable () -> [String: Any])] = [
        ("RekognitionService.CreateCollection", "CollectionId", { ["CollectionId": "bad id!"] }),
        ("RekognitionService.CreateCollection", "CollectionId", { ["CollectionId": ""] }),
        ("RekognitionService.CreateCollection", "CollectionId", { ["CollectionId": 7] }),
        ("RekognitionService.CreateCollection", "CollectionId", { ["CollectionId": NSNull()] }),
        ("RekognitionService.CreateCollection", "Tags", { ["CollectionId": "n", "Tags": ["aws:x": "y"]] }),
        ("RekognitionService.CreateCollection", "Tags", { ["CollectionId": "n", "Tags": ["x": 1]] }),
        ("RekognitionService.ListCollections", "MaxResults", { ["MaxResults": 4_097] }),
        ("RekognitionService.ListCollections", "MaxResults", { ["MaxResults": -1] }),
        ("RekognitionService.ListCollections", "MaxResults", { ["MaxResults": true] }),
        ("RekognitionService.ListCollections", "MaxResults", { ["MaxResults": 1.5] }),
        ("RekognitionService.IndexFaces", "Image", { ["Image": NSNull()] }),
        ("RekognitionService.IndexFaces", "Image.Bytes", { ["Image": ["Bytes": "***"]] }),
        ("RekognitionService.IndexFaces", "Image.Bytes", { ["Image": ["Bytes": ""]] }),
        ("RekognitionService.IndexFaces", "Image.Bytes", { ["Image": [String: Any]()] }),
        ("RekognitionService.IndexFaces", "MaxFaces", { ["MaxFaces": 0] }),
        ("RekognitionService.IndexFaces", "QualityFilter", { ["QualityFilter": "BEST"] }),
        ("RekognitionService.IndexFaces", "DetectionAttributes[0]", { ["DetectionAttributes": ["HAT"]] }),
        ("RekognitionService.IndexFaces", "ExternalImageId", { ["ExternalImageId": "a/b"] }),
        ("RekognitionService.DeleteFaces", "FaceIds", { [:] }),
        ("RekognitionService.DeleteFaces", "FaceIds", { ["FaceIds": [String]()] }),
        ("RekognitionService.DeleteFaces", "FaceIds[0]", { ["FaceIds": ["notauuid"]] }),
        ("RekognitionService.SearchFaces", "FaceId", { ["FaceId": "ABCDEF00-0000-4000-8000-000000000000"] }),
        ("RekognitionService.SearchFaces", "MaxFaces", { ["FaceId": uuid, "MaxFaces": 4_097] }),
        ("RekognitionService.SearchFaces", "FaceMatchThreshold", { ["FaceId": uuid, "FaceMatchThreshold": 100.5] }),
        ("RekognitionService.SearchFaces", "FaceMatchThreshold", { ["FaceId": uuid, "FaceMatchThreshold": "80"] }),
        ("FacetService.IndexVectors", "Vectors[0].Vector", { ["Vectors": [["Vector": "AAA"]]] }),
        ("FacetService.IndexVectors", "Vectors[1].Vector", { ["Vectors": [["Vector": vector], [:]]] }),
        ("FacetService.IndexVectors", "Vector 1", { ["Vectors": [["Vector": vector], ["Vector": [1, 2, 3]]]] }),
        ("FacetService.SearchByVector", "CosineThreshold", { ["Vector": vector, "CosineThreshold": 1.5] }),
        ("FacetService.SearchByVector", "SearchMode", { ["Vector": vector, "SearchMode": "fast"] }),
        ("FacetService.SearchByVector", "SearchMode", { ["Vector": vector, "SearchMode": 1] }),
        ("FacetService.SearchByVector", "TargetCoverage", { ["Vector": vector, "TargetCoverage": 0.9] }),
        (
            "FacetService.SearchByVector", "TargetCoverage",
            { ["Vector": vector, "SearchMode": "certain", "TargetCoverage": 0.9] }
        ),
        (
            "FacetService.SearchByVector", "TargetCoverage",
            { ["Vector": vector, "SearchMode": "routed", "TargetCoverage": 1] }
        ),
        (
            "FacetService.SearchByVector", "TargetCoverage",
            { ["Vector": vector, "SearchMode": "routed", "TargetCoverage": 0.49] }
        ),
        ("FacetService.SearchByVectors", "Vectors", { [:] }),
        ("FacetService.SearchByVectors", "Vectors", { ["Vectors": [Any]()] }),
        ("FacetService.SearchByVectors", "Vectors", { ["Vectors": Array(repeating: vector, count: 65)] }),
        ("FacetService.SearchByVectors", "Vectors[1]", { ["Vectors": [vector, "AAA"] as [Any]] }),
        ("FacetService.SearchByVectors", "Vectors[1][2]", { ["Vectors": [vector, [1, 2, "3"] as [Any]] as [Any]] }),
        ("FacetService.SearchByVectors", "Vector 1", { ["Vectors": [vector, [1, 2, 3]]] }),
        (
            "FacetService.SearchByVectors", "MaxFaces",
            { ["Vectors": Array(repeating: vector, count: 64), "MaxFaces": 1_025] }
        ),
        ("FacetService.SearchByVectors", "CosineThreshold", { ["Vectors": [vector], "CosineThreshold": 2] }),
        ("FacetService.CreateCollection", "Dimension", { ["CollectionId": "n", "Dimension": 65, "Model": "m"] }),
        ("FacetService.GetSearchRecord", "SearchId", { ["SearchId": "x"] }),
    ]
    static let uuid = "00000000-0000-4000-8000-000000000000"
    static let vector = (0..<128).map { Double($0) }

    @Test func everyBadMemberIsNamed() async throws {
        let api = try await APIBench()
        _ = try await api.call("RekognitionService.CreateCollection", ["CollectionId": "c"])
        for (target, member, change) in Self.bad {
            var body: [String: Any] = ["CollectionId": "c", "Image": APIBench.photo(1)]
            body.merge(change()) { _, new in new }
            let reply = try await api.call(target, body)
            #expect(reply.error == "InvalidParameterException", "\(target) \(member): \(reply.message)")
            #expect(reply.message.contains(member), "\(target) \(member): \(reply.message)")
        }
        await api.bench.close()
    }

    @Test func limitsOfTheModelItselfAreAllowed() async throws {
        let api = try await APIBench()
        let name = String(repeating: "c", count: 255)
        #expect(try await api.call("RekognitionService.CreateCollection", ["CollectionId": name]).status == 200)
        for results in [0, 1, 4_096] {
            #expect(try await api.call("RekognitionService.ListCollections", ["MaxResults": results]).status == 200)
        }
        for threshold in [0, 100] {
            let reply = try await api.call(
                "RekognitionService.SearchFacesByImage",
                [
                    "CollectionId": name, "Image": APIBench.photo(1), "MaxFaces": 4_096,
                    "FaceMatchThreshold": threshold,
                ])
            #expect(reply.status == 200, "\(reply.message)")
        }
        await api.bench.close()
    }

    @Test func imagesOverTheLimitHaveTheirOwnError() async throws {
        let api = try await APIBench()
        let big = Data(count: Limits.imageBytesMax + 1).base64EncodedString()
        _ = try await api.call("RekognitionService.CreateCollection", ["CollectionId": "c"])
        let reply = try await api.call(
            "RekognitionService.IndexFaces", ["CollectionId": "c", "Image": ["Bytes": big]])
        #expect(reply.error == "ImageTooLargeException")
        let stored = try await api.call(
            "RekognitionService.IndexFaces",
            ["CollectionId": "c", "Image": ["S3Object": ["Bucket": "b", "Name": "n"]]])
        #expect(stored.error == "InvalidS3ObjectException")
        await api.bench.close()
    }
}
