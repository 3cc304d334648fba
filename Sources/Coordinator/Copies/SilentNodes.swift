import FaceModel
import Synchronization

/// Since when nodes say nothing, as far as this coordinator knows: it counts from when it began to ask, and begins again
/// where it has not asked for a while itself, because it stood still or the store did.
final class SilentNodes: Sendable {
    private static let pauseMax = Duration.seconds(30)

    private struct State {
        var askedAt: ContinuousClock.Instant?
        var heard: [NodeID: ContinuousClock.Instant] = [:]
        /// What was said of each since it was last heard.
        var said: [NodeID: Set<String>] = [:]
        /// Shards that were tried in vain since the others were.
        var tried: [NodeID: Set<ShardID>] = [:]
    }
    private let state = Mutex(State())

    /// Of all nodes `answered` have answered.
    func note(_ nodes: [NodeID], answered: Set<NodeID>, at now: ContinuousClock.Instant) {
        state.withLock { state in
            if let last = state.askedAt, last + Self.pauseMax < now { state.heard = [:] }
            state.askedAt = now
            state.heard = state.heard.filter { nodes.contains($0.key) }
            for node in answered { (state.said[node], state.tried[node]) = (nil, nil) }
            for node in nodes where answered.contains(node) || state.heard[node] == nil { state.heard[node] = now }
        }
    }

    /// In the order of their names.
    func silent(for limit: Duration, at now: ContinuousClock.Instant) -> [NodeID] {
        state.withLock { state in
            state.heard.filter { $0.value + limit <= now }.map(\.key).sorted { $0.text < $1.text }
        }
    }

    /// True the first time since the node was last heard.
    func isNews(_ text: String, of node: NodeID) -> Bool {
        state.withLock { $0.said[node, default: []].insert(text).inserted }
    }

    /// Which of the shards that have a copy on the node is next: one that cannot have another now holds up no other.
    func next(of shards: [ShardID], on node: NodeID) -> ShardID? {
        state.withLock { state in
            if let untried = shards.first(where: { state.tried[node]?.contains($0) != true }) { return untried }
            state.tried[node] = nil
            return shards.first
        }
    }

    func triedInVain(_ shard: ShardID, on node: NodeID) {
        state.withLock { _ = $0.tried[node, default: []].insert(shard) }
    }

    /// Another looks after it, and what is known grows old.
    func forget() { state.withLock { $0 = State() } }
}
