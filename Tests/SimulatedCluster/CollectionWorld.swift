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
    }

    package let shards: [World]
    var random: SeededRandom
    var queue = EventQueue<Happening>()
    var now = 0
    var searches: [Search] = []
    /// What was asked, by the number under which a world knows it.
    var asked: [(search: Int, ask: SearchFanout.Ask)] = []
    var digest = TraceDigest()
    let map: CollectionMap
    private let end: Int

    package init(seed: UInt64, options: WorldOptions, keepsTrail: Bool = false) {
        let count = UInt64(options.shards)
        shards = (0..<count).map { World(seed: seed + $0 << 40, options: options, keepsTrail: keepsTrail) }
        random = SeededRandom(seed: seed ^ 0xC0FFEE)
        end = options.end
        let places = shards.indices.map { shard in
            CollectionMap.Shard(
                id: ShardID(Bits128(high: 1, low: UInt64(shard))), node: Self.node(0, of: shard), roots: [])
        }
        map = CollectionMap(
            collection: CollectionUID(Bits128(high: 0, low: 1)), version: 1, made: true, shards: places)
    }

    static func node(_ node: Int, of shard: Int) -> NodeID { NodeID("s\(shard)n\(node)") ?? .embedded }

    /// Where a shard is asked, as `node(_:of:)` names it.
    static func place(_ shard: CollectionMap.Shard) -> (shard: Int, node: Int) {
        (Int(shard.id.bits.low), shard.node.text.split(separator: "n").last.flatMap { Int($0) } ?? 0)
    }

    package func run() {
        for shard in shards { shard.begin() }
        queue.add(.begin, at: 600)
        while failure == nil, let step = next() { step() }
        if failure == nil { for shard in shards { shard.checkEnd() } }
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
