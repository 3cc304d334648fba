import AuditLedger
import ClusterModel
import Coordinator
import FaceModel
import Foundation

/// Answers as JSON values, member names as in Rekognition's model. Lists are always there, even empty: clients index them.
enum Shapes {
    typealias Object = [String: JSONValue]

    static func face(_ face: StoredFaceSummary, modelVersion: String) -> JSONValue {
        var object: Object = [
            "FaceId": .text(face.id.description), "IndexFacesModelVersion": .text(modelVersion),
        ]
        object["ExternalImageId"] = face.externalImageID.map { .text($0.text) }
        object["ImageId"] = face.imageID.map { .text($0.description) }
        if let detail = face.detail {
            object["BoundingBox"] = box(detail.box)
            object["Confidence"] = percent(detail.confidence)
        }
        return .object(object)
    }

    static func detail(_ detail: FaceDetail) -> JSONValue {
        let names = ["eyeLeft", "eyeRight", "nose", "mouthLeft", "mouthRight"]
        return [
            "BoundingBox": box(detail.box),
            "Confidence": percent(detail.confidence),
            "Landmarks": .list(
                zip(names, detail.landmarks).map { name, point in
                    ["Type": .text(name), "X": ratio(point.x), "Y": ratio(point.y)]
                }),
            "Pose": [
                "Roll": degrees(detail.pose.roll), "Yaw": degrees(detail.pose.yaw),
                "Pitch": degrees(detail.pose.pitch),
            ],
            "Quality": [
                "Brightness": percent(detail.quality.brightness), "Sharpness": percent(detail.quality.sharpness),
            ],
        ]
    }

    static func box(_ box: BoundingBox) -> JSONValue {
        ["Left": ratio(box.left), "Top": ratio(box.top), "Width": ratio(box.width), "Height": ratio(box.height)]
    }

    static func matches(_ answer: SearchAnswer, withCosine: Bool) -> JSONValue {
        .list(
            answer.candidates.map { candidate in
                var object: Object = ["Face": face(candidate.face, modelVersion: answer.modelVersion)]
                object["Similarity"] = candidate.similarity.map { .number(rounded($0, 100_000)) }
                if withCosine { object["Cosine"] = .number(candidate.cosine) }
                return .object(object)
            })
    }

    /// One search of a batch: what a search alone says in headers stands beside its candidates.
    static func search(_ answer: SearchAnswer) -> JSONValue {
        var object: Object = [
            "SearchId": .text(answer.search.description), "FaceMatches": matches(answer, withCosine: true),
            "Coverage": .text(answer.coverage.description),
        ]
        object["ExpectedStrangers"] = answer.expectedStrangers.map { .number($0) }
        return .object(object)
    }

    static func percent(_ value: Float) -> JSONValue { .number(rounded(min(max(Double(value), 0), 100), 100_000)) }
    private static func ratio(_ value: Float) -> JSONValue { .number(rounded(Double(value), 10_000_000)) }
    private static func degrees(_ value: Float) -> JSONValue {
        .number(rounded(min(max(Double(value), -180), 180), 10_000))
    }

    private static func rounded(_ value: Double, _ scale: Double) -> Double { (value * scale).rounded() / scale }

    // MARK: Facet's own

    static func record(_ record: SearchRecord) -> JSONValue {
        var object: Object = ["Leaves": .list(record.leaves.map(proof))]
        object["Intent"] = record.intent.map(intent)
        object["Result"] = record.result.map(result)
        object["Order"] = record.order.map(order)
        return .object(object)
    }

    static func proof(_ proof: LeafProof) -> JSONValue {
        [
            "Index": .number(proof.index), "Leaf": base64(proof.leaf), "Path": .list(proof.path.map(base64)),
            "TreeSize": .number(proof.treeSize), "RootHash": base64(proof.rootHash),
            "Checkpoint": .text(proof.checkpoint),
        ]
    }

    private static func intent(_ intent: SearchIntent) -> JSONValue {
        var object: Object = [
            "SearchId": .text(intent.search.description), "Time": seconds(intent.time),
            "Tenant": .text(intent.tenant.text), "AccessKey": .text(intent.accessKey.text),
            "Person": .text(intent.person), "Operation": .text(intent.operation),
            "ProbeDigest": hexadecimal(intent.probeDigest), "Collections": .texts(intent.collections),
            "ModelVersion": .text(intent.modelVersion), "ModelDigest": hexadecimal(intent.modelDigest),
            "MaxCandidates": .number(intent.maxCandidates),
        ]
        object["Purpose"] = intent.purpose.map { .text($0) }
        object["Case"] = intent.caseNumber.map { .text($0) }
        object["Authority"] = intent.authority.map { .text($0) }
        object["Source"] = intent.source.map { .text($0) }
        object["SimilarityAsked"] = intent.similarityAsked.map { .number($0) }
        object["CosineAsked"] = intent.cosineAsked.map { .number($0) }
        return .object(object)
    }

    private static func result(_ result: SearchResult) -> JSONValue {
        var object: Object = [
            "SearchId": .text(result.search.description), "Time": seconds(result.time),
            "CosineApplied": .number(result.cosineApplied), "Mode": .text(result.mode),
            "FacesScored": .number(result.facesScored), "ShardsAsked": .number(result.shardsAsked),
            "ShardsAnswered": .number(result.shardsAnswered),
            "Candidates": .list(
                result.candidates.map { ["FaceId": .text($0.face.description), "Cosine": .number($0.score)] }),
        ]
        object["SimilarityApplied"] = result.similarityApplied.map { .number($0) }
        object["ExpectedStrangers"] = result.expectedStrangers.map { .number($0) }
        switch result.outcome {
        case .answered: object["Outcome"] = "answered"
        case .failed(let code): object["Outcome"] = .text("failed: \(code)")
        }
        return .object(object)
    }

    private static func order(_ order: StandingOrder) -> JSONValue {
        var object: Object = [
            "OrderId": .text(order.id.description), "Time": seconds(order.time), "Tenant": .text(order.tenant.text),
            "Reason": .text(order.reason),
        ]
        switch order.act {
        case .suspend: object["Act"] = "suspend"
        case .resume: object["Act"] = "resume"
        case .revoke(let key):
            object["Act"] = "revoke"
            object["RevokedKey"] = .text(key.text)
        }
        object["AccessKey"] = order.accessKey.map { .text($0.text) }
        object["Person"] = order.person.map { .text($0) }
        return .object(object)
    }

    static func seconds(_ time: Timestamp) -> JSONValue { .number(Double(time.milliseconds) / 1_000) }
    static func base64(_ bytes: [UInt8]) -> JSONValue { .text(Data(bytes).base64EncodedString()) }

    static func hexadecimal(_ bytes: [UInt8]) -> JSONValue {
        .text(bytes.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined())
    }
}
