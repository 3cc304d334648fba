@testable import Coordinator
import ClusterModel
import FaceModel

/// The client: it does what the fan-out's effects say, over a network that loses and delays.
extension CollectionWorld {
    private static let deadline = 3_000
    private static let limit = 4_096

    func handle(_ happening: Happening, at time: Int) {
        now = time
        digest.mix(time)
        switch happening {
        case .begin: begin()
        case .ask(let search, let ask): reach(search, ask)
        case .event(let search, let event): step(search, event)
        case .locate(let search, let ask): step(search, .located(ask, holder(of: ask.shard)))
        case .look(let search): look(search)
        case .operate(let number): operate(number)
        case .splitAsk(let number): reach(number)
        case .splitHeard(let number, let answer): take(answer, to: number)
        case .splitLate(let number): take(.failure(.deadlineExceeded(splitAsks[number].copy.shard)), to: number)
        case .publish(let round, let state): publish(round, state)
        }
    }

    private func begin() {
        queue.add(.begin, at: now + 100 + random.below(400))
        let number = searches.count
        var machine = SearchFanout(placed(knownMap()), into: SearchMerge(limit: Self.limit))
        let effects = machine.start()
        searches.append(Search(machine: machine, begun: now))
        queue.add(.event(number, .deadline), at: now + Self.deadline)
        queue.add(.look(number), at: now + Self.milliseconds(AskingAgain.lookInterval))
        carryOut(effects, of: number)
    }

    /// Not everybody has heard of the last split.
    private func knownMap() -> CollectionMap {
        guard let earlierMap, random.chance(300) else { return map }
        return earlierMap
    }

    private func placed(_ map: CollectionMap) -> CollectionMap {
        var placed = map
        for index in placed.shards.indices { placed.shards[index].node = holder(of: map.shards[index]).node }
        return placed
    }

    private func step(_ search: Int, _ event: SearchFanout.Event) {
        guard !searches[search].isOver else { return }
        carryOut(searches[search].machine.step(event), of: search)
    }

    private func carryOut(_ effects: [SearchFanout.Effect], of search: Int) {
        for effect in effects {
            switch effect {
            case .ask(let ask): queue.add(.ask(search, ask), at: now + 1 + random.below(4))
            case .open(let ask): queue.add(.event(search, opened(ask)), at: now + 1 + random.below(4))
            case .locate(let ask, let earlier):
                let pause = Self.milliseconds(AskingAgain.pause(after: earlier))
                queue.add(.locate(search, ask), at: now + 1 + pause)
            case .readMap(let earlier):
                let pause = earlier > 0 ? min(Limits.mapReadPauseMillisecondsMax, 2 << min(earlier, 16)) : 0
                queue.add(.event(search, .mapRead(placed(map))), at: now + 1 + pause + random.below(10))
            // What is still on its way comes all the same: the machine must not count it.
            case .cancel: break
            case .finish(let outcome): finish(search, outcome)
            }
        }
    }

    /// The question is at the machine, unless it was lost.
    private func reach(_ search: Int, _ ask: SearchFanout.Ask) {
        let place = place(ask.shard)
        if shards[place.shard].has(.loss), random.chance(20) { return }
        asked.append((search, ask))
        shards[place.shard].queue.add(.search(asked.count - 1, at: place.node), at: now)
    }

    func heard(_ answer: SimulatedAnswer, to number: Int, from shard: Int) {
        let (search, ask) = asked[number]
        now = max(now, shards[shard].now)
        if shards[shard].has(.loss), random.chance(20) { return }
        let delay = 1 + random.below(4) + (shards[shard].has(.delay) && random.chance(30) ? random.below(600) : 0)
        queue.add(.event(search, event(answer, to: ask)), at: now + delay)
    }

    /// A shard that was split is in no map any more, and has no registers.
    private func opened(_ ask: SearchFanout.Ask) -> SearchFanout.Event {
        let isGone = shards[place(ask.shard).shard].isPublished
        return isGone ? .failed(ask, .wrongOwner(ask.shard.id, owned: [])) : .opened(ask)
    }

