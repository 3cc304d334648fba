package import ClusterModel
package import FaceModel

/// What the answers of a collection's shards add up to.
protocol ShardGathering: Sendable {
    associatedtype Answer: Sendable
    mutating func add(_ answer: Answer, from shard: CollectionMap.Shard)
    /// True when no other shard's answer can change anything any more.
    var isEnough: Bool { get }
}

extension ShardGathering {
    var isEnough: Bool { false }
}

/// A shard that gave no answer, where it is, and why.
package struct MissingShard: Hashable, Sendable, CustomStringConvertible {
    package var shard: ShardID
    package var node: NodeID
    package var reason: ShardError
    package init(shard: ShardID, node: NodeID, reason: ShardError) {
        self.shard = shard
        self.node = node
        self.reason = reason
    }
    package var description: String { "shard \(shard) on node \(node): \(reason.sentence)" }
}

/// Asks shards of one collection the same question and gathers their answers.
///
/// A pure machine: its driver does what the effects say and brings back what came of it. Invariants:
/// - Every answer that is gathered was asked for at `map`. A newer map begins the gathering again.
/// - A question is known by its `Ask`; what comes for one that is no longer open is ignored, however late it comes.
/// - `finish` comes once, as the last effect, and every shard asked at `map` is then gathered or named as missing.
/// - The number of effects is bounded by `Limits`, whatever the shards say.
///
/// `Ask.attempt` rises within one fan-out: a second ask of a shard that is still being waited for (a hedge) would be
/// another attempt of the same shard.
struct ShardFanout<Gathered: ShardGathering>: Sendable {
    struct Ask: Hashable, Sendable {
        var shard: CollectionMap.Shard
        var attempt: Int
    }

    enum Event: Sendable {
        case answered(Ask, Gathered.Answer)
        case opened(Ask)
        /// Of an ask or of an opening.
        case failed(Ask, ShardError)
        case mapRead(CollectionMap)
        /// The map cannot be read, or is gone.
        case mapUnread
        case deadline
    }

    enum Effect: Sendable {
        case ask(Ask)
        /// Open the shard, which exists, on its node.
        case open(Ask)
        /// `earlier`: how many reads gave no newer map; the more, the longer is the pause before the next.
        case readMap(earlier: Int)
        case cancel(Ask)
        case finish(Outcome)
    }

    enum Outcome: Sendable {
        case complete(Gathered)
        /// At least one shard answered, at least one did not.
        case partial(Gathered, missing: [MissingShard])
        case failed(missing: [MissingShard])
    }

    private enum Progress {
        case asked(Ask)
        case opening(Ask)
        /// The shard owns something else than the map says; it is asked again when the map has been read.
        case disagrees(ShardError)
        case answered
        case missing(ShardError)
    }

    private let empty: Gathered
    private let choosing: @Sendable (CollectionMap) -> [CollectionMap.Shard]
    private(set) var map: CollectionMap
    private var gathered: Gathered
    private var shards: [CollectionMap.Shard] = []
    private var progress: [ShardID: Progress] = [:]
    private var openings: [ShardID: Int] = [:]
    private var attempts = 0
    private var mapReads = 0
    private var readingMap = false
    private var finished = false

    /// `choosing` says which shards of a map are asked: by default all.
    init(
        _ map: CollectionMap, into empty: Gathered,
        choosing: @escaping @Sendable (CollectionMap) -> [CollectionMap.Shard] = { $0.shards }
    ) {
        self.map = map
        self.empty = empty
        self.choosing = choosing
        gathered = empty
    }

    /// How many shards are asked at the present map.
    var askedCount: Int { shards.count }

    /// The first effects; to be called once.
    mutating func start() -> [Effect] {
        precondition(shards.isEmpty && !finished, "a fan-out starts once")
        return begin()
    }

    mutating func step(_ event: Event) -> [Effect] {
        guard !finished else { return [] }
        switch event {
        case .answered(let ask, let answer): return answered(ask, answer)
        case .opened(let ask): return opened(ask)
        case .failed(let ask, let error): return failed(ask, error)
        case .mapRead(let map): return read(map)
        case .mapUnread:
            guard readingMap else { return [] }
            readingMap = false
            giveUpDisagreements()
            return finishIfSettled()
        case .deadline: return pastDeadline()
        }
    }

