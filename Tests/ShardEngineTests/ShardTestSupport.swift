import ClusterModel
import FaceModel

extension ShardDescriptor {
    /// A call that believes what the descriptor says.
    func call(within limit: Duration = .seconds(600)) -> ShardCall {
        ShardCall(
            shard: shard, node: .embedded, roots: roots, deadline: .now + limit,
            request: RequestID(Bits128(high: 0, low: 1)))
    }
}
