import AuditLedger
import ClusterModel
import FaceModel
import TestBench
import Testing

@testable import Coordinator

/// Searches that compare a probe with some buckets only.
@Suite struct RoutedSearchTests {
    @Test func modesHaveOneText() {
        #expect(SearchMode.exhaustive.text(nil) == "exhaustive sigmas=6")
        #expect(SearchMode.certain.text(nil) == "exhaustive sigmas=infinity")
        let route = RouteCounts(source: .mates, probed: 37, buckets: 2_011)
        #expect(
            SearchMode.routed(coverage: 0.95).text(route)
                == "routed coverage=0.95 source=mates buckets=37/2011 sigmas=6")
        #expect(SearchMode.routed(coverage: 0.999).text(nil) == "routed coverage=0.999 sigmas=6")
    }

    @Test func withoutSplitsEverythingIsProbedAndSaidSo() async throws {
        let people = try await PeopleCluster(people: 20)
        for probe in people.probes.prefix(5) {
            let every = try await people.search(probe, .exhaustive)
            let certain = try await people.search(probe, .certain)
            let routed = try await people.search(probe, .routed(coverage: 0.5))
            #expect(every.scores == routed.scores && every.scores == certain.scores)
            #expect(certain.coverage.description == "shards=4/4 faces=40 mode=exhaustive sigmas=infinity")
            #expect(
                routed.coverage.description
                    == "shards=4/4 faces=40 mode=routed coverage=0.5 source=assumed buckets=4/4 sigmas=6")
        }
    }

    /// Fewer mates than a curve takes are no reason to probe fewer buckets.
    @Test func whereEveryBucketIsProbedTheAnswerIsTheExhaustiveOne() async throws {
        let people = try await PeopleCluster(people: 150)
        people.divideBuckets(largerThan: 10)
        for probe in people.probes.prefix(40) {
            let every = try await people.search(probe, .exhaustive)
            let routed = try await people.search(probe, .routed(coverage: 0.999))
            let route = try #require(routed.coverage.route)
            #expect(route.probed == route.buckets && route.buckets > 20 && route.source == .mates)
            #expect(routed.scores == every.scores && routed.coverage.facesScored == 300)
        }
    }

    @Test func someBucketsAreEnoughForTheMatesThatWereAskedFor() async throws {
        let people = try await PeopleCluster(people: 1_000)
        people.divideBuckets(largerThan: 20)
        for coverage in [0.7, 0.9] {
            var (found, probed, faces) = (0, 0, 0)
            for probe in people.probes.prefix(300) {
                let best = try await people.search(probe, .exhaustive, limit: 1).candidates[0].face.id
                let routed = try await people.search(probe, .routed(coverage: coverage), limit: 1)
                let route = try #require(routed.coverage.route)
                #expect(route.source == .mates && route.buckets > 100)
                found += routed.candidates.first?.face.id == best ? 1 : 0
                probed += route.probed
                faces += routed.coverage.facesScored
                #expect(routed.coverage.shardsAnswered == routed.coverage.shardsAsked)
            }
            // Five deviations of 300 probes, and as many of the mates behind the curve.
            #expect(Double(found) / 300 > coverage - 0.15, "coverage \(coverage): \(found)")
            #expect(faces < 300 * 2_000 * 3 / 4 && probed > 0, "coverage \(coverage): \(faces) faces")
        }
    }

    @Test func theLedgerSaysWhatTheAnswerSays() async throws {
        let people = try await PeopleCluster(people: 250)
        people.divideBuckets(largerThan: 20)
        for mode in [SearchMode.exhaustive, .certain, .routed(coverage: 0.8)] {
            let answer = try await people.search(people.probes[0], mode)
            guard case .result(let result)? = people.cluster.bench.ledger.entries.last else {
                return #expect(Bool(false), "no result")
            }
            #expect(answer.coverage.description.hasSuffix("mode=\(result.mode)"))
            #expect(result.facesScored == answer.coverage.facesScored)
            #expect(result.shardsAsked == answer.coverage.shardsAsked)
        }
    }

    @Test func shardsWithoutAChosenBucketAreNotAsked() async throws {
        let people = try await PeopleCluster(people: 1_000)
        people.divideBuckets(largerThan: 20)
        _ = try await people.search(people.probes[0], .routed(coverage: 0.5))
        var fewest = 4
        for probe in people.probes.prefix(60) {
            people.cluster.bench.shards.forgetCalls()
            let answer = try await people.search(probe, .routed(coverage: 0.5))
            let asked = people.cluster.bench.shards.calls.filter { $0.operation == .search }
            #expect(answer.coverage.shardsAsked == asked.count && answer.coverage.shardsAnswered == asked.count)
            fewest = min(fewest, asked.count)
        }
        #expect(fewest < 4)
    }

    /// A bucket that was split since it was read stands for what came of it; then the directory catches up.
    @Test func aDirectoryOlderThanTheTreesFindsTheSame() async throws {
        let people = try await PeopleCluster(people: 600)
        people.divideBuckets(largerThan: 100)
        let mode = SearchMode.routed(coverage: 0.9)
        let before = try await people.search(people.probes[3], mode)
        people.divideBuckets(largerThan: 10)
        let after = try await people.search(people.probes[3], mode)
        #expect(after.scores == before.scores && after.coverage == before.coverage)
        let known = try #require(before.coverage.route?.buckets)
        let limit = ContinuousClock.now + .seconds(60)
        var now = known
        while now == known, ContinuousClock.now < limit {
            now = try await people.search(people.probes[3], mode).coverage.route?.buckets ?? 0
        }
        #expect(now > 2 * known)
    }

    @Test func aShardThatGaveNoBucketsIsScoredWhole() async throws {
        let people = try await PeopleCluster(people: 300)
        people.divideBuckets(largerThan: 20)
        let place = try await people.cluster.map().shards[1]
        people.cluster.bench.shards.breakCalls { operation, call in
            operation == .buckets && call.shard == place.id ? .fail(.busy(place.id, reason: "queue")) : nil
        }
        let held = try await people.cluster.bench.shards.statistics(
            people.cluster.bench.context().scope.call(place)
        ).faces
        for probe in people.probes.prefix(10) {
            people.cluster.bench.shards.forgetCalls()
            let answer = try await people.search(probe, .routed(coverage: 0.5))
            #expect(answer.coverage.facesScored >= held && answer.missing.isEmpty)
            #expect(people.cluster.bench.shards.calls.contains { $0.operation == .search && $0.call.shard == place.id })
        }
    }

    @Test func aShardThatGivesNoAnswerIsMissedAsInAnySearch() async throws {
        let people = try await PeopleCluster(people: 30)
        let place = try await people.cluster.map().shards[2]
        people.cluster.bench.shards.breakCalls { operation, call in
            operation == .search && call.shard == place.id ? .fail(.busy(place.id, reason: "queue")) : nil
        }
        await #expect(throws: CoordinatorError.self) {
            try await people.search(people.probes[0], .routed(coverage: 0.9))
        }
        guard case .result(let result)? = people.cluster.bench.ledger.entries.last else {
            return #expect(Bool(false), "no result")
        }
        #expect(result.outcome == .failed(code: "shards-missing") && result.mode.hasPrefix("routed coverage=0.9"))
    }

    @Test func allSearchesTakeAMode() async throws {
        let people = try await PeopleCluster(people: 250)
        people.divideBuckets(largerThan: 20)
        let like = people.cluster.faces[7].id
        let answer = try await people.cluster.index.searchFaces(
            like: like, limit: 5, threshold: .cosine(-1), mode: .routed(coverage: 0.9),
            collection: people.cluster.name, in: people.cluster.bench.context())
        #expect(!answer.candidates.isEmpty && !answer.candidates.map(\.face.id).contains(like))
        #expect(answer.coverage.route != nil)
    }
}
