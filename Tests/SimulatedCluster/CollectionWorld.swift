@testable import Coordinator
import ClusterModel
import FaceModel
import Replication

/// The shards of a collection, each a world of its own, and a client that searches all of them at once through the
/// coordinator's own fan-out. Nothing but the seed decides what happens.
package final class CollectionWorld {
    struct Search {
        var machine: SearchFanout
        let begun: Int
        var isOver = false
    }

    enum Happening {
        case begin
        case ask(Int, SearchFanout.Ask)
        case event(Int, SearchFanout.Event)
        case locate(Int, SearchFanout.Ask)
        case look(Int)
        case operate(Int)
        case splitAsk(Int)
        case splitHeard(Int, Result<SplitProgress, ShardError>)
        case splitLate(Int)
        case publish(Int, RegisterState)
    }

    /// A shard as the map names it, and the number of the one that it is, or is a half of.
    struct Place {
        let id: ShardID
        let family: Int
    }

    let seed: UInt64
    /// Those of the beginning, and then halves as they come to be; a shard that was split stays.
    package internal(set) var shards: [World]
    /// Of each shard.
    var places: [Place]
    var random: SeededRandom
    var queue = EventQueue<Happening>()
    var now = 0
    var searches: [Search] = []
    /// What was asked, by the number under which a world knows it.
    var asked: [(search: Int, ask: SearchFanout.Ask)] = []
    var digest = TraceDigest()
    var map: CollectionMap
    /// Before the last split: who has not heard of that begins with it.
    var earlierMap: CollectionMap?
    /// Which shards are to be split, as the store has it.
    var wishes: [Int: SplitWish] = [:]
    var revision = 0
    var halvesNamed = 0
    var rounds: [SplitRound] = []
    var splitAsks: [SplitAsk] = []
    /// How often, of 1,000 times, an operator is gone before the next step, wants a split, and wants it no more.
    let (mortality, eagerness, doubt): (Int, Int, Int)
    private let end: Int

    package init(seed: UInt64, options: WorldOptions, keepsTrail: Bool = false) {
        self.seed = seed
        let count = UInt64(options.shards)
        shards = (0..<count).map { World(seed: seed + $0 << 40, options: options, keepsTrail: keepsTrail) }
        random = SeededRandom(seed: seed ^ 0xC0FFEE)
        var habits = SeededRandom(seed: seed ^ 0x0B0E)
        mortality = [20, 100, 300][habits.below(3)]
        (eagerness, doubt) = ([30, 100, 400][habits.below(3)], [0, 40, 200][habits.below(3)])
        end = options.end
        let places = shards.indices.map { Place(id: ShardID(Bits128(high: 1, low: UInt64($0))), family: $0) }
        self.places = places
        map = CollectionMap(
            collection: CollectionUID(Bits128(high: 0, low: 1)), version: 1, made: true,
            shards: places.indices.map { .init(id: places[$0].id, node: Self.node(0, of: $0), roots: []) })
    }

    static func node(_ node: Int, of shard: Int) -> NodeID { NodeID("s\(shard)n\(node)") ?? .embedded }

    /// Where a shard is asked, as `node(_:of:)` names it.
    func place(_ shard: CollectionMap.Shard) -> (shard: Int, node: Int) {
        (self.shard(shard.id), shard.node.text.split(separator: "n").last.flatMap { Int($0) } ?? 0)
    }

    func shard(_ id: ShardID) -> Int { places.firstIndex { $0.id == id } ?? 0 }

    package func run() {
        for shard in shards { shard.begin() }
        queue.add(.begin, at: 600)
        if shards[0].options.splitsShards { for number in 0...1 { queue.add(.operate(number), at: 900 + number) } }
        while failure == nil, let step = next() { step() }
        if failure == nil { for shard in shards where !shard.isPublished { shard.checkEnd() } }
    }

    /// Whoever's next event is the earliest; the shards before the client, in their order.
    private func next() -> (() -> Void)? {
        let times = shards.map { $0.queue.nextTime ?? .max } + [queue.nextTime ?? .max]
        guard let time = times.min(), time <= end, let first = times.firstIndex(of: time) else { return nil }
        if first < shards.count { return { self.advance(first) } }
        return { self.queue.next().map { self.handle($0.happening, at: $0.time) } }
    }

    private func advance(_ shard: Int) {
        shards[shard].advance()
        for (number, answer) in shards[shard].takeAnswers() { heard(answer, to: number, from: shard) }
        for (number, answer) in shards[shard].takeSplitAnswers() { heard(answer, to: number) }
    }

    /// What went wrong, if anything did, in the first shard where it did.
    package var failure: String? { shards.lazy.compactMap(\.failure).first }
    package var failed: World { shards.first { $0.failure != nil } ?? shards[0] }

    package var figures: WorldFigures {
        var sum = WorldFigures()
        for shard in shards { sum.add(shard.figures) }
        return sum
    }

    /// Whether the seed says anything.
    package var counts: Bool { shards.contains { $0.figures.counts } }

    /// Equal seeds and options give equal ones.
    package var trace: UInt64 { shards.reduce(digest.value) { ($0 ^ $1.trace) &* 0x100_0000_01B3 } }
}
