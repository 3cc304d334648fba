import AuditLedger
import ClusterModel
import FaceModel
import KeyHierarchy
import VectorSearch

/// What a client asked, whatever the probe was.
struct SearchRequest: Sendable {
    var operation: String
    var probeDigest: [UInt8]
    var limit: Int
    var threshold: SearchThreshold
}

/// The vector that is searched with.
struct SearchProbe: Sendable {
    var vector: RotatedVector
    var detail: FaceDetail?
    /// The enrolled face that is its own probe.
    var excluding: FaceID?
}

/// The threshold a scan applies, and what it means in similarity where the model is calibrated.
struct AppliedThreshold: Sendable {
    var cosine: Float
    var similarity: Double?

    init(
        _ asked: SearchThreshold, calibration: SimilarityCalibration?, modelVersion: String
    ) throws(CoordinatorError) {
        switch asked {
        case .cosine(let cosine):
            self.cosine = cosine
            similarity = calibration?.similarity(cosine: cosine)
        case .similarity(let asked):
            guard let calibration else { throw .noSimilarity(modelVersion: modelVersion) }
            cosine = calibration.cosine(similarity: asked)
            similarity = asked
        }
    }
}

/// What a search promises, as its answer and the ledger state it.
enum SearchMode {
    /// Every face is scored, or its planes show at so many standard errors that it lies below the worst candidate.
    static let exhaustive = "exhaustive sigmas=\(Int(PlaneCode.sigmasDefault))"
}

/// The answers of a collection's shards, merged, without the probe itself.
struct Scanned: Sendable {
    var probe: SearchProbe
    var candidates: [ShardCandidate]
    var coverage: SearchCoverage
    var missing: [MissingShard]

    init(probe: SearchProbe, _ merge: SearchMerge, _ gathering: Gathering<SearchMerge>, limit: Int) {
        self.probe = probe
        candidates = Array(merge.candidates.lazy.filter { $0.face.id != probe.excluding }.prefix(limit))
        coverage = SearchCoverage(
            shardsAnswered: merge.shardsAnswered, shardsAsked: gathering.asked, facesScored: merge.facesScored,
            mode: SearchMode.exhaustive)
        missing = gathering.missing
    }
}

extension FaceIndex {
    func intent(
        of request: SearchRequest, search: SearchID, _ handle: CollectionHandle, _ context: CallContext
    ) -> SearchIntent {
        let (similarity, cosine): (Double?, Float?) =
            switch request.threshold {
            case .similarity(let value): (value, nil)
            case .cosine(let value): (nil, value)
            }
        return SearchIntent(
            search: search, time: now(), tenant: context.tenant, accessKey: context.accessKey,
            person: context.person, operation: request.operation, purpose: context.purpose.purpose,
            caseNumber: context.purpose.caseNumber, authority: context.purpose.authority,
            source: context.purpose.source, probeDigest: request.probeDigest,
            collections: [handle.collection.name.text], modelVersion: handle.collection.modelVersion,
            modelDigest: handle.collection.modelName == model.name ? model.digest : [],
            similarityAsked: similarity, cosineAsked: cosine, maxCandidates: request.limit)
    }

    func result(
        of scanned: Result<Scanned, CoordinatorError>, search: SearchID, _ applied: AppliedThreshold,
        _ calibration: SimilarityCalibration?, _ handle: CollectionHandle, _ context: CallContext
    ) -> SearchResult {
        var result = SearchResult(
            search: search, time: now(), tenant: context.tenant, outcome: .answered, cosineApplied: applied.cosine,
            similarityApplied: applied.similarity, mode: SearchMode.exhaustive, facesScored: 0,
            shardsAsked: handle.map.shards.count, shardsAnswered: 0, expectedStrangers: nil, candidates: [])
        switch scanned {
        case .failure(let error):
            result.outcome = .failed(code: error.ledgerCode)
            if case .incomplete(let asked, let answered, _) = error {
                result.shardsAsked = asked
                result.shardsAnswered = answered
            }
        case .success(let found):
            result.facesScored = found.coverage.facesScored
            result.shardsAsked = found.coverage.shardsAsked
            result.shardsAnswered = found.coverage.shardsAnswered
            result.candidates = found.candidates.map { .init(face: $0.face.id, score: $0.score) }
            if let similarity = applied.similarity {
                result.expectedStrangers = calibration?.expectedStrangers(
                    faces: found.coverage.facesScored, similarity: similarity)
            }
        }
        return result
    }
}

extension CoordinatorError {
    /// One word for the ledger: why a search gave no candidate list. Final: the words stand in leaves.
    var ledgerCode: String {
        switch self {
        case .collectionNotFound: "collection-not-found"
        case .collectionExists, .collectionQuota, .shardCount, .invalidPageToken: "bad-request"
        case .faceNotFound: "face-not-found"
        case .noFaces: "no-face"
        case .image: "image"
        case .vector: "vector"
        case .otherModel: "other-model"
        case .noSimilarity: "no-similarity"
        case .keyUnusable: "key-unusable"
        case .ledger: "ledger"
        case .incomplete, .incompleteWrite: "shards-missing"
        case .noNodes: "no-nodes"
        case .controlPlane: "control-plane"
        }
    }
}
