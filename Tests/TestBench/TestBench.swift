package import ClusterModel
import ControlPlane
package import Coordinator
package import FaceModel
import Foundation
import KeyHierarchy
package import ShardEngine
import StorageIO

/// A coordinator over a real node and a real control plane in a folder of its own, with a fake ledger and extractor.
package final class Bench: Sendable {
    package let index: FaceIndex
    package let ledger: FakeLedger
    package let node: ShardNode
    package let root: String

    package init(root: String? = nil) async throws {
        self.root = root ?? NSTemporaryDirectory() + "facet-bench-\(ProcessInfo.processInfo.globallyUniqueString)"
        let data = DataDirectory(path: self.root, files: POSIXFileSystem())
        try data.prepare()
        ledger = FakeLedger()
        let key = try data.masterKey()
        let controlPlane = try SQLiteControlPlane(path: data.controlPlane)
        node = ShardNode(
            directory: data.shards, files: POSIXFileSystem(), pool: ScanPool(threads: 1),
            surroundings: try await .alone(.embedded, in: controlPlane))
        index = FaceIndex(
            controlPlane: controlPlane, shards: node, ledger: ledger,
            extractor: FakeExtractor(), masterKey: key, now: { Timestamp(milliseconds: 1_000) })
        try await index.start()
    }

    package func close() async {
        await node.stop()
        _ = try? FileManager.default.removeItem(atPath: root)
    }

    package var context: CallContext {
        get throws {
            guard let key = AccessKeyID("FCTTESTTESTTESTTEST1") else { throw ExtractionError.undecodable(reason: "") }
            return CallContext(
                tenant: .embedded, accessKey: key, person: "Ada", token: .none,
                purpose: SearchPurpose(purpose: "test", caseNumber: "7", authority: nil, source: nil),
                request: RequestID(Bits128(high: 1, low: 1)),
                deadline: .now + .seconds(Limits.requestDeadlineSeconds), allowsPartial: false)
        }
    }
}

extension ReplicaSurroundings {
    /// Of a node in its next life, beside others that it cannot reach.
    package static func alone(_ node: NodeID, in controlPlane: any ControlPlane) async throws -> ReplicaSurroundings {
        let register = try await controlPlane.readFresh(.incarnation(node))
        var incarnation = Incarnation(1)
        if case .incarnation(let known)? = register?.value { incarnation = known.incarnation.next }
        _ = try await controlPlane.commit(
            RegisterTransaction([
                .put(
                    .incarnation(IncarnationRegister(node: node, incarnation: incarnation)),
                    expecting: register?.revision ?? .absent)
            ]))
        return ReplicaSurroundings(
            node: node, incarnation: incarnation, registers: ControlPlaneShards(controlPlane), post: NoPost())
    }
}
