import Foundation
import TestBench
import Testing

@testable import RekognitionAPI

/// How new reads are, by headers.
@Suite struct ConsistencyTests {
    private static let vector = (0..<128).map { Double($0 % 7) - 3 }

    private func withAPI(_ body: (APIBench, String) async throws -> Void) async throws {
        let api = try await APIBench()
        _ = try await api.call("RekognitionService.CreateCollection", ["CollectionId": "c"])
        let indexed = try await api.call(
            "FacetService.IndexVectors", ["CollectionId": "c", "Vectors": [["Vector": Self.vector]]])
        try await body(api, try #require(indexed.headers["x-facet-session"]))
        await api.bench.close()
    }

    private func search(_ api: APIBench, _ headers: [String: String]) async throws -> APIBench.Reply {
        try await api.call(
            "FacetService.SearchByVector", ["CollectionId": "c", "Vector": Self.vector, "CosineThreshold": 0.5],
            signedHeaders: headers)
    }

    @Test func answersAndTheLedgerSayHowTheyWereRead() async throws {
        try await withAPI { api, session in
            let asked: [([String: String], String)] = [
                ([:], ""), (["x-facet-consistency": "strong", "x-facet-session": session], ""),
                (["x-facet-consistency": "session", "x-facet-session": session], " reads=session"),
                (["x-facet-consistency": "bounded=250"], " reads=bounded:250"),
            ]
            for (headers, words) in asked {
                let reply = try await search(api, headers)
                #expect(reply.status == 200, "\(reply.message)")
                let mode = "exhaustive sigmas=6\(words)"
                #expect(reply.headers["x-facet-coverage"] == "shards=1/1 faces=1 mode=\(mode)")
                #expect(reply.headers["x-facet-session"] != nil)
                guard case .result(let result)? = api.bench.ledger.entries.last else { throw CancellationError() }
                #expect(result.mode == mode)
            }
            let page = try await api.call(
                "RekognitionService.ListFaces", ["CollectionId": "c"],
                signedHeaders: ["x-facet-consistency": "session", "x-facet-session": session])
            #expect(page.status == 200 && page.headers["x-facet-session"] != nil)
        }
    }

    @Test func badHeadersAreNamed() async throws {
        try await withAPI { api, session in
            for level in ["", "weak", "STRONG", "bounded", "bounded=", "bounded=0", "bounded=3600001", "bounded=1.5"] {
                let reply = try await search(api, ["x-facet-consistency": level])
                #expect(reply.error == "InvalidParameterException", "\(level)")
                #expect(reply.message.contains("x-facet-consistency must be strong"), "\(reply.message)")
            }
            for token in ["", "nonsense", String(session.dropLast(4))] {
                let reply = try await search(api, ["x-facet-session": token])
                #expect(reply.status == 400 && reply.message.contains("x-facet-session"), "\(reply.message)")
            }
            let none = try await search(api, ["x-facet-consistency": "session"])
            #expect(none.status == 400 && none.message.contains("x-facet-session"))
            let routed = try await search(
                api, ["x-facet-consistency": "bounded=100", "x-facet-search-mode": "routed"])
            #expect(routed.status == 400 && routed.message.contains("must be strong"))
            let unsigned = try await api.call(
                "RekognitionService.ListFaces", ["CollectionId": "c"],
                unsignedHeaders: ["x-facet-consistency": "strong"])
            #expect(unsigned.error == "InvalidSignatureException")
        }
    }
}
