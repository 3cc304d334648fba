import ClusterModel
import FaceModel

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

/// Asks shards of one collection the same question and gathers their answers.
///
/// A pure machine: its driver does what the effects say and brings back what came of it. Invariants:
/// - Every answer that is gathered was asked for at `map`. A newer map begins the gathering again.
/// - A question is known by its `Ask`; what comes for one that is no longer open is ignored, however late it comes.
/// - A shard is waited for at one node at a time: before it is asked at another, the ask that is open is cancelled.
/// - `finish` comes once, as the last effect, and every shard asked at `map` is then gathered or named as missing.
/// - The number of effects is bounded by `Limits` and `againMax`, whatever the shards and the registers say.
struct ShardFanout<Gathered: ShardGathering>: Sendable {
    /// `attempt` rises within one fan-out.
    struct Ask: Hashable, Sendable {
        /// With the node that is asked.
        var shard: CollectionMap.Shard
        var attempt: Int
    }

    enum Event: Sendable {
        case answered(Ask, Gathered.Answer)
        case opened(Ask)
        /// Of an ask or of an opening.
        case failed(Ask, ShardError)
        case located(Ask, ShardHolder)
        /// Where shards are now, of those that are being asked.
        case held([ShardID: NodeID])
        /// As `map`.
        case mapRead(CollectionMap)
        /// The map cannot be read, or is gone.
        case mapUnread
        case deadline
    }

    enum Effect: Sendable {
        case ask(Ask)
        /// Open the shard, which exists, on its node.
        case open(Ask)
        /// Say where the shard of this ask, which has failed, is after a pause. `earlier`: how often it was asked again
        /// before; the more, the longer is the pause.
        case locate(Ask, earlier: Int)
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
        /// It is asked again when it is known where.
        case locating(Ask, ShardError)
        /// The shard owns something else than the map says; it is asked again when the map has been read.
        case disagrees(ShardError)
        case answered
        case missing(ShardError)
    }

    private let empty: Gathered
    private let choosing: @Sendable (CollectionMap) -> [CollectionMap.Shard]
    private let againMax: Int
    /// The nodes are those that the shards are asked at first.
    private(set) var map: CollectionMap
    private var gathered: Gathered
    /// Those that are asked, each with the node it is asked at now.
    private var shards: [CollectionMap.Shard] = []
    private var progress: [ShardID: Progress] = [:]
    private var openings: [ShardID: Int] = [:]
    private var asksAgain: [ShardID: Int] = [:]
    /// Why a shard was last asked again, other than that another copy decides.
    private var troubles: [ShardID: ShardError] = [:]
    /// Where the registers last said that a shard is, and how often in a row they did.
    private var told: [ShardID: (node: NodeID, times: Int)] = [:]
    private var attempts = 0
    private var mapReads = 0
    private var readingMap = false
    private var finished = false

    /// `choosing` says which shards of a map are asked: by default all. `againMax`: how often one of them is asked
    /// again because another copy may answer.
    init(
        _ map: CollectionMap, into empty: Gathered,
        choosing: @escaping @Sendable (CollectionMap) -> [CollectionMap.Shard] = { $0.shards },
        againMax: Int = AskingAgain.most
    ) {
        self.map = map
        self.empty = empty
        self.choosing = choosing
        self.againMax = againMax
        gathered = empty
    }

    /// How many shards are asked at the present map.
    var askedCount: Int { shards.count }

