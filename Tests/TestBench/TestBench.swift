package import AuditLedger
import ClusterModel
import ControlPlane
package import Coordinator
package import FaceModel
import Foundation
import KeyHierarchy
package import ShardEngine
import SimulatedDisk
import StorageIO
import Synchronization

/// A ledger that remembers, and refuses when told to.
package final class FakeLedger: LedgerService {
    private let state = Mutex<(entries: [LedgerEntry], refusing: String?)>(([], nil))

    package var entries: [LedgerEntry] { state.withLock { $0.entries } }
    package func refuse(_ reason: String?) { state.withLock { $0.refusing = reason } }

    package func append(_ entry: LedgerEntry) async throws(LedgerError) -> UInt64 {
        let outcome: Result<UInt64, LedgerError> = state.withLock { state in
            if let reason = state.refusing { return .failure(.refusing(reason: reason)) }
            state.entries.append(entry)
            return .success(UInt64(state.entries.count - 1))
        }
        return try outcome.get()
    }

    package func record(of search: SearchID, tenant: TenantID) async throws(LedgerError) -> SearchRecord? { nil }

    package func status() async -> LedgerStatus {
        LedgerStatus(treeSize: UInt64(entries.count), rootHash: [], verifierKey: "", refusing: nil)
    }
}

/// Reads faces out of "images" that are text: one line a face, "seed confidence size".
package struct FakeExtractor: FaceExtractor {
    package static let dimension = 128

    package var model: FaceModelDescription {
        FaceModelDescription(
            name: "fake", version: "1.0", dimension: Self.dimension, digest: [1, 2, 3],
            calibration: SimilarityCalibration(points: [
                .init(
                    similarity: 80, cosine: 0.36, cosineLow: 0.35, cosineHigh: 0.37, falseMatchRate: 1e-3,
                    extrapolated: false),
                .init(
                    similarity: 99, cosine: 0.525, cosineLow: 0.5, cosineHigh: 0.55, falseMatchRate: 1e-6,
                    extrapolated: true),
            ]))
    }

    package static func image(_ faces: [(seed: Int, confidence: Float, size: Float)]) -> [UInt8] {
        Array(faces.map { "\($0.seed) \($0.confidence) \($0.size)" }.joined(separator: "\n").utf8)
    }

    package func extract(image: [UInt8], scope: ExtractionScope) async throws(ExtractionError) -> ExtractedImage {
        guard image != Array("broken".utf8) else { throw .undecodable(reason: "broken") }
        let lines = String(decoding: image, as: UTF8.self).split(separator: "\n")
        var faces: [ExtractedFace] = []
        for line in lines {
            let fields = line.split(separator: " ").compactMap { Float($0) }
            guard fields.count == 3 else { throw .undecodable(reason: "no face line") }
            faces.append(face(seed: Int(fields[0]), confidence: fields[1], size: fields[2]))
        }
        faces.sort { $0.detail.box.area > $1.detail.box.area }
        return ExtractedImage(width: 1_000, height: 1_000, faces: scope == .allFaces ? faces : Array(faces.prefix(1)))
    }

    private func face(seed: Int, confidence: Float, size: Float) -> ExtractedFace {
        var generator = SplitMix(state: UInt64(seed))
        let detail = FaceDetail(
            box: BoundingBox(left: 0.1, top: 0.1, width: size, height: size), landmarks: [], confidence: confidence,
            quality: FaceQuality(brightness: 50, sharpness: 50), pose: FacePose(roll: 0, yaw: 0, pitch: 0))
        return ExtractedFace(
            detail: detail,
            embedding: Embedding((0..<Self.dimension).map { _ in Float.random(in: -1...1, using: &generator) }))
    }
}

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
                purpose: SearchPurpose(purpose: "test", caseNumber: "7", authority: nil, source: nil))
        }
    }
}
