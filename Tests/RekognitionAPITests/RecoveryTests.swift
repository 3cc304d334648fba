import FaceModel
import Foundation
import TestBench
import Testing

@testable import RekognitionAPI

/// What operators ask where copies or registers are lost, over a server that has lost nothing.
@Suite struct RecoveryTests {
    @Test func aShardThatIsWholeIsNotRecovered() async throws {
        let api = try await APIBench()
        _ = try await api.call("RekognitionService.CreateCollection", ["CollectionId": "c"])
        let shards = try FileManager.default.contentsOfDirectory(atPath: api.bench.root + "/shards")
        let shard = try #require(shards.first)
        for accepts in [false, true] {
            let reply = try await api.call("FacetService.RecoverShard", ["Shard": shard, "AcceptLoss": accepts])
            #expect(reply.error == "InvalidParameterException" && reply.message.contains("counts and is whole"))
        }
        let unknown = try await api.call("FacetService.RecoverShard", ["Shard": Bits128(high: 1, low: 1).text])
        #expect(unknown.error == "ResourceNotFoundException")
        for bad in [["AcceptLoss": true], ["Shard": "x"], ["Shard": shard, "AcceptLoss": "yes"]] as [[String: Any]] {
            #expect(try await api.call("FacetService.RecoverShard", bad).error == "InvalidParameterException")
        }
        let auditor = api.asked(by: .embedded, roles: [.auditor, .enroller, .searcher])
        #expect(
            try await auditor.call("FacetService.RecoverShard", ["Shard": shard]).error == "AccessDeniedException")
        await api.bench.close()
    }

    @Test func registersAreMadeAnewByOperatorsOnly() async throws {
        let api = try await APIBench()
        _ = try await api.call("RekognitionService.CreateCollection", ["CollectionId": "c"])
        #expect(try await api.call("FacetService.RebuildRegisters", [:]).error == "AccessDeniedException")
        let operators = api.asked(by: .cluster)
        let reply = try await operators.call("FacetService.RebuildRegisters", ["Without": ["node-9"]])
        #expect(reply.json["Done"] as? Bool == true && reply.json["Without"] as? [String] == ["node-9"])
        let shards = try #require(reply.json["Shards"] as? [[String: Any]])
        #expect(shards.map { $0["Outcome"] as? String } == ["current"])
        #expect(shards.first?["CollectionId"] as? String == "c")
        for bad in [["Without": ["a b"]], ["Without": "a"], ["DryRun": 1]] as [[String: Any]] {
            #expect(
                try await operators.call("FacetService.RebuildRegisters", bad).error == "InvalidParameterException")
        }
        await api.bench.close()
    }
}
