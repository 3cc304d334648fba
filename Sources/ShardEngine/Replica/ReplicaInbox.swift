import ClusterModel
import FaceModel
import Foundation
import Replication
import Synchronization

/// What waits for a replica's writer thread. Requests are bounded; what the cluster says is bounded where it comes from.
final class ReplicaInbox<Request: ReplicaRequest>: Sendable {
    enum Item {
        case request(Request)
        case read(WaitingRead)
        case letter(ReplicaLetter)
        /// The register was read, or changed.
        case register(RegisterState)
        case transaction(Replication.RegisterTransaction, Replication.TransactionOutcome)
        /// Where the shard's copies run; nil where that could not be read.
        case processes([ReplicaID: ReplicaProcess]?)
        /// An election that this replica began is over, whatever came of it.
        case electionEnded
        case report(@Sendable (ReplicaReport?) -> Void)
        /// Called back once the replica serves, or others may.
        case settle(@Sendable () -> Void)
        /// For the content.
        case errand(Request.Errand)
        /// A copy is to leave those in sync; why not, where this one is not the primary.
        case retire(ReplicaID, @Sendable (ShardError?) -> Void)
        /// The writer ends and then calls back.
        case stop(ReplicaEnd, @Sendable () -> Void)
    }

    private struct State {
        var items: [Item] = []
        var closed: ShardError?
    }

    private let shard: ShardID
    private let state = Mutex(State())
    private let arrival = DispatchSemaphore(value: 0)

    init(shard: ShardID) { self.shard = shard }

    /// Nil when taken; else why not, and nobody will be called back.
    func add(_ item: Item) -> ShardError? {
        let refusal = state.withLock { state -> ShardError? in
            if let closed = state.closed { return closed }
            if item.isBounded, state.items.count >= Limits.logInboxMax {
                return .busy(shard, reason: "\(state.items.count) requests wait for its log already")
            }
            state.items.append(item)
            return nil
        }
        if refusal == nil { arrival.signal() }
        return refusal
    }

    /// Everything that waits, after at most `timeout` (nil: however long it takes).
    func take(timeout milliseconds: Int?) -> [Item] {
        if let milliseconds {
            _ = arrival.wait(timeout: .now() + .milliseconds(milliseconds))
        } else {
            arrival.wait()
        }
        return state.withLock { state in
            defer { state.items = [] }
            return state.items
        }
    }

    /// Refuses everything from now on, and whoever waits; returns how those are told who wait for the end.
    func abandon(_ reason: ShardError) -> [@Sendable () -> Void] {
        var told: [@Sendable () -> Void] = []
        for item in close(reason) {
            switch item {
            case .request(let request): request.refuse(reason)
            case .read(let read): read.resume(reason)
            case .report(let reply): reply(nil)
            case .stop(_, let done), .settle(let done): told.append(done)
            case .retire(_, let reply): reply(reason)
            case .errand(let errand): errand.abandon()
            case .letter, .register, .transaction, .processes, .electionEnded: break
            }
        }
        return told
    }

    private func close(_ reason: ShardError) -> [Item] {
        state.withLock { state in
            state.closed = reason
            defer { state.items = [] }
            return state.items
        }
    }
}

extension ReplicaInbox.Item {
    /// Letters may be lost, so a replica that lags loses them rather than memory.
    fileprivate var isBounded: Bool {
        switch self {
        case .request, .read, .letter: true
        case .register, .transaction, .processes, .electionEnded, .report, .settle, .errand, .retire, .stop:
            false
        }
    }
}

/// A read and its caller, who is resumed exactly once: then the published snapshot shows what it must see.
struct WaitingRead: Sendable {
    var level: ReadLevel
    var deadline: ContinuousClock.Instant
    var resume: @Sendable (ShardError?) -> Void
}

/// Why a replica is closed.
enum ReplicaEnd: Sendable {
    case nodeStops
    case dropped
    /// It is opened anew, from other files or in another generation.
    case replaced

    /// Whether its folder gets another name.
    var movesFiles: Bool {
        switch self {
        case .nodeStops: false
        case .dropped, .replaced: true
        }
    }

    /// What requests that come too late are told.
    func error(_ shard: ShardID) -> ShardError {
        switch self {
        case .nodeStops: .busy(shard, reason: "its node is stopping")
        case .dropped: .unknownShard(shard)
        case .replaced: .busy(shard, reason: "it is being opened anew")
        }
    }
}