    private func event(_ answer: SimulatedAnswer, to ask: SearchFanout.Ask) -> SearchFanout.Event {
        let shard = ask.shard.id
        switch answer {
        case .faces(let faces): return .answered(ask, self.answer(faces, of: ask.shard))
        case .refused(.notPrimary): return .failed(ask, .notPrimary(shard))
        case .refused(.notServing): return .failed(ask, .notServing(shard, reason: "it was not confirmed"))
        case .refused(.busy): return .failed(ask, .busy(shard, reason: "a queue is full"))
        case .refused(.otherGeneration), .refused(.late): return .failed(ask, .deadlineExceeded(shard))
        case .wrongOwner: return .failed(ask, .wrongOwner(shard, owned: []))
        // A node that has dropped its copy, as far as it answers.
        case .unreachable where shards[self.shard(shard)].isPublished: return .failed(ask, .unknownShard(shard))
        case .unreachable:
            let reason = "the connection ended"
            return .failed(ask, .unreachable(shard, node: ask.shard.node, reason: reason, outcomeUnknown: false))
        }
    }

    /// Scores are made up of keys: equal ones, and others.
    private func answer(_ faces: [SimulatedFace], of shard: CollectionMap.Shard) -> ShardSearchAnswer {
        let number = places[place(shard).shard].family
        let candidates = faces.map { face in
            ShardCandidate(
                score: Float(face.key % 7) / 8,
                face: StoredFace(
                    id: face.id(in: number), externalImageID: nil, record: FaceRecord(imageID: nil, detail: nil)))
        }
        return ShardSearchAnswer(
            candidates: candidates.sorted { Match.precedes($0.match, $1.match) }, facesScored: candidates.count,
            buckets: 1,
            at: .zero, tree: .zero)
    }

    /// As the registers say at this moment.
    private func holder(of shard: CollectionMap.Shard) -> ShardHolder {
        let number = place(shard).shard
        guard !shards[number].isPublished else {
            return ShardHolder(node: shard.node, isOnlyCopy: true, isRegistered: false)
        }
        let configuration = shards[number].store.state.configuration
        let nodes = configuration.isr.filter { $0 != configuration.primary }.map {
            Self.node(World.node(of: $0), of: number)
        }
        return ShardHolder(
            node: Self.node(World.node(of: configuration.primary), of: number),
            isOnlyCopy: configuration.named.count == 1, others: nodes)
    }

    private func look(_ search: Int) {
        guard !searches[search].isOver else { return }
        queue.add(.look(search), at: now + Self.milliseconds(AskingAgain.lookInterval))
        var nodes: [ShardID: NodeID] = [:]
        for shard in searches[search].machine.waitedFor { nodes[shard.id] = holder(of: shard).node }
        step(search, .held(nodes))
    }

    /// A partial answer says so; only a whole one promises anything, and then every shard was scored once.
    private func finish(_ search: Int, _ outcome: SearchFanout.Outcome) {
        searches[search].isOver = true
        guard case .complete(let merge) = outcome else { return digest.mix(1) }
        shards[0].figures.searches += 1
        digest.mix(merge.candidates.count)
        let found = merge.candidates.map(\.face.id)
        if merge.facesScored != found.count || Set(found).count != found.count {
            shards[0].fail("S15 \(merge.facesScored) faces were scored, \(found.count) are returned")
        }
        for (number, shard) in shards.enumerated() where !shard.isPublished {
            let own = found.filter { $0.bits.high == UInt64(places[number].family) }.map { SimulatedFace($0) }
            shard.checkFound(Set(own.filter { shard.side.holds($0.key) }), since: searches[search].begun)
        }
    }

    private static func milliseconds(_ duration: Duration) -> Int {
        Int(duration.components.seconds) * 1_000 + Int(duration.components.attoseconds / 1_000_000_000_000_000)
    }
}
