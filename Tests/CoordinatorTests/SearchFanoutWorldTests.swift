import ClusterModel
import FaceModel
import Testing

@testable import Coordinator

/// A random world around a `SearchFanout`: shards that answer late, twice, wrongly or never, that change their nodes or
/// never serve, maps that change, a deadline that may fall at any moment. What came out is compared with what the world
/// knows.
@Suite struct SearchFanoutWorldTests {
    @Test(arguments: 0..<40) func anyScheduleEndsOnceAndTellsTheTruth(_ block: Int) throws {
        for seed in block * 250..<(block + 1) * 250 {
            var world = World(seed: UInt64(seed))
            try world.run()
        }
    }
}

private struct World {
    private enum Pending {
        case ask(SearchFanout.Ask)
        case open(SearchFanout.Ask)
        case locate(SearchFanout.Ask)
        case readMap
    }

    private let seed: UInt64
    private var random: Seeded
    private var fanout: SearchFanout
    private let limit: Int
    /// By version, from 1; the same faces, cut differently.
    private let maps: [CollectionMap]
    private let faces: [LeafID: [ShardCandidate]]
    /// The version that shards serve; it may rise at any time.
    private var truth = 1
    private let deadlinePercent: Int
    private let faultPercent: Int

    /// Where shards are that have moved; the others are where the maps say.
    private var moved: [ShardID: NodeID] = [:]
    private let movePercent: Int
    private let neverServes: Set<ShardID>
    private let onlyCopies: Set<ShardID>
    private let againMax: Int
    private var effects = 0

    private var pending: [Pending] = []
    /// Asks and openings that the machine still waits for, and the map's version they were made at.
    private var awaited: [SearchFanout.Ask: UInt64] = [:]
    /// What the machine was told while it waited for it, by version.
    private var accepted: [UInt64: [ShardID: ShardSearchAnswer]] = [:]
    private var told: [SearchFanout.Event] = []
    private var outcome: SearchFanout.Outcome?

    init(seed: UInt64) {
        self.seed = seed
        random = Seeded(seed)
        limit = Int.random(in: 1...12, using: &random)
        deadlinePercent = random.chance(50) ? 3 : 0
        faultPercent = [0, 10, 40].randomElement(using: &random) ?? 0
        let roots = Int.random(in: 1...8, using: &random)
        maps = Self.maps(roots: roots, &random)
        faces = Self.faces(roots: roots, &random)
        movePercent = [0, 3, 20].randomElement(using: &random) ?? 0
        let shards = (0..<12).map(Fixture.shardID)
        neverServes = random.chance(20) ? [shards[Int.random(in: 0..<12, using: &random)]] : []
        var alone: Set<ShardID> = []
        for shard in shards where random.chance(30) { alone.insert(shard) }
        onlyCopies = alone
        againMax = [0, 2, 30].randomElement(using: &random) ?? 0
        fanout = SearchFanout(maps[0], into: SearchMerge(limit: limit), againMax: againMax)
    }

    mutating func run() throws {
        try take(fanout.start())
        var steps = 0
        while outcome == nil {
            steps += 1
            try #require(steps < 20_000, "seed \(seed): no end")
            if random.chance(3), truth < maps.count { truth += 1 }
            if random.chance(movePercent), let shard = maps[truth - 1].shards.randomElement(using: &random) {
                moved[shard.id] = Fixture.node(Int.random(in: 20..<23, using: &random))
            }
            try tell(nextEvent())
        }
        try checkOutcome()
        // Nothing that comes later brings it back to life.
        for event in told + [.deadline, .mapRead(maps[maps.count - 1])] {
            try #require(fanout.step(event).isEmpty, "seed \(seed): an effect after the end")
        }
    }