    /// The shards that an answer is waited for from, each with the node that was asked.
    var waitedFor: [CollectionMap.Shard] {
        shards.filter { shard in
            switch progress[shard.id] {
            case .asked, .opening: true
            case .locating, .disagrees, .answered, .missing, nil: false
            }
        }
    }

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
        case .located(let ask, let holder): return located(ask, holder)
        case .held(let nodes): return held(nodes)
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
        for shard in shards { told[shard.id] = (shard.node, 0) }
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
            case .wrongOwner where mayReadMap:
                progress[shard] = .disagrees(error)
                return readMap()
            case .unknownShard, .wrongDimension, .wrongOwner, .notPrimary, .notServing, .interrupted, .writesRefused,
                .busy, .damaged, .stopped, .deadlineExceeded, .unreachable:
                return askAgain(ask, after: error)
            }
        case .opening(ask):
            // It is in the map no more: it was split.
            if case .wrongOwner = error, mayReadMap {
                progress[shard] = .disagrees(error)
                return readMap()
            }
            return askAgain(ask, after: error)
        case .asked, .opening, .locating, .disagrees, .answered, .missing, nil:
            return []
        }
    }

    /// Unless that is of no use: then the shard is missing.
    private mutating func askAgain(_ ask: Ask, after error: ShardError) -> [Effect] {
        let earlier = asksAgain[ask.shard.id, default: 0]
        guard error.mayPass, earlier < againMax else {
            progress[ask.shard.id] = .missing(cause(ask.shard.id, error))
            return finishIfSettled()
        }
        asksAgain[ask.shard.id] = earlier + 1
        if !error.namesAnother { troubles[ask.shard.id] = error }
        progress[ask.shard.id] = .locating(ask, error)
        return [.locate(ask, earlier: earlier)]
    }

    private mutating func located(_ ask: Ask, _ holder: ShardHolder) -> [Effect] {
        guard case .locating(ask, let error) = progress[ask.shard.id] else { return [] }
        // The registers of a shard go in the transaction that makes the map of its halves: one look tells.
        if !holder.isRegistered, mapReads == 0 || readingMap {
            progress[ask.shard.id] = .disagrees(error)
            return readMap()
        }
        if holder.isOnlyCopy, holder.node == ask.shard.node, error.isOfTheCopy {
            progress[ask.shard.id] = .missing(error)
            return finishIfSettled()
        }
        return [self.ask(move(ask.shard, to: target(ask.shard.id, holder, after: error)))]
    }

    /// Who the registers name; where that one has long been asked in vain they may be old, and all copies are in turn. One
    /// whose files are damaged is not asked again before the others were.
    private mutating func target(_ shard: ShardID, _ holder: ShardHolder, after error: ShardError) -> NodeID {
        let times = told[shard].map { $0.node == holder.node ? $0.times + 1 : 0 } ?? 0
        told[shard] = (holder.node, times)
        let isVain = times > AskingAgain.sameNodeMax && (error.namesAnother || error.isOfTheCopy)
        guard isVain || error.isDamage else { return holder.node }
        let copies = [holder.node] + holder.others
        return copies[times % copies.count]
    }

    /// A node may be silent for as long as a request lasts, while another copy has long been chosen.
    private mutating func held(_ nodes: [ShardID: NodeID]) -> [Effect] {
        waitedFor.flatMap { shard -> [Effect] in
            guard let node = nodes[shard.id], node != told[shard.id]?.node, node != shard.node,
                asksAgain[shard.id, default: 0] < againMax,
                let open = openAsk(shard)
            else { return [] }
            asksAgain[shard.id, default: 0] += 1
            told[shard.id] = (node, 0)
            return [.cancel(open), ask(move(shard, to: node))]
        }
    }

    private mutating func move(_ shard: CollectionMap.Shard, to node: NodeID) -> CollectionMap.Shard {
        var moved = shard
        moved.node = node
        if let index = shards.firstIndex(where: { $0.id == shard.id }) { shards[index] = moved }
        return moved
    }

    private var mayReadMap: Bool { readingMap || mapReads < Limits.mapReadsPerRequestMax }

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

    private func openAsk(_ shard: CollectionMap.Shard) -> Ask? {
        switch progress[shard.id] {
        case .asked(let ask), .opening(let ask): ask
        case .locating, .disagrees, .answered, .missing, nil: nil
        }
    }

    private func cancelOpenAsks() -> [Effect] { shards.compactMap { openAsk($0).map { .cancel($0) } } }

    /// Time ran out while the shard was asked once more, or another copy was named: what it said before tells more.
    private func cause(_ shard: ShardID, _ error: ShardError) -> ShardError {
        switch error {
        case .deadlineExceeded, .notPrimary: troubles[shard] ?? error
        case .unknownShard, .wrongDimension, .wrongOwner, .notServing, .interrupted, .writesRefused, .busy, .damaged,
            .stopped, .unreachable:
            error
        }
    }

    private mutating func finishIfSettled() -> [Effect] {
        let settled = shards.allSatisfy { shard in
            switch progress[shard.id] {
            case .answered, .missing: true
            case .asked, .opening, .locating, .disagrees, nil: false
            }
        }
        return settled ? finish() : []
    }

    private func missing(_ shard: CollectionMap.Shard) -> MissingShard? {
        let reason: ShardError
        switch progress[shard.id] {
        case .answered: return nil
        case .missing(let error), .disagrees(let error): reason = error
        case .locating(_, let error): reason = cause(shard.id, error)
        case .asked, .opening, nil: reason = cause(shard.id, .deadlineExceeded(shard.id))
        }
        // What was asked may have been about another copy than the one that decides.
        if case .unreachable(_, let node, _, _) = reason {
            return MissingShard(shard: shard.id, node: node, reason: reason)
        }
        return MissingShard(shard: shard.id, node: shard.node, reason: reason)
    }

    private mutating func finish() -> [Effect] {
        finished = true
        let missing = shards.compactMap(missing)
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
