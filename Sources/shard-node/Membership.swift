import ClusterModel
import FaceModel
import Foundation
import Logging
import ServiceConfiguration
import ShardEngine
import StorageIO

/// What a node says of itself in the control plane, and what it learns of its cluster there.
struct Membership {
    /// Between two attempts to reach the control plane at the start.
    private static let patience = Duration.seconds(1)

    let controlPlane: any ControlPlane
    let node: ClusterConfiguration.Node
    let log: Logger

    /// Writes the node's register and returns the cluster's; waits until the control plane answers.
    func join() async throws -> ClusterRegister {
        var generator = SystemRandomNumberGenerator()
        while true {
            do throws(ControlPlaneError) {
                let cluster = try await controlPlane.cluster(makingWith: &generator)
                if try await register() { return cluster }
            } catch {
                log.warning("waiting for the control plane", metadata: ["reason": "\(error)"])
                try await Task.sleep(for: Self.patience)
            }
        }
    }

    /// Counts this start, before the node says or keeps anything else; waits until the control plane answers.
    func begin(in directory: String, on files: any FileSystem) async throws -> Incarnation {
        while true {
            do throws(NodeIncarnationError) {
                return try await NodeIncarnation.raise(
                    node: node.id, directory: directory, files: files, controlPlane: controlPlane)
            } catch {
                guard case .controlPlane(.unavailable) = error else {
                    throw NodeStartError(reason: error.description)
                }
                log.warning("waiting for the control plane", metadata: ["reason": "\(error)"])
                try await Task.sleep(for: Self.patience)
            }
        }
    }

    /// The copy of the ledger that this node is to keep, and whether it may be made from nothing; nil where the ledger's
    /// copies are on other nodes. Waits until the control plane answers.
    func ledgerCopy(
        of cluster: ClusterRegister, with others: [NodeID], minInSync: Int
    ) async throws -> (replica: ReplicaID, begins: Bool)? {
        var generator = SystemRandomNumberGenerator()
        while true {
            do throws(ControlPlaneError) {
                let outcome = try await LedgerPlacement(cluster: cluster.id, in: controlPlane).copy(
                    of: node.id, with: others, minInSync: minInSync, using: &generator)
                switch outcome {
                case .copy(let replica, let begins): return (replica, begins)
                case .elsewhere:
                    log.error(
                        "the ledger's copies are on other nodes; 'facectl shard replicate' gives it to this one, too")
                case .keptBefore(let keeper):
                    log.error(
                        "this node has 'ledger: true', but the ledger is kept by another",
                        metadata: ["keeper": "\(keeper)"])
                }
                return nil
            } catch {
                guard case .unavailable = error else {
                    throw NodeStartError(reason: "the ledger's registers cannot be used: \(error)")
                }
                log.warning("waiting for the control plane", metadata: ["reason": "\(error)"])
                try await Task.sleep(for: Self.patience)
            }
        }
    }

    /// A ledger that this node was known to keep must not begin again from nothing.
    func requireLedger(begun: Bool, begins: Bool, directory: String) throws(NodeStartError) {
        guard !begun, !begins else { return }
        throw NodeStartError(
            reason: "this node keeps the cluster's ledger, but there is none in \(directory): is the disk mounted? An "
                + "empty ledger would hide every search ever made, so none is begun")
    }

    static func now() -> Timestamp { Timestamp(milliseconds: Int64(Date().timeIntervalSince1970 * 1_000)) }

    /// False when another process of the same name wrote at the same time.
    private func register() async throws(ControlPlaneError) -> Bool {
        let value = NodeRegister(
            node: node.id, address: node.address, zone: node.zone, capacityBytes: node.memoryBytes, started: Self.now())
        let found = try await controlPlane.read(.node(node.id))
        let outcome = try await controlPlane.commit(
            RegisterTransaction([.put(.node(value), expecting: found?.revision ?? .absent)]))
        if case .committed = outcome { return true }
        return false
    }
}
