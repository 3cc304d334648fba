import ClusterModel
import FaceModel
import Logging

/// What came of asking a collection's shards, and the map they were asked at.
struct Gathering<Gathered: ShardGathering>: Sendable {
    var outcome: ShardFanout<Gathered>.Outcome
    var map: CollectionMap
    /// How many shards were asked.
    var asked: Int

    /// What was gathered, whole or not.
    var gathered: Gathered? {
        switch outcome {
        case .complete(let gathered), .partial(let gathered, _): gathered
        case .failed: nil
        }
    }

    var missing: [MissingShard] {
        switch outcome {
        case .complete: []
        case .partial(_, let missing), .failed(let missing): missing
        }
    }
}

/// Each shard's own answer, in no particular order.
struct ShardAnswers<Answer: Sendable>: ShardGathering {
    private(set) var answers: [Answer] = []
    mutating func add(_ answer: Answer, from shard: CollectionMap.Shard) { answers.append(answer) }
}

extension FaceIndex {
    /// Asks the shards of the collection in parallel, each at the node of its primary, or, `reading` what need not be all, at
    /// any of its copies; opens those that a node has not
    /// opened yet, asks again where another copy may answer (at most `againMax` times), and follows the map where it
    /// changes. Ends at the scope's deadline. Every shard that gave no answer is counted and logged here, once, unless
    /// `quiet`: what is asked every second says so on its own screen.
    func gather<Gathered: ShardGathering>(
        _ empty: Gathered, from handle: CollectionHandle, _ scope: CallScope,
        choosing: @escaping @Sendable (CollectionMap) -> [CollectionMap.Shard] = { $0.shards },
        againMax: Int = AskingAgain.most, reading: Bool = false, quiet: Bool = false,
        ask: @escaping @Sendable (CollectionMap.Shard, ShardCall) async throws(ShardError) -> Gathered.Answer
    ) async -> Gathering<Gathered> {
        let session = reading ? scope.session : nil
        let anywhere = session.map { !$0.isStrong } ?? false
        let driver = FanoutDriver<Gathered>(
            deadline: scope.deadline, looks: settings.placement == .registeredNodes && againMax > 0 && !anywhere,
            ask: { (shard) async throws(ShardError) in
                try await ask(shard, scope.call(shard, session?.level(of: shard.id) ?? .strong))
            },
            open: { (shard) async throws(ShardError) in try await self.openHolder(of: shard, in: handle, scope) },
            locate: { anywhere ? await self.nextCopy(of: $0) : await self.holderAndOthers(of: $0) },
            readMap: { await self.newestMap(of: handle, scope, anywhere: anywhere) })
        let (outcome, map, asked) = await driver.run(
            ShardFanout(
                await placed(handle.map, anywhere: anywhere), into: empty, choosing: choosing, againMax: againMax))
        let gathering = Gathering(outcome: outcome, map: map, asked: asked)
        for missing in gathering.missing where !quiet { report(missing, handle, scope) }
        return gathering
    }

    /// The same where nothing less than every shard asked will do.
    func complete<Gathered: ShardGathering>(
        _ empty: Gathered, from handle: CollectionHandle, _ scope: CallScope, againMax: Int = AskingAgain.most,
        reading: Bool = false,
        ask: @escaping @Sendable (CollectionMap.Shard, ShardCall) async throws(ShardError) -> Gathered.Answer
    ) async throws(CoordinatorError) -> Gathered {
        let gathering = await gather(empty, from: handle, scope, againMax: againMax, reading: reading, ask: ask)
        if case .complete(let gathered) = gathering.outcome { return gathered }
        throw await incomplete(gathering, handle)
    }

    /// The error for what is missing: unless the collection is, which explains it.
    func incomplete<Gathered>(
        _ gathering: Gathering<Gathered>, _ handle: CollectionHandle, writing: Bool = false
    ) async -> CoordinatorError {
        if await isGone(handle.collection) { return .collectionNotFound(handle.collection.name) }
        let (asked, missing) = (gathering.asked, gathering.missing)
        return writing
            ? .incompleteWrite(asked: asked, written: asked - missing.count, missing: missing)
            : .incomplete(asked: asked, answered: asked - missing.count, missing: missing)
    }

    private func isGone(_ collection: CollectionRegister) async -> Bool {
        do throws(CoordinatorError) {
            let register = try await readFresh(.collection(collection.tenant, collection.name))
            guard case .collection(let now)? = register?.value else { return true }
            return now.uid != collection.uid
        } catch {
            // The missing shards are the better explanation.
            return false
        }
    }

    private func placed(_ map: CollectionMap, anywhere: Bool) async -> CollectionMap {
        anywhere ? await spread(map) : await placed(map)
    }

    /// Nil when the map is gone or cannot be read or used.
    private func newestMap(
        of handle: CollectionHandle, _ scope: CallScope, anywhere: Bool
    ) async -> CollectionMap? {
        do throws(CoordinatorError) {
            guard case .map(let map)? = try await readFresh(.map(handle.collection.uid))?.value else { return nil }
            return map.anchorCount == handle.secrets.anchors.count ? await placed(map, anywhere: anywhere) : nil
        } catch {
            log.warning(
                "a collection's map cannot be read again",
                metadata: [
                    "request": "\(scope.request)", "collection": "\(handle.collection.uid)", "error": "\(error)",
                ]
            )
            return nil
        }
    }

    private func report(_ missing: MissingShard, _ handle: CollectionHandle, _ scope: CallScope) {
        measures.shardMissing(missing.reason)
        log.warning(
            "a shard gave no answer",
            metadata: [
                "request": "\(scope.request)", "tenant": "\(handle.collection.tenant)",
                "collection": "\(handle.collection.uid)", "shard": "\(missing.shard)", "node": "\(missing.node)",
                "reason": "\(missing.reason.sentence)",
            ])
    }
}
