import FaceModel
import Foundation
import TestBench
import Testing

@testable import RekognitionAPI

/// Search modes by header and by member, and batches.
@Suite struct ModeTests {
    private static let vector = (0..<128).map { Double($0 % 7) - 3 }

    private func withAPI(_ body: (APIBench) async throws -> Void) async throws {
        let api = try await APIBench()
        _ = try await api.call("RekognitionService.CreateCollection", ["CollectionId": "c"])
        let indexed = try await api.call(
            "FacetService.IndexVectors", ["CollectionId": "c", "Vectors": [["Vector": Self.vector]]])
        #expect(indexed.status == 200)
        try await body(api)
        await api.bench.close()
    }

    private func search(
        _ api: APIBench, _ members: [String: Any] = [:], _ headers: [String: String] = [:]
    ) async throws -> APIBench.Reply {
        let body: [String: Any] = ["CollectionId": "c", "Vector": Self.vector, "CosineThreshold": 0.5]
        return try await api.call(
            "FacetService.SearchByVector", body.merging(members) { _, new in new }, signedHeaders: headers)
    }

    @Test func headersAndMembersSayTheSame() async throws {
        let modes: [(String, String?, String)] = [
            ("exhaustive", nil, "mode=exhaustive sigmas=6"), ("certain", nil, "mode=exhaustive sigmas=infinity"),
            ("routed", nil, "mode=routed coverage=0.95 source=model buckets=1/1 sigmas=6"),
            ("routed", "0.5", "mode=routed coverage=0.5 source=model buckets=1/1 sigmas=6"),
            ("routed", "0.999", "mode=routed coverage=0.999 source=model buckets=1/1 sigmas=6"),
        ]
        try await withAPI { api in
            for (mode, coverage, text) in modes {
                var headers = ["x-facet-search-mode": mode]
                headers["x-facet-target-coverage"] = coverage
                var members: [String: Any] = ["SearchMode": mode]
                members["TargetCoverage"] = coverage.flatMap { Double($0) }
                for reply in [try await search(api, [:], headers), try await search(api, members)] {
                    #expect(reply.status == 200, "\(reply.message)")
                    #expect(reply.headers["x-facet-coverage"] == "shards=1/1 faces=1 \(text)")
                    let search = try #require(reply.headers["x-facet-search-id"])
                    let record = api.bench.ledger.entries.compactMap { entry -> String? in
                        if case .result(let result) = entry, "\(result.search)" == search { result.mode } else { nil }
                    }
                    #expect(record.map { "mode=\($0)" } == [text])
                }
                let photo = try await api.call(
                    "RekognitionService.SearchFacesByImage", ["CollectionId": "c", "Image": APIBench.photo(1)],
                    signedHeaders: headers)
                #expect(photo.headers["x-facet-coverage"]?.hasSuffix(text) == true, "\(photo.message)")
            }
        }
    }

    @Test func badHeadersAreNamed() async throws {
        let bad: [([String: String], String)] = [
            (["x-facet-search-mode": "fast"], "x-facet-search-mode"),
            (["x-facet-search-mode": ""], "x-facet-search-mode"),
            (["x-facet-search-mode": "Routed"], "x-facet-search-mode"),
            (["x-facet-target-coverage": "0.9"], "x-facet-target-coverage"),
            (["x-facet-search-mode": "certain", "x-facet-target-coverage": "0.9"], "x-facet-target-coverage"),
        ]
        let numbers = ["", "nan", "inf", "1", "0.4999", "0.9991", "-0.9", "0x0.fp0", "9e-1", "95%", "0.9,0.9", " "]
        try await withAPI { api in
            let recorded = api.bench.ledger.entries.count
            let numbered = numbers.map {
                (["x-facet-search-mode": "routed", "x-facet-target-coverage": $0], "x-facet-target-coverage")
            }
            for (headers, name) in bad + numbered {
                let reply = try await search(api, [:], headers)
                #expect(reply.error == "InvalidParameterException", "\(headers)")
                #expect(reply.message.contains(name), "\(reply.message)")
            }
            for members: [String: Any] in [
                ["SearchMode": "exhaustive"], ["SearchMode": "routed", "TargetCoverage": 0.9],
            ] {
                let both = try await search(api, members, ["x-facet-search-mode": "routed"])
                #expect(both.error == "InvalidParameterException" && both.message.contains("SearchMode"))
            }
            #expect(api.bench.ledger.entries.count == recorded)
            let unsigned = try await api.call(
                "FacetService.SearchByVector", ["CollectionId": "c", "Vector": Self.vector],
                unsignedHeaders: ["x-facet-search-mode": "routed"])
            #expect(unsigned.error == "InvalidSignatureException")
        }
    }

    @Test func aBatchSaysOfEachSearchWhatASearchSays() async throws {
        try await withAPI { api in
            let other = Self.vector.map { -$0 }
            let reply = try await api.call(
                "FacetService.SearchByVectors",
                [
                    "CollectionId": "c", "Vectors": [Self.vector, other], "CosineThreshold": 0.5, "MaxFaces": 5,
                    "SearchMode": "certain",
                ])
            #expect(reply.status == 200, "\(reply.message)")
            #expect(reply.headers["x-facet-search-id"] == nil && reply.json["FaceModelVersion"] as? String == "1.0")
            let searches = try #require(reply.json["Searches"] as? [[String: Any]])
            try #require(searches.count == 2)
            #expect(searches.map { ($0["FaceMatches"] as? [Any])?.count } == [1, 0])
            for search in searches {
                #expect(search["Coverage"] as? String == "shards=1/1 faces=1 mode=exhaustive sigmas=infinity")
                #expect((search["ExpectedStrangers"] as? NSNumber) != nil)
            }
            let alone = try await self.search(api, ["SearchMode": "certain"])
            let matches = try [alone.json, searches[0]].map { json in
                try JSONSerialization.data(
                    withJSONObject: json["FaceMatches"] as? [[String: Any]] ?? [], options: .sortedKeys)
            }
            #expect(matches[0] == matches[1] && matches[0].count > 10)
            let ids = Set(searches.compactMap { $0["SearchId"] as? String })
            let recorded = api.bench.ledger.entries.compactMap { entry -> String? in
                if case .result(let result) = entry { "\(result.search)" } else { nil }
            }
            #expect(ids.count == 2 && ids.isSubset(of: recorded))
        }
    }
}
