package import ClusterModel
package import FaceModel

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

/// Which node a shard is asked at, as its registers say.
struct ShardHolder: Hashable, Sendable {
    var node: NodeID
    /// No other copy can ever answer for it.
    var isOnlyCopy: Bool
    /// Whether there are registers of the shard: it may have been split since the map was read.
    var isRegistered = true
    /// Of the copies in sync: one of these decides where the registers that were read are of the past.
    var others: [NodeID] = []
}

/// How often and how soon a request asks a shard again that another copy, or the same one, may answer for soon.
enum AskingAgain {
    /// Until the deadline: more than the longest one leaves time for.
    static let most = 1_500
    /// Of a request that would rather be answered in part: some four seconds, which a failover takes less than.
    static let mostForPart = 20
    /// How often the registers may name the same node in vain before the other copies are tried too: a third of a second,
    /// and a mirror that follows the registers is no more than milliseconds behind them.
    static let sameNodeMax = 6
    static let pauseMin = Duration.milliseconds(5)
    static let pauseMax = Duration.milliseconds(250)
    /// Between two looks at where the shards are that have not answered yet.
    static let lookInterval = Duration.milliseconds(500)

    /// Before a shard is asked again that was asked again `earlier` times.
    static func pause(after earlier: Int) -> Duration { min(pauseMax, pauseMin * (1 << min(earlier, 10))) }
}

extension ShardError {
    /// Asking again may help, if not here then at another copy. A shard's questions are reads, or writes that come to
    /// the same when they are made twice, so it does not matter whether one that failed has happened.
    var mayPass: Bool {
        switch self {
        case .notPrimary, .notServing, .interrupted, .unreachable, .damaged, .stopped: true
        case .busy(_, let reason): reason == Self.stoppingReason
        case .unknownShard, .wrongDimension, .wrongOwner, .writesRefused, .deadlineExceeded: false
        }
    }

    /// It says no more than that another copy is to be asked.
    var namesAnother: Bool { if case .notPrimary = self { true } else { false } }

    /// It is the copy that fails, or its node: where there is no other, nothing comes of asking again.
    var isOfTheCopy: Bool {
        switch self {
        case .unreachable, .damaged, .stopped, .busy: true
        case .unknownShard, .wrongDimension, .wrongOwner, .notPrimary, .notServing, .interrupted, .writesRefused,
            .deadlineExceeded:
            false
        }
    }

    /// Its files are not what was written.
    var isDamage: Bool { if case .damaged = self { true } else { false } }

    /// What a node says that is told to stop; of a queue that is full, which says `busy` too, no more is asked.
    private static let stoppingReason = "its node is stopping"
}