    private mutating func nextEvent() -> SearchFanout.Event {
        if random.chance(deadlinePercent) { return .deadline }
        if random.chance(10), let old = told.randomElement(using: &random) { return old }
        if random.chance(5) { return .held(places()) }
        guard !pending.isEmpty else { return .deadline }
        let chosen = pending.remove(at: Int.random(in: 0..<pending.count, using: &random))
        switch chosen {
        case .ask(let ask): return reply(to: ask)
        case .open(let ask):
            return random.chance(faultPercent)
                ? .failed(ask, .damaged(ask.shard.id, reason: "files missing")) : .opened(ask)
        case .locate(let ask):
            // Mirrors lag.
            let node = random.chance(70) ? node(of: ask.shard) : ask.shard.node
            return .located(
                ask,
                ShardHolder(
                    node: node, isOnlyCopy: onlyCopies.contains(ask.shard.id), others: (20..<23).map(Fixture.node)))
        case .readMap:
            if random.chance(faultPercent / 4) { return .mapUnread }
            // Mirrors lag.
            return .mapRead(maps[Int.random(in: max(0, truth - 2)..<truth, using: &random)])
        }
    }

    private func node(of shard: CollectionMap.Shard) -> NodeID { moved[shard.id] ?? shard.node }

    /// As a mirror shows them, of all shards, whether they are asked or not.
    private func places() -> [ShardID: NodeID] {
        maps[truth - 1].shards.reduce(into: [:]) { $0[$1.id] = node(of: $1) }
    }

    private mutating func reply(to ask: SearchFanout.Ask) -> SearchFanout.Event {
        let shard = ask.shard
        if shard.node != node(of: shard) { return .failed(ask, .notPrimary(shard.id)) }
        if neverServes.contains(shard.id) { return .failed(ask, .notServing(shard.id, reason: "no majority")) }
        if random.chance(faultPercent) {
            let reasons: [ShardError] = [
                .unknownShard(shard.id), .unknownShard(shard.id), .wrongOwner(shard.id, owned: []),
                .busy(shard.id, reason: "queue"), .damaged(shard.id, reason: "block"), .deadlineExceeded(shard.id),
                .interrupted(shard.id), .stopped(shard.id, reason: "log"),
                .unreachable(shard.id, node: shard.node, reason: "reset", outcomeUnknown: true),
            ]
            return .failed(ask, reasons.randomElement(using: &random) ?? .unknownShard(shard.id))
        }
        guard maps[truth - 1].shards.contains(where: { $0.id == shard.id && $0.roots == shard.roots }) else {
            return .failed(ask, .wrongOwner(shard.id, owned: []))
        }
        return .answered(ask, answer(of: shard))
    }

    private mutating func tell(_ event: SearchFanout.Event) throws {
        told.append(event)
        switch event {
        case .answered(let ask, let answer):
            if let version = awaited.removeValue(forKey: ask) { accepted[version, default: [:]][ask.shard.id] = answer }
        case .failed(let ask, _), .opened(let ask): awaited[ask] = nil
        case .located, .held, .mapRead, .mapUnread, .deadline: break
        }
        try take(fanout.step(event))
    }

