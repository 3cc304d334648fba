import ClusterModel
import FaceModel
import Testing

@testable import Coordinator

@Suite struct SearchFanoutTests {
    private func started(
        _ map: CollectionMap, limit: Int = 10, againMax: Int = AskingAgain.most
    ) -> (fanout: SearchFanout, asks: [SearchFanout.Ask]) {
        var fanout = SearchFanout(map, into: SearchMerge(limit: limit), againMax: againMax)
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
        let damage = fanout.step(.failed(asks[0], .damaged(asks[0].shard.id, reason: "bad block")))
        #expect(damage.compactMap(\.located) == [asks[0]])
        #expect(fanout.step(.located(asks[0], ShardHolder(node: Fixture.node(0), isOnlyCopy: true))).isEmpty)
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

    /// Its registers are right, but its files are not: another copy is asked at once.
    @Test func whereACopyIsDamagedTheOthersAreAsked() {
        var (fanout, asks) = started(Fixture.map(shards: 1))
        _ = fanout.step(.failed(asks[0], .damaged(asks[0].shard.id, reason: "bad block")))
        let others = ShardHolder(
            node: Fixture.node(0), isOnlyCopy: false, others: [Fixture.node(1), Fixture.node(2)])
        let again = fanout.step(.located(asks[0], others)).compactMap(\.ask)
        #expect(again.map(\.shard.node) == [Fixture.node(1)])
    }

    /// It was split, and its node is away: the map that the search began with says nothing of the halves.
    @Test func aShardThatHasNoRegistersAnyMoreIsLookedForInANewerMap() {
        func unreachable(_ ask: SearchFanout.Ask) -> ShardError {
            .unreachable(ask.shard.id, node: ask.shard.node, reason: "refused", outcomeUnknown: false)
        }
        for isSplit in [true, false] {
            let map = Fixture.map(shards: 2)
            var (fanout, asks) = started(map)
            _ = fanout.step(.answered(asks[1], Fixture.answer([Fixture.candidate(1, 0.5)])))
            let gone = ShardHolder(node: Fixture.node(0), isOnlyCopy: true, isRegistered: false)
            _ = fanout.step(.failed(asks[0], unreachable(asks[0])))
            #expect(fanout.step(.located(asks[0], gone)).count == 1, "the map is read")
            let newer = isSplit ? Fixture.map(shards: 2, version: 2, firstShard: 4) : map
            let again = fanout.step(.mapRead(newer)).compactMap(\.ask)
            #expect(again.count == (isSplit ? 2 : 1))
            guard !isSplit, let ask = again.first else { continue }
            // One that never had any: once is enough.
            _ = fanout.step(.failed(ask, unreachable(ask)))
            let end = fanout.step(.located(ask, gone))
            #expect(end.first?.outcome?.missing.map(\.shard) == [ask.shard.id])
        }
    }

    @Test func withoutAnyAnswerThereIsNothing() {
        var (fanout, asks) = started(Fixture.map(shards: 2))
        _ = fanout.step(.failed(asks[0], .busy(asks[0].shard.id, reason: "full")))
        #expect(fanout.step(.failed(asks[1], .stopped(asks[1].shard.id, reason: "log"))).count == 1)
        let end = fanout.step(.located(asks[1], ShardHolder(node: Fixture.node(1), isOnlyCopy: true)))
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

    @Test func aShardThatMovedIsAskedWhereItIs() {
        let errors: [ShardError] = [
            .notPrimary(Fixture.shardID(0)), .interrupted(Fixture.shardID(0)),
            .notServing(Fixture.shardID(0), reason: "no quorum"), .stopped(Fixture.shardID(0), reason: "log"),
            .damaged(Fixture.shardID(0), reason: "block"), .busy(Fixture.shardID(0), reason: "its node is stopping"),
            .unreachable(Fixture.shardID(0), node: Fixture.node(0), reason: "reset", outcomeUnknown: true),
            .unreachable(Fixture.shardID(0), node: Fixture.node(0), reason: "refused", outcomeUnknown: false),
        ]
        for error in errors {
            var (fanout, asks) = started(Fixture.map(shards: 1))
            let locating = fanout.step(.failed(asks[0], error))
            #expect(locating.compactMap(\.earlierAsks) == [0] && locating.count == 1)
            // What still comes of the ask that failed counts no more.
            #expect(fanout.step(.answered(asks[0], Fixture.answer([]))).isEmpty)
            let again = fanout.step(.located(asks[0], ShardHolder(node: Fixture.node(7), isOnlyCopy: false)))
            guard let ask = again.first?.ask, again.count == 1 else { return #expect(Bool(false), "not asked") }
            #expect(ask.shard.node == Fixture.node(7) && ask.shard.id == asks[0].shard.id && ask != asks[0])
            #expect(fanout.step(.located(asks[0], ShardHolder(node: Fixture.node(8), isOnlyCopy: false))).isEmpty)
            guard case .complete? = fanout.step(.answered(ask, Fixture.answer([]))).first?.outcome else {
                return #expect(Bool(false), "not complete")
            }
        }
    }

    @Test func aQueueThatIsFullIsNotAskedAgain() {
        let errors: [ShardError] = [
            .busy(Fixture.shardID(0), reason: "full"), .writesRefused(Fixture.shardID(0), reason: "disk"),
            .wrongDimension(expected: 1, got: 2), .deadlineExceeded(Fixture.shardID(0)),
        ]
        for error in errors {
            var (fanout, asks) = started(Fixture.map(shards: 1))
            #expect(fanout.step(.failed(asks[0], error)).first?.outcome?.missing.map(\.reason) == [error])
        }
    }

    @Test func aShardThatNeverServesEndsAtTheDeadlineWithTheReason() {
        let reason = ShardError.notServing(Fixture.shardID(0), reason: "1 of 2 copies")
        for endsWhileAsked in [true, false] {
            var (fanout, asks) = started(Fixture.map(shards: 1))
            var ask = asks[0]
            for earlier in 0..<20 {
                #expect(fanout.step(.failed(ask, reason)).compactMap(\.earlierAsks) == [earlier])
                if earlier == 19, !endsWhileAsked { break }
                let holder = ShardHolder(node: Fixture.node(earlier % 3), isOnlyCopy: false)
                guard let next = fanout.step(.located(ask, holder)).first?.ask else {
                    return #expect(Bool(false), "not asked")
                }
                ask = next
            }
            let end = fanout.step(.deadline)
            #expect(end.compactMap(\.cancelled).count == (endsWhileAsked ? 1 : 0))
            #expect(end.last?.outcome?.missing.map(\.reason) == [reason])
        }
    }

    @Test func aSilentNodeThatWasOnlyNamedIsSilent() {
        var (fanout, asks) = started(Fixture.map(shards: 1))
        _ = fanout.step(.failed(asks[0], .notPrimary(Fixture.shardID(0))))
        let again = fanout.step(.located(asks[0], ShardHolder(node: Fixture.node(3), isOnlyCopy: false)))
        #expect(again.count == 1)
        #expect(
            fanout.step(.deadline).last?.outcome?.missing == [
                MissingShard(
                    shard: Fixture.shardID(0), node: Fixture.node(3), reason: .deadlineExceeded(Fixture.shardID(0)))
            ])
    }

    @Test func askingAgainEndsAtItsBound() {
        var (fanout, asks) = started(Fixture.map(shards: 2), againMax: 3)
        _ = fanout.step(.answered(asks[1], Fixture.answer([])))
        var ask = asks[0]
        for _ in 0..<3 {
            _ = fanout.step(.failed(ask, .notPrimary(ask.shard.id)))
            guard let next = fanout.step(.located(ask, ShardHolder(node: ask.shard.node, isOnlyCopy: false))).first?.ask
            else { return #expect(Bool(false), "not asked") }
            ask = next
        }
        // Nor does it follow the shard any more.
        #expect(fanout.step(.held([ask.shard.id: Fixture.node(9)])).isEmpty)
        let end = fanout.step(.failed(ask, .notPrimary(ask.shard.id)))
        #expect(end.first?.outcome?.missing.map(\.reason) == [.notPrimary(ask.shard.id)])
    }

    @Test func aSilentNodeIsLeftWhenAnotherCopyIsChosen() {
        var (fanout, asks) = started(Fixture.map(shards: 3))
        _ = fanout.step(.answered(asks[2], Fixture.answer([])))
        _ = fanout.step(.failed(asks[1], .unknownShard(asks[1].shard.id)))
        #expect(fanout.waitedFor == [asks[0].shard, asks[1].shard])
        let nodes = [0: 5, 1: 6, 2: 7].reduce(into: [:]) { $0[Fixture.shardID($1.key)] = Fixture.node($1.value) }
        let effects = fanout.step(.held(nodes))
        #expect(effects.compactMap(\.cancelled) == [asks[0], asks[1]])
        let again = effects.compactMap(\.ask)
        #expect(again.map(\.shard.node) == [5, 6].map(Fixture.node) && effects.count == 4)
        #expect(fanout.step(.held(nodes)).isEmpty)
        #expect(fanout.step(.answered(asks[0], Fixture.answer([]))).isEmpty)
        _ = fanout.step(.answered(again[0], Fixture.answer([])))
        guard case .complete? = fanout.step(.answered(again[1], Fixture.answer([]))).first?.outcome else {
            return #expect(Bool(false), "not complete")
        }
    }

    @Test func allCopiesAreTriedWhereTheRegistersStandStill() {
        for error in [
            ShardError.notPrimary(Fixture.shardID(0)),
            .unreachable(Fixture.shardID(0), node: Fixture.node(0), reason: "refused", outcomeUnknown: false),
        ] {
            var (fanout, asks) = started(Fixture.map(shards: 1))
            var ask = asks[0]
            let holder = ShardHolder(
                node: Fixture.node(0), isOnlyCopy: false, others: [Fixture.node(1), Fixture.node(2)])
            var asked: [NodeID] = []
            for _ in 0..<16 {
                _ = fanout.step(.failed(ask, error))
                guard let next = fanout.step(.located(ask, holder)).first?.ask else {
                    return #expect(Bool(false), "not asked")
                }
                ask = next
                asked.append(ask.shard.node)
            }
            #expect(asked.prefix(AskingAgain.sameNodeMax).allSatisfy { $0 == Fixture.node(0) })
            #expect(Set(asked) == Set((0..<3).map(Fixture.node)))
            // One that was tried on suspicion is not left for what the registers say as before, but for news.
            while ask.shard.node == Fixture.node(0) {
                _ = fanout.step(.failed(ask, error))
                guard let next = fanout.step(.located(ask, holder)).first?.ask else { return }
                ask = next
            }
            #expect(fanout.step(.held([ask.shard.id: Fixture.node(0)])).isEmpty)
            #expect(fanout.step(.held([ask.shard.id: Fixture.node(9)])).count == 2)
        }
    }

    @Test func whoServesNotYetIsNotLeft() {
        var (fanout, asks) = started(Fixture.map(shards: 1))
        var ask = asks[0]
        for _ in 0..<20 {
            _ = fanout.step(.failed(ask, .notServing(ask.shard.id, reason: "1 of 2 copies")))
            let holder = ShardHolder(node: Fixture.node(0), isOnlyCopy: false, others: [Fixture.node(1)])
            guard let next = fanout.step(.located(ask, holder)).first?.ask else { return #expect(Bool(false)) }
            ask = next
            #expect(ask.shard.node == Fixture.node(0))
        }
    }

    @Test func pausesGrowToTheirBound() {
        let pauses = (0..<12).map { AskingAgain.pause(after: $0) }
        #expect(pauses.first == .milliseconds(5) && pauses[3] == .milliseconds(40) && pauses.last == .milliseconds(250))
        #expect(zip(pauses, pauses.dropFirst()).allSatisfy { $0 <= $1 })
        #expect(AskingAgain.pause(after: .max) == .milliseconds(250))
    }

    /// It was split, and its files are gone: nobody can open it any more.
    @Test func aShardThatIsInTheMapNoMoreMakesItBeRead() {
        var (fanout, asks) = started(Fixture.map(shards: 1))
        _ = fanout.step(.failed(asks[0], .unknownShard(asks[0].shard.id)))
        #expect(fanout.step(wrongOwner(asks[0])).compactMap(\.earlierReads) == [0])
        let newer = Fixture.map(version: 2, [(7, [0]), (8, [1])])
        #expect(fanout.step(.mapRead(newer)).compactMap(\.ask).map(\.shard) == newer.shards)
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
            ShardSearchAnswer(candidates: candidates, facesScored: scored, buckets: 1, at: .zero, tree: .zero)
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
