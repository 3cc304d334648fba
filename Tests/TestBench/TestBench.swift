import ControlPlane
package import Coordinator
import FaceModel
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
        node = ShardNode(directory: data.shards, files: POSIXFileSystem(), pool: ScanPool(threads: 1))
        let key = try data.masterKey()
        index = FaceIndex(
            controlPlane: try SQLiteControlPlane(path: data.controlPlane), shards: node, ledger: ledger,
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
