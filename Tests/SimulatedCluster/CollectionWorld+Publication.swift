@testable import Coordinator
import ClusterModel
import FaceModel
import Replication

/// What operators write into the store for a split: the wish, and at the end the halves in the shard's place.
extension CollectionWorld {
    func nextRevision() -> Int {
        revision += 1
        return revision
    }

    /// The wish as it stands, or a new one: by the plan that the shard's log has, if it has one.
    func want(_ shard: Int, _ begun: SplitPlan?) -> SplitWish? {
        guard wishes[shard] == nil else { return wishes[shard] }
        let wish = SplitWish(plan: begun ?? plan(), revision: nextRevision())
        (wishes[shard], shards[shard].isBeingSplit) = (wish, true)
        return wish
    }

    private func plan() -> SplitPlan {
        halvesNamed += 2
        let names = [halvesNamed, halvesNamed + 1].map { ShardID(Bits128(high: UInt64($0), low: 0)) }
        return SplitPlan(
            first: .init(shard: names[0], root: LeafID(0)), second: .init(shard: names[1], root: LeafID(1)))
    }

    /// The wish becomes what the shard's log says.
    func adopt(_ plan: SplitPlan, _ number: Int) {
        let round = rounds[number]
        end(number)
        guard let wish = round.wish, wishes[round.shard] == wish else { return }
        wishes[round.shard] = SplitWish(plan: plan, isAborting: wish.isAborting, revision: nextRevision())
    }

    /// False where it has changed since.
    func forget(_ round: SplitRound) -> Bool {
        guard wishes[round.shard] != nil, wishes[round.shard] == round.wish else { return false }
        (wishes[round.shard], shards[round.shard].isBeingSplit) = (nil, false)
        return true
    }

    func copy(_ replica: ReplicaID, of shard: Int) -> ReplicaRegister {
        ReplicaRegister(
            shard: places[shard].id, replica: replica, node: Self.node(World.node(of: replica), of: shard),
            directory: Bits128(high: 0, low: 0), sealedKey: [])
    }

    /// Reads the register once more and has the store publish the halves, if enough copies have files of them.
    func decide(_ round: Int) {
        let now = shards[rounds[round].shard].store.state
        let made = published(rounds[round]).count
        guard made >= now.configuration.minISR, !isLost(rounds[round].shard) else { return end(round) }
        queue.add(.publish(round, now), at: self.now + 1 + delay(rounds[round].shard))
    }

    /// Those that are to be in sync of the halves.
    private func published(_ round: SplitRound) -> [ReplicaRegister] {
        guard shards[0].options.mistake == .publishedWithoutFiles else { return round.divided?.made ?? [] }
        return round.register.configuration.isr.map { copy($0, of: round.shard) }
    }

    /// One transaction: it is made if nothing has changed of what was read, and all of it at once.
    func publish(_ number: Int, _ read: RegisterState) {
        let round = rounds[number]
        end(number)
        let parent = shards[round.shard]
        guard !parent.isPublished, let wish = round.wish, wishes[round.shard] == wish, parent.store.state == read,
            map.version == round.mapVersion
        else { return }
        // None where the log knows no such plan: nobody has files by it then.
        let plan = parent.plans.firstIndex(of: wish.plan).map { $0 + 1 } ?? 0
        let made = published(round)
        let learning = read.configuration.named.map { copy($0, of: round.shard) }.filter { !made.contains($0) }
        let register = read.configuration.register(of: places[round.shard].id)
        let end = LogPoint(epoch: round.progress.epoch, index: round.progress.end)
        wishes[round.shard] = nil
        for (half, name) in wish.plan.halves.map(\.shard).enumerated() {
            let copies = NewCopies(halfOf: register, name, made: made, learning: learning, epoch: end.epoch)
            let world = World(
                half: half, of: parent, by: plan, copies.shard, end: end,
                seed: seed &+ UInt64(shards.count) << 40, at: now)
            add(world, as: name, inPlaceOf: round.shard)
        }
        parent.endAsSplit()
        earlierMap = map
        map.version += 1
        map.shards.removeAll { $0.id == places[round.shard].id }
        map.shards += wish.plan.halves.map { half in
            .init(id: half.shard, node: Self.node(0, of: self.shard(half.shard)), roots: [half.root])
        }
    }

    private func add(_ world: World, as name: ShardID, inPlaceOf parent: Int) {
        shards.append(world)
        places.append(Place(id: name, family: places[parent].family))
        world.begin()
    }
}
