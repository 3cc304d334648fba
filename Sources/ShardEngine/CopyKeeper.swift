package import ClusterModel
package import FaceModel
import Logging
import Replication

/// Keeps a node's copies in step with the control plane: opens those it holds when it starts, without waiting for a
/// coordinator to ask for them, and passes on what becomes of their shards' registers.
package struct CopyKeeper: Sendable {
    /// Between two attempts to read the control plane.
    private static let pause = Duration.seconds(1)
    private static let openingSecondsMax = 600

    private let node: NodeID
    private let shards: ShardNode
    private let controlPlane: any ControlPlane
    private let log = Logger(label: "facet.node")

    package init(of node: NodeID, shards: ShardNode, controlPlane: any ControlPlane) {
        self.node = node
        self.shards = shards
        self.controlPlane = controlPlane
    }

    /// Until the task is cancelled.
    package func run() async {
        while !Task.isCancelled {
            do {
                let snapshot = try await controlPlane.snapshot()
                for register in snapshot.registers { observe(register) }
                await open(snapshot)
                for try await changes in controlPlane.changes(after: snapshot.revision) {
                    for register in changes.put { observe(register) }
                }
            } catch {
                log.warning("the control plane cannot be followed", metadata: ["reason": "\(error)"])
            }
            // Woken early only when the task is cancelled.
            _ = try? await Task.sleep(for: Self.pause)
        }
    }

    private func observe(_ register: Register) {
        guard case .shard(let value) = register.value else { return }
        shards.observe(RegisterState(value, register.revision), of: value.shard)
    }

    /// A copy that is being made is opened by whoever makes it.
    private func open(_ snapshot: RegisterSnapshot) async {
        let copies = CopiesOfNode(node, in: snapshot)
        for descriptor in copies.descriptors {
            var generator = SystemRandomNumberGenerator()
            let call = ShardCall(
                shard: descriptor.shard, node: node, roots: descriptor.roots,
                deadline: .now + .seconds(Self.openingSecondsMax), request: RequestID(.random(using: &generator)))
            do throws(ShardError) {
                try await shards.open(descriptor, .existing, call)
            } catch {
                log.error(
                    "a copy of a shard cannot be opened",
                    metadata: ["shard": "\(descriptor.shard)", "reason": "\(error)"])
            }
        }
    }
}

/// The copies that a node holds, as the registers tell.
struct CopiesOfNode {
    /// Without the collections' keys.
    private(set) var descriptors: [ShardDescriptor] = []

    init(_ node: NodeID, in snapshot: RegisterSnapshot) {
        var collections: [CollectionUID: CollectionRegister] = [:]
        var shards: [ShardID: (shard: CollectionMap.Shard, collection: CollectionUID)] = [:]
        for register in snapshot.registers {
            switch register.value {
            case .collection(let collection): collections[collection.uid] = collection
            case .map(let map) where map.made:
                for shard in map.shards { shards[shard.id] = (shard, map.collection) }
            default: break
            }
        }
        for case .replica(let copy) in snapshot.registers.map(\.value) where copy.node == node {
            guard let (shard, uid) = shards[copy.shard], let collection = collections[uid] else { continue }
            descriptors.append(
                ShardDescriptor(
                    tenant: collection.tenant, collection: uid, shard: shard.id, replica: copy.replica,
                    dimension: collection.dimension, modelVersion: collection.modelVersion, idKey: [],
                    roots: shard.roots))
        }
    }
}