    private mutating func take(_ effects: [SearchFanout.Effect]) throws {
        self.effects += effects.count
        try #require(self.effects <= effectsMax, "seed \(seed): more effects than the bounds allow")
        for effect in effects {
            try #require(outcome == nil, "seed \(seed): an effect behind the finish")
            switch effect {
            case .ask(let ask):
                try #require(
                    fanout.map.shards.contains { $0.id == ask.shard.id && $0.roots == ask.shard.roots },
                    "seed \(seed): asked at another map")
                try #require(awaited.keys.allSatisfy { $0.shard.id != ask.shard.id }, "seed \(seed): asked twice")
                awaited[ask] = fanout.map.version
                pending.append(.ask(ask))
            case .open(let ask):
                awaited[ask] = fanout.map.version
                pending.append(.open(ask))
            case .locate(let ask, let earlier):
                try #require(awaited[ask] == nil && earlier < againMax, "seed \(seed): asked again without end")
                pending.append(.locate(ask))
            case .readMap: pending.append(.readMap)
            case .cancel(let ask):
                try #require(awaited.removeValue(forKey: ask) != nil, "seed \(seed): cancelled what nobody awaits")
            case .finish(let end): outcome = end
            }
        }
    }

    /// Each ask has an effect that ends it or makes another: an opening, a location, a map, a cancellation.
    private var effectsMax: Int {
        let shards = 12 * maps.count
        let asks = shards * (1 + Limits.openingsPerShardMax) + 12 * againMax + shards * Limits.mapReadsPerRequestMax
        return 2 * asks + Limits.mapReadsPerRequestMax + 1
    }

    private func checkOutcome() throws {
        let outcome = try #require(outcome)
        let map = fanout.map
        try #require(awaited.isEmpty, "seed \(seed): left waiting")
        let answers = accepted[map.version] ?? [:]
        let missing = map.shards.map(\.id).filter { answers[$0] == nil }
        try #require(outcome.missing.map(\.shard) == missing, "seed \(seed): missing")
        switch outcome {
        case .complete: try #require(missing.isEmpty)
        case .partial: try #require(!missing.isEmpty && !answers.isEmpty)
        case .failed: try #require(answers.isEmpty)
        }
        for shard in outcome.missing where neverServes.contains(shard.shard) && movePercent == 0 && faultPercent == 0 {
            let reasons: [ShardError] = [
                .notServing(shard.shard, reason: "no majority"), .deadlineExceeded(shard.shard),
                .wrongOwner(shard.shard, owned: []),
            ]
            try #require(reasons.contains(shard.reason), "seed \(seed): \(shard)")
        }
        guard let merge = outcome.gathered else { return }
        // The reference: everything the answered shards of this one map own, sorted, cut.
        let owned = map.shards.filter { answers[$0.id] != nil }.flatMap(owned)
        let reference = Self.inOrder(owned).prefix(limit)
        try #require(merge.candidates == Array(reference), "seed \(seed): candidates")
        try #require(merge.facesScored == owned.count && merge.shardsAnswered == answers.count, "seed \(seed)")
    }

    private func answer(of shard: CollectionMap.Shard) -> ShardSearchAnswer {
        let owned = owned(by: shard)
        return Fixture.answer(Array(owned.prefix(limit)), scored: owned.count)
    }

    private func owned(by shard: CollectionMap.Shard) -> [ShardCandidate] {
        Self.inOrder(shard.roots.flatMap { faces[$0] ?? [] })
    }

    /// Each face once.
    private static func inOrder(_ candidates: [ShardCandidate]) -> [ShardCandidate] {
        var seen: Set<FaceID> = []
        return candidates.sorted { Match.precedes($0.match, $1.match) }.filter { seen.insert($0.face.id).inserted }
    }

    /// One to three maps of the same roots; some shards keep their name and some their roots.
    private static func maps(roots: Int, _ random: inout Seeded) -> [CollectionMap] {
        let versions = Int.random(in: 1...3, using: &random)
        return (1...versions).map { version in
            let count = Int.random(in: 1...roots, using: &random)
            var owned = [[Int]](repeating: [], count: count)
            for root in 0..<roots {
                owned[root < count ? root : Int.random(in: 0..<count, using: &random)].append(root)
            }
            let first = random.chance(50) ? 0 : Int.random(in: 0...4, using: &random)
            return Fixture.map(version: UInt64(version), owned.enumerated().map { (first + $0.offset, $0.element) })
        }
    }

    /// Few different scores, so that ties are common; and some faces in two shards.
    private static func faces(roots: Int, _ random: inout Seeded) -> [LeafID: [ShardCandidate]] {
        var faces: [LeafID: [ShardCandidate]] = [:]
        for _ in 0..<Int.random(in: 0...60, using: &random) {
            let root = LeafID(UInt32(Int.random(in: 0..<roots, using: &random)))
            let number = Int.random(in: 0..<100, using: &random)
            faces[root, default: []].append(Fixture.candidate(number, Float(number * 37 % 9) / 8))
        }
        return faces
    }
}
