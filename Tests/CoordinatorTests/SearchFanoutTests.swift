import ClusterModel
import FaceModel
import Testing

@testable import Coordinator

@Suite struct SearchFanoutTests {
    private func started(
        _ map: CollectionMap, limit: Int = 10
    ) -> (fanout: SearchFanout, asks: [SearchFanout.Ask]) {
        var fanout = SearchFanout(map, into: SearchMerge(limit: limit))
        let effects = fanout.start()
        return (fanout, effects.compactMap(\.ask))
    }

    private func wrongOwner(_ ask: SearchFanout.Ask) -> SearchFanout.Event {
        .failed(ask, .wrongOwner(ask.shard.id, owned: []))
    }

    @Test func everyShardIsAskedOnceAndTheirAnswersAreMerged() throws {
        var (fanout, asks) = started(Fixture.map(shards: 3), limit: 4)
        #expect(asks.map(\.shard) == Fixture.map(shards: 3).shards)
        let answers = [
            [Fixture.candidate(5, 0.9), Fixture.candidate(1, 0.5)],
            [Fixture.candidate(2, 0.5), Fixture.candidate(3, 0.4), Fixture.candidate(4, 0.3)],
            [Fixture.candidate(0, 0.5), Fixture.candidate(5, 0.9)],
        ]
        #expect(fanout.step(.answered(asks[1], Fixture.answer(answers[1], scored: 10))).isEmpty)
        #expect(fanout.step(.answered(asks[0], Fixture.answer(answers[0], scored: 20))).isEmpty)
        let effects = fanout.step(.answered(asks[2], Fixture.answer(answers[2], scored: 30)))
        guard case .complete(let merge)? = effects.first?.outcome else { return #expect(Bool(false), "not complete") }
        // Equal scores by FaceID; face 5 once; at most four.
        #expect(merge.candidates.map(\.face.id) == [5, 0, 1, 2].map(Fixture.face))
        #expect(merge.facesScored == 60 && merge.shardsAnswered == 3)
        #expect(fanout.step(.deadline).isEmpty)
    }

    @Test func aShardThatIsNotOpenIsOpenedAndAskedAgain() {
        var (fanout, asks) = started(Fixture.map(shards: 1))
        let opening = fanout.step(.failed(asks[0], .unknownShard(asks[0].shard.id)))
        #expect(opening.compactMap(\.opening) == [asks[0]] && opening.count == 1)
        // What is still said of the first ask counts no more.
        #expect(fanout.step(.answered(asks[0], Fixture.answer([]))).isEmpty)
        let again = fanout.step(.opened(asks[0]))
        #expect(again.compactMap(\.ask).map(\.shard) == [asks[0].shard] && again.compactMap(\.ask) != asks)
        #expect(fanout.step(.opened(asks[0])).isEmpty)
        guard let ask = again.first?.ask else { return }
        #expect(fanout.step(.answered(ask, Fixture.answer([]))).first?.outcome?.missing == [])
    }

    @Test func aShardThatForgetsItsOpeningsIsGivenUp() {
        var (fanout, asks) = started(Fixture.map(shards: 1))
        var ask = asks[0]
        for _ in 0..<Limits.openingsPerShardMax {
            #expect(fanout.step(.failed(ask, .unknownShard(ask.shard.id))).first?.opening == ask)
            guard let next = fanout.step(.opened(ask)).first?.ask else { return #expect(Bool(false), "not asked") }
            ask = next
        }
        let end = fanout.step(.failed(ask, .unknownShard(ask.shard.id)))
        #expect(end.first?.outcome?.missing.map(\.reason) == [.unknownShard(ask.shard.id)])
    }

    @Test func aShardThatCannotBeOpenedIsMissingWithTheReason() {
        var (fanout, asks) = started(Fixture.map(shards: 2))
        _ = fanout.step(.failed(asks[0], .unknownShard(asks[0].shard.id)))
        #expect(fanout.step(.failed(asks[0], .damaged(asks[0].shard.id, reason: "bad block"))).isEmpty)
        let end = fanout.step(.answered(asks[1], Fixture.answer([Fixture.candidate(1, 0.5)])))
        guard case .partial(let merge, let missing)? = end.first?.outcome else {
            return #expect(Bool(false), "not partial")
        }
        #expect(merge.candidates.count == 1)
        #expect(
            missing == [
                MissingShard(
                    shard: Fixture.shardID(0), node: Fixture.node(0),
                    reason: .damaged(Fixture.shardID(0), reason: "bad block"))
            ])
    }

    @Test func withoutAnyAnswerThereIsNothing() {
        var (fanout, asks) = started(Fixture.map(shards: 2))
        _ = fanout.step(.failed(asks[0], .busy(asks[0].shard.id, reason: "full")))
        let end = fanout.step(.failed(asks[1], .stopped(asks[1].shard.id, reason: "log")))
        guard case .failed(let missing)? = end.first?.outcome else { return #expect(Bool(false), "not failed") }
        #expect(missing.map(\.shard) == [0, 1].map(Fixture.shardID))
    }

    @Test func theDeadlineNamesWhoIsMissingAndCancelsThem() {
        var (fanout, asks) = started(Fixture.map(shards: 4))
        _ = fanout.step(.answered(asks[2], Fixture.answer([Fixture.candidate(1, 0.5)])))
        _ = fanout.step(.failed(asks[1], .unknownShard(asks[1].shard.id)))
        _ = fanout.step(wrongOwner(asks[3]))
        let effects = fanout.step(.deadline)
        #expect(effects.compactMap(\.cancelled) == [asks[0], asks[1]])
        #expect(
            effects.last?.outcome?.missing.map(\.reason) == [
                .deadlineExceeded(Fixture.shardID(0)), .deadlineExceeded(Fixture.shardID(1)),
                .wrongOwner(Fixture.shardID(3), owned: []),
            ])
        for event in [
            SearchFanout.Event.answered(asks[0], Fixture.answer([])), .opened(asks[1]), .mapUnread, .deadline,
        ] {
            #expect(fanout.step(event).isEmpty)
        }
    }

    @Test func aNewerMapBeginsTheSearchAgain() {
        var (fanout, old) = started(Fixture.map(shards: 3))
        _ = fanout.step(.answered(old[0], Fixture.answer([Fixture.candidate(1, 0.9)])))
        #expect(fanout.step(wrongOwner(old[1])).compactMap(\.earlierReads) == [0])
        let newer = Fixture.map(version: 2, [(0, [0]), (1, [1]), (2, [2]), (7, [3])])
        let effects = fanout.step(.mapRead(newer))
        #expect(effects.compactMap(\.cancelled) == [old[2]])
        let asks = effects.compactMap(\.ask)
        #expect(asks.map(\.shard) == newer.shards)
        // Late words about the old map change nothing.
        #expect(fanout.step(.answered(old[2], Fixture.answer([Fixture.candidate(3, 0.9)]))).isEmpty)
        #expect(fanout.step(wrongOwner(old[2])).isEmpty)
        #expect(fanout.step(.mapRead(Fixture.map(shards: 1, version: 3))).isEmpty)
        var end: [SearchFanout.Effect] = []
        for ask in asks { end = fanout.step(.answered(ask, Fixture.answer([Fixture.candidate(9, 0.1)]))) }
        guard case .complete(let merge)? = end.first?.outcome else { return #expect(Bool(false), "not complete") }
        #expect(merge.candidates.map(\.face.id) == [Fixture.face(9)] && merge.shardsAnswered == 4)
    }

    @Test func aShardAheadOfTheMapIsAskedAgainAfterEachReadUntilTheBound() {
        var (fanout, asks) = started(Fixture.map(shards: 2))
        _ = fanout.step(.answered(asks[1], Fixture.answer([Fixture.candidate(1, 0.5)])))
        var ask = asks[0]
        for read in 0..<Limits.mapReadsPerRequestMax {
            #expect(fanout.step(wrongOwner(ask)).compactMap(\.earlierReads) == [read])
            // A map that lags behind is no news either.
            let map = Fixture.map(shards: 2, version: read.isMultiple(of: 2) ? 1 : 0)
            guard let next = fanout.step(.mapRead(map)).first?.ask else { return #expect(Bool(false), "not asked") }
            #expect(next.shard == asks[0].shard)
            ask = next
        }
        let end = fanout.step(wrongOwner(ask))
        #expect(end.first?.outcome?.missing.map(\.reason) == [.wrongOwner(Fixture.shardID(0), owned: [])])
    }

    @Test func severalDisagreementsReadTheMapOnce() {
        var (fanout, asks) = started(Fixture.map(shards: 3))
        #expect(fanout.step(wrongOwner(asks[0])).count == 1)
        #expect(fanout.step(wrongOwner(asks[1])).isEmpty)
        let again = fanout.step(.mapRead(Fixture.map(shards: 3))).compactMap(\.ask)
        #expect(again.map(\.shard.id) == [0, 1].map(Fixture.shardID))
        _ = fanout.step(wrongOwner(again[0]))
        _ = fanout.step(.answered(again[1], Fixture.answer([])))
        _ = fanout.step(.answered(asks[2], Fixture.answer([])))
        #expect(fanout.step(.mapUnread).last?.outcome?.missing.map(\.shard) == [Fixture.shardID(0)])
    }

    @Test func aMapOfNothingToAskIsComplete() {
        var fanout = ShardFanout(
            Fixture.map(shards: 2), into: ShardAnswers<Int>(), choosing: { _ in [] })
        guard case .complete(let none)? = fanout.start().first?.outcome else { return #expect(Bool(false)) }
        #expect(none.answers.isEmpty)
    }

    @Test func answersThatMakeNoSenseAreFound() {
        let search = ShardSearch(query: RotatedVector(rotated: []), limit: 2, minScore: 0.4, sigmas: 6)
        func fault(_ candidates: [ShardCandidate], scored: Int = 9) -> String? {
            ShardSearchAnswer(candidates: candidates, facesScored: scored, buckets: 1, lsn: .zero, tree: .zero)
                .implausibility(as: search)
        }
        let (a, b) = (Fixture.candidate(1, 0.9), Fixture.candidate(2, 0.4))
        #expect(fault([a, b]) == nil && fault([]) == nil)
        #expect(fault([b, a]) != nil && fault([a, a]) != nil)
        #expect(fault([a, b], scored: 1) != nil)
        #expect(fault([a, b, Fixture.candidate(3, 0.4)]) != nil)
        #expect(fault([a, Fixture.candidate(3, 0.39)]) != nil)
        #expect(fault([Fixture.candidate(3, .nan)]) != nil)
    }
}