    private mutating func begin() -> [Effect] {
        gathered = empty
        openings = [:]
        progress = [:]
        shards = choosing(map)
        guard !shards.isEmpty else { return finish() }
        return shards.map { ask($0) }
    }

    private mutating func ask(_ shard: CollectionMap.Shard) -> Effect {
        attempts += 1
        let ask = Ask(shard: shard, attempt: attempts)
        progress[shard.id] = .asked(ask)
        return .ask(ask)
    }

    private mutating func answered(_ ask: Ask, _ answer: Gathered.Answer) -> [Effect] {
        guard case .asked(ask) = progress[ask.shard.id] else { return [] }
        progress[ask.shard.id] = .answered
        gathered.add(answer, from: ask.shard)
        return gathered.isEnough ? finish() : finishIfSettled()
    }

    private mutating func opened(_ ask: Ask) -> [Effect] {
        guard case .opening(ask) = progress[ask.shard.id] else { return [] }
        return [self.ask(ask.shard)]
    }

    private mutating func failed(_ ask: Ask, _ error: ShardError) -> [Effect] {
        let shard = ask.shard.id
        switch progress[shard] {
        case .asked(ask):
            switch error {
            case .unknownShard where openings[shard, default: 0] < Limits.openingsPerShardMax:
                openings[shard, default: 0] += 1
                progress[shard] = .opening(ask)
                return [.open(ask)]
            case .wrongOwner where readingMap || mapReads < Limits.mapReadsPerRequestMax:
                progress[shard] = .disagrees(error)
                return readMap()
            case .unknownShard, .wrongOwner, .wrongDimension, .notPrimary, .notServing, .interrupted, .writesRefused, .busy, .damaged, .stopped,
                .deadlineExceeded, .unreachable:
                progress[shard] = .missing(error)
                return finishIfSettled()
            }
        case .opening(ask):
            progress[shard] = .missing(error)
            return finishIfSettled()
        case .asked, .opening, .disagrees, .answered, .missing, nil:
            return []
        }
    }

    private mutating func readMap() -> [Effect] {
        guard !readingMap else { return [] }
        readingMap = true
        mapReads += 1
        return [.readMap(earlier: mapReads - 1)]
    }

    private mutating func read(_ newer: CollectionMap) -> [Effect] {
        guard readingMap else { return [] }
        precondition(newer.collection == map.collection, "the map of another collection")
        readingMap = false
        if newer.version > map.version {
            let cancelled = cancelOpenAsks()
            map = newer
            return cancelled + begin()
        }
        return shards.compactMap { shard in
            guard case .disagrees = progress[shard.id] else { return nil }
            return ask(shard)
        }
    }

    private mutating func giveUpDisagreements() {
        for shard in shards {
            if case .disagrees(let error) = progress[shard.id] { progress[shard.id] = .missing(error) }
        }
    }

    private mutating func pastDeadline() -> [Effect] {
        giveUpDisagreements()
        return finish()
    }

    private func cancelOpenAsks() -> [Effect] {
        shards.compactMap { shard in
            switch progress[shard.id] {
            case .asked(let ask), .opening(let ask): .cancel(ask)
            case .disagrees, .answered, .missing, nil: nil
            }
        }
    }

    private mutating func finishIfSettled() -> [Effect] {
        let settled = shards.allSatisfy { shard in
            switch progress[shard.id] {
            case .answered, .missing: true
            case .asked, .opening, .disagrees, nil: false
            }
        }
        return settled ? finish() : []
    }

    private mutating func finish() -> [Effect] {
        finished = true
        let missing = shards.compactMap { shard -> MissingShard? in
            switch progress[shard.id] {
            case .answered: nil
            case .missing(let reason), .disagrees(let reason):
                MissingShard(shard: shard.id, node: shard.node, reason: reason)
            case .asked, .opening, nil:
                MissingShard(shard: shard.id, node: shard.node, reason: .deadlineExceeded(shard.id))
            }
        }
        let outcome: Outcome =
            if missing.isEmpty || gathered.isEnough {
                .complete(gathered)
            } else if missing.count == shards.count {
                .failed(missing: missing)
            } else {
                .partial(gathered, missing: missing)
            }
        return cancelOpenAsks() + [.finish(outcome)]
    }
}
