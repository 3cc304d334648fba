@testable import Coordinator
import ClusterModel
import FaceModel
import Replication

/// Operators who split shards, as decision 0028 says. Two are at it at the same time, and each of their rounds may end
/// anywhere.
extension CollectionWorld {
    /// Milliseconds after which a copy that has not answered does not.
    private static let askLimit = 3_000

    func operate(_ number: Int) {
        queue.add(.operate(number), at: now + 100 + random.below(300))
        for shard in shards.indices where !shards[shard].isPublished && shards[shard].side == .whole {
            if wishes[shard] != nil {
                if random.chance(doubt) { wantWhole(shard) }
            } else {
                // Whoever was slow has begun a split that another gave up: somebody notices that nothing is written.
                let isBegun = shards[shard].checker.split != nil
                guard isBegun || shards[shard].faultsOn && now > 1_500 && random.chance(eagerness) else { continue }
            }
            beginRound(shard)
        }
    }

    /// It is to be given up, unless it is too late.
    private func wantWhole(_ shard: Int) {
        guard shards[shard].faultsOn, wishes[shard]?.isAborting == false else { return }
        wishes[shard]?.isAborting = true
        wishes[shard]?.revision = nextRevision()
    }

    private func beginRound(_ shard: Int) {
        let round = SplitRound(
            shard: shard, wish: wishes[shard], register: shards[shard].store.state, mapVersion: map.version)
        rounds.append(round)
        askPrimary(.look, rounds.count - 1)
    }

    private func askPrimary(_ step: SplitStep, _ round: Int) {
        ask(step, rounds[round].register.configuration.primary, round)
    }

    private func ask(_ step: SplitStep, _ replica: ReplicaID, _ round: Int) {
        let shard = rounds[round].shard
        splitAsks.append(
            SplitAsk(
                round: round, step: step, copy: copy(replica, of: shard), node: World.node(of: replica),
                end: now + Self.askLimit))
        let number = splitAsks.count - 1
        rounds[round].open.insert(number)
        queue.add(.splitLate(number), at: now + Self.askLimit)
        guard !isLost(shard) else { return }
        queue.add(.splitAsk(number), at: now + 1 + delay(shard))
    }

    func reach(_ number: Int) {
        let ask = splitAsks[number]
        let shard = rounds[ask.round].shard
        shards[shard].queue.add(.splitStep(number, ask.step, at: ask.node, until: ask.end), at: now)
    }

    func heard(_ answer: Result<SplitProgress, ShardError>, to number: Int) {
        let shard = rounds[splitAsks[number].round].shard
        now = max(now, shards[shard].now)
        guard !isLost(shard) else { return }
        queue.add(.splitHeard(number, answer), at: now + 1 + delay(shard))
    }

    func take(_ answer: Result<SplitProgress, ShardError>, to number: Int) {
        let (round, copy) = (splitAsks[number].round, splitAsks[number].copy)
        guard !rounds[round].isOver, rounds[round].open.remove(number) != nil else { return }
        shards[rounds[round].shard].note("round \(round), \(splitAsks[number].step) at \(copy.node): \(answer)")
        // Whoever is at it is gone, between any two steps.
        if shards[rounds[round].shard].faultsOn, random.chance(mortality) { return end(round) }
        switch rounds[round].step {
        case .counting, .countingReleased:
            rounds[round].divided?.add(copy, answer)
            if rounds[round].open.isEmpty { counted(round) }
        case .looking, .beginning, .aborting, .releasing: stepped(round, answer)
        }
    }

    private func stepped(_ round: Int, _ answer: Result<SplitProgress, ShardError>) {
        switch (rounds[round].step, answer) {
        case (.looking, .success(let progress)): looked(round, progress)
        case (.releasing, .success(let progress)):
            rounds[round].progress = progress
            count(.countingReleased, round)
        case (.aborting, .success):
            if forget(rounds[round]) { shards[rounds[round].shard].figures.abortedSplits += 1 }
            end(round)
        case (.beginning, .failure(.writesRefused)):
            _ = forget(rounds[round])
            end(round)
        case (.looking, .failure), (.releasing, .failure), (.aborting, .failure), (.beginning, _),
            (.counting, _), (.countingReleased, _):
            end(round)
        }
    }

    /// How far the primary's copy is says what is next.
    private func looked(_ round: Int, _ progress: SplitProgress) {
        if rounds[round].wish == nil { rounds[round].wish = want(rounds[round].shard, progress.plan) }
        guard let wish = rounds[round].wish else { return end(round) }
        rounds[round].progress = progress
        if wish.isAborting, progress.stage != .released {
            rounds[round].step = .aborting
            return askPrimary(.abort, round)
        }
        if let begun = progress.plan, begun != wish.plan { return adopt(begun, round) }
        switch progress.stage {
        case .whole:
            rounds[round].step = .beginning
            askPrimary(.begin(wish.plan), round)
        case .dividing, .divided: count(.counting, round)
        case .released: count(.countingReleased, round)
        }
    }

    private func count(_ step: SplitRound.Step, _ round: Int) {
        guard let plan = rounds[round].wish?.plan, rounds[round].progress.plan == plan else { return end(round) }
        rounds[round].step = step
        rounds[round].divided = DividedCopies(
            minInSync: rounds[round].register.configuration.minISR, plan: plan, end: rounds[round].progress.end)
        for replica in rounds[round].register.configuration.isr { ask(.look, replica, round) }
    }

    private func counted(_ round: Int) {
        guard let divided = rounds[round].divided, rounds[round].step == .counting else { return decide(round) }
        let mistake = shards[0].options.mistake
        let isTooSoon = (mistake == .releasedTooSoon || mistake == .publishedWithoutFiles) && !divided.made.isEmpty
        guard divided.mayRelease || isTooSoon else { return end(round) }
        rounds[round].step = .releasing
        askPrimary(.release, round)
    }

    func end(_ round: Int) { rounds[round].isOver = true }

    func isLost(_ shard: Int) -> Bool { shards[shard].has(.loss) && random.chance(20) }

    func delay(_ shard: Int) -> Int {
        random.below(4) + (shards[shard].has(.delay) && random.chance(50) ? random.below(2_500) : 0)
    }
}
