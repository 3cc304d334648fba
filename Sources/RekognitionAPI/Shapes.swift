import AuditLedger
import Coordinator
import FaceModel
import Foundation

/// Answers as JSON values, member names as in Rekognition's model. Lists are always there, even empty: clients index them.
enum Shapes {
    typealias Object = [String: Any]

    static func face(_ face: StoredFaceSummary, modelVersion: String) -> Object {
        var object: Object = ["FaceId": face.id.description, "IndexFacesModelVersion": modelVersion]
        if let external = face.externalImageID { object["ExternalImageId"] = external.text }
        if let image = face.imageID { object["ImageId"] = image.description }
        if let detail = face.detail {
            object["BoundingBox"] = box(detail.box)
            object["Confidence"] = percent(detail.confidence)
        }
        return object
    }

    static func detail(_ detail: FaceDetail) -> Object {
        let names = ["eyeLeft", "eyeRight", "nose", "mouthLeft", "mouthRight"]
        return [
            "BoundingBox": box(detail.box),
            "Confidence": percent(detail.confidence),
            "Landmarks": zip(names, detail.landmarks).map { name, point in
                ["Type": name, "X": ratio(point.x), "Y": ratio(point.y)] as Object
            },
            "Pose": [
                "Roll": degrees(detail.pose.roll), "Yaw": degrees(detail.pose.yaw),
                "Pitch": degrees(detail.pose.pitch),
            ],
            "Quality": [
                "Brightness": percent(detail.quality.brightness), "Sharpness": percent(detail.quality.sharpness),
            ],
        ]
    }

    static func box(_ box: BoundingBox) -> Object {
        ["Left": ratio(box.left), "Top": ratio(box.top), "Width": ratio(box.width), "Height": ratio(box.height)]
    }

    static func matches(_ answer: SearchAnswer, withCosine: Bool) -> [Object] {
        answer.candidates.map { candidate in
            var object: Object = ["Face": face(candidate.face, modelVersion: answer.modelVersion)]
            if let similarity = candidate.similarity { object["Similarity"] = rounded(similarity, 5) }
            if withCosine { object["Cosine"] = Double(candidate.cosine) }
            return object
        }
    }

    static func percent(_ value: Float) -> Double { rounded(min(max(Double(value), 0), 100), 5) }
    private static func ratio(_ value: Float) -> Double { rounded(Double(value), 7) }
    private static func degrees(_ value: Float) -> Double { rounded(min(max(Double(value), -180), 180), 4) }

    private static func rounded(_ value: Double, _ digits: Int) -> Double {
        let scale = pow(10, Double(digits))
        return (value * scale).rounded() / scale
    }

    // MARK: Facet's own

    static func record(_ record: SearchRecord) -> Object {
        var object: Object = ["Leaves": record.leaves.map(proof)]
        if let intent = record.intent { object["Intent"] = self.intent(intent) }
        if let result = record.result { object["Result"] = self.result(result) }
        return object
    }

    static func proof(_ proof: LeafProof) -> Object {
        [
            "Index": proof.index, "Leaf": base64(proof.leaf), "Path": proof.path.map(base64),
            "TreeSize": proof.treeSize, "RootHash": base64(proof.rootHash), "Checkpoint": proof.checkpoint,
        ]
    }

    private static func intent(_ intent: SearchIntent) -> Object {
        var object: Object = [
            "SearchId": intent.search.description, "Time": seconds(intent.time), "Tenant": intent.tenant.text,
            "AccessKey": intent.accessKey.text, "Person": intent.person, "Operation": intent.operation,
            "ProbeDigest": hexadecimal(intent.probeDigest), "Collections": intent.collections,
            "ModelVersion": intent.modelVersion, "ModelDigest": hexadecimal(intent.modelDigest),
            "MaxCandidates": intent.maxCandidates,
        ]
        object["Purpose"] = intent.purpose
        object["Case"] = intent.caseNumber
        object["Authority"] = intent.authority
        object["Source"] = intent.source
        object["SimilarityAsked"] = intent.similarityAsked
        object["CosineAsked"] = intent.cosineAsked.map { Double($0) }
        return object
    }

    private static func result(_ result: SearchResult) -> Object {
        var object: Object = [
            "SearchId": result.search.description, "Time": seconds(result.time),
            "CosineApplied": Double(result.cosineApplied), "Mode": result.mode, "FacesScored": result.facesScored,
            "ShardsAsked": result.shardsAsked, "ShardsAnswered": result.shardsAnswered,
            "Candidates": result.candidates.map {
                ["FaceId": $0.face.description, "Cosine": Double($0.score)] as Object
            },
        ]
        object["SimilarityApplied"] = result.similarityApplied
        object["ExpectedStrangers"] = result.expectedStrangers
        switch result.outcome {
        case .answered: object["Outcome"] = "answered"
        case .failed(let code): object["Outcome"] = "failed: \(code)"
        }
        return object
    }

    static func status(_ status: ServiceStatus) -> Object {
        var ledger: Object = [
            "TreeSize": status.ledger.treeSize, "RootHash": base64(status.ledger.rootHash),
            "VerifierKey": status.ledger.verifierKey,
        ]
        ledger["Refusing"] = status.ledger.refusing
        return [
            "Ready": status.ready, "Problems": status.problems, "Ledger": ledger,
            "Model": ["Name": status.model.name, "Version": status.model.version, "Dimension": status.model.dimension],
            "Collections": status.collections.map(collection),
        ]
    }

    private static func collection(_ collection: ServiceStatus.CollectionStatus) -> Object {
        var object: Object = [
            "CollectionId": collection.name.text, "Tenant": collection.tenant.text,
            "Faces": collection.statistics.reduce(0) { $0 + $1.faces },
            "Shards": collection.statistics.map { shard in
                var object: Object = [
                    "Faces": shard.faces, "Segments": shard.segments, "BufferedFaces": shard.bufferedFaces,
                    "ResidentBytes": shard.residentBytes, "DiskBytes": shard.diskBytes, "Lsn": shard.lsn.value,
                ]
                object["WritesRefused"] = shard.writesRefused
                return object
            },
        ]
        object["Unavailable"] = collection.unavailable
        return object
    }

    static func seconds(_ time: Timestamp) -> Double { Double(time.milliseconds) / 1_000 }
    static func base64(_ bytes: [UInt8]) -> String { Data(bytes).base64EncodedString() }

    static func hexadecimal(_ bytes: [UInt8]) -> String {
        bytes.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
    }
}
