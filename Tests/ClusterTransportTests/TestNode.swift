import FaceModel
import Replication
import Testing

@testable import AuditLedger
@testable import ClusterModel
@testable import ClusterTransport

/// A node that serves, and a coordinator's way to it.
struct TestNode {
    let cluster: TestCluster
    let server: NodeServer
    let address: NodeAddress
    let connections: NodeConnections
    let id: NodeID

    var remote: RemoteShards { RemoteShards(connections) }

    func call(_ remaining: Duration = .seconds(60)) -> ShardCall { .sample(node: id, remaining) }
}

/// Serves `shards` as node `n1` for as long as `body` runs.
func withNode(
    _ shards: any ShardService, ledger: (any LedgerService)? = nil, replicas: (any ReplicaHost)? = nil,
    settings: TransportSettings = .quick, asker: PeerRole = .coordinator, body: (TestNode) async throws -> Void
) async throws {
    let cluster = try TestCluster()
    let id = try cluster.node("n1")
    let server = NodeServer(
        shards: shards, ledger: ledger, replicas: replicas, identity: try cluster.identity(.shardNode, "n1"),
        settings: settings)
    let address = try await server.start(at: NodeAddress(host: "127.0.0.1", port: 0))
    let connections = NodeConnections(identity: try cluster.identity(asker, "c1"), settings: settings) { node in
        node == id ? address : nil
    }
    let node = TestNode(cluster: cluster, server: server, address: address, connections: connections, id: id)
    let result: Result<Void, any Error>
    do {
        try await body(node)
        result = .success(())
    } catch {
        result = .failure(error)
    }
    connections.shut()
    await server.stop(grace: .seconds(5))
    try result.get()
}

extension ShardCall {
    static func sample(node: NodeID, _ remaining: Duration = .seconds(60)) -> ShardCall {
        ShardCall(
            shard: ShardID(Bits128(high: 5, low: 6)), node: node,
            roots: [LeafID(2), LeafID(9)],
            deadline: .now + remaining, request: RequestID(Bits128(high: 7, low: 8)))
    }
}

extension RotatedVector {
    static var sample: RotatedVector { RotatedVector(rotated: (0..<64).map { Float($0) / 64 }) }
}

extension NewFace {
    static var sample: NewFace {
        NewFace(
            vector: .sample, externalImageID: ExternalImageID("a:b"),
            record: FaceRecord(imageID: nil, detail: nil), token: RequestToken(Bits128(high: 1, low: 2)))
    }
}

extension ShardDescriptor {
    static var sample: ShardDescriptor {
        ShardDescriptor(
            tenant: .embedded, collection: CollectionUID(Bits128(high: 3, low: 4)),
            shard: ShardID(Bits128(high: 5, low: 6)), replica: ReplicaID(Bits128(high: 5, low: 6)), dimension: 64,
            modelVersion: "m1",
            idKey: Array(repeating: 7, count: 32), roots: [LeafID(2)])
    }
}
