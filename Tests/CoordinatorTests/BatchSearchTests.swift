import AuditLedger
import ClusterModel
import FaceModel
import TestBench
import Testing

@testable import Coordinator

/// Several vectors in one request: searches of their own in one pass.
@Suite struct BatchSearchTests {
    private static let modes: [SearchMode] = [.exhaustive, .certain, .routed(coverage: 0.7)]

    @Test(arguments: modes) func aBatchAnswersAsItsSearchesAlone(_ mode: SearchMode) async throws {
        let people = try await PeopleCluster(people: 400)
        people.divideBuckets(largerThan: 20)
        let probes = Array(people.probes.prefix(Limits.searchesPerRequestMax))
        var alone: [SearchAnswer] = []
        for probe in probes { alone.append(try await people.search(probe, mode)) }
        people.cluster.bench.shards.forgetCalls()
        let recorded = people.cluster.bench.ledger.entries.count
        let answers = try await people.batch(probes, mode)
        try #require(answers.count == probes.count)
        for (answer, expected) in zip(answers, alone) {
            #expect(answer.scores == expected.scores && answer.coverage == expected.coverage)
            #expect(answer.expectedStrangers == expected.expectedStrangers)
        }
        let calls = people.cluster.bench.shards.calls
        #expect(calls.allSatisfy { $0.operation == .search } && calls.count == Set(calls.map(\.call.shard)).count)
        try onRecord(answers, Array(people.cluster.bench.ledger.entries.dropFirst(recorded)))
    }

    /// An intent and a result each, and every intent before the first result.
    private func onRecord(_ answers: [SearchAnswer], _ entries: [LedgerEntry]) throws {
        #expect(Set(answers.map(\.search)).count == answers.count)
        try #require(entries.count == 2 * answers.count)
        let intents = entries.prefix(answers.count).compactMap { entry -> SearchIntent? in
            if case .intent(let intent) = entry { intent } else { nil }
        }
        let results = entries.dropFirst(answers.count).compactMap { entry -> SearchResult? in
            if case .result(let result) = entry { result } else { nil }
        }
        #expect(Set(intents.map(\.search)) == Set(answers.map(\.search)))
        #expect(Set(intents.map(\.probeDigest)).count == answers.count)
        #expect(intents.allSatisfy { $0.operation == "SearchByVectors" })
        for answer in answers {
            let result = results.first { $0.search == answer.search }
            #expect(result?.candidates.map(\.face) == answer.candidates.map(\.face.id))
            #expect(result?.facesScored == answer.coverage.facesScored)
        }
    }

    @Test func oneBadVectorFailsTheBatchBeforeAnythingIsOnRecord() async throws {
        let people = try await PeopleCluster(people: 10)
        var probes = Array(people.probes.prefix(5))
        probes[3] = Embedding([Float](repeating: 0, count: 64))
        await #expect(throws: CoordinatorError.vector(index: 3, .normTooSmall)) {
            try await people.batch(probes, .exhaustive)
        }
        probes[3] = people.probes[3]
        probes[4].values[7] = .nan
        await #expect(throws: CoordinatorError.vector(index: 4, .notFinite(component: 7))) {
            try await people.batch(probes, .exhaustive)
        }
        #expect(people.cluster.bench.ledger.entries.isEmpty && people.cluster.bench.shards.calls.isEmpty)
    }

    @Test func aLedgerThatRefusesMeansNoAnswer() async throws {
        let people = try await PeopleCluster(people: 10)
        people.cluster.bench.ledger.refuse("disk full")
        await #expect(throws: CoordinatorError.ledger(.refusing(reason: "disk full"))) {
            try await people.batch(people.probes, .exhaustive)
        }
    }

    @Test func aMissingShardIsMissingForAllAndEachIsOnRecord() async throws {
        let people = try await PeopleCluster(people: 40)
        let place = try await people.cluster.map().shards[2]
        people.cluster.bench.shards.breakCalls { operation, call in
            operation == .search && call.shard == place.id ? .fail(.stopped(place.id, reason: "log")) : nil
        }
        let probes = Array(people.probes.prefix(8))
        await #expect(throws: CoordinatorError.self) { try await people.batch(probes, .exhaustive) }
        let results = people.cluster.bench.ledger.entries.compactMap { entry -> SearchResult? in
            if case .result(let result) = entry { result } else { nil }
        }
        #expect(results.count == 8 && results.allSatisfy { $0.outcome == .failed(code: "shards-missing") })
        let partial = try await people.batch(probes, .exhaustive, partial: true)
        #expect(partial.allSatisfy { $0.missing.map(\.shard) == [place.id] && $0.coverage.shardsAnswered == 3 })
    }
}
