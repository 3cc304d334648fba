import AuditLedger
import ClusterModel
import FaceModel
import KeyHierarchy

/// What a client asked, whatever the probes were.
struct SearchRequest: Sendable {
    var operation: String
    /// Of each probe: each is a search of its own in the ledger.
    var probeDigests: [[UInt8]]
    var limit: Int
    var threshold: SearchThreshold
    var mode: SearchMode
    var consistency: ReadConsistency
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

/// The answers of a collection's shards to one search, merged, without the probe itself.
struct Scanned: Sendable {
    var probe: SearchProbe
    var candidates: [ShardCandidate]
    var coverage: SearchCoverage
    var missing: [MissingShard]

    init(
        probe: SearchProbe, number: Int, of plan: SearchPlan, _ merge: SearchMerge, _ gathering: Gathering<BatchMerge>,
        _ request: SearchRequest
    ) {
        self.probe = probe
        candidates = Array(merge.candidates.lazy.filter { $0.face.id != probe.excluding }.prefix(request.limit))
        coverage = SearchCoverage(
            shardsAnswered: merge.shardsAnswered,
            shardsAsked: gathering.map.shards.count { plan.asks($0, for: number) }, facesScored: merge.facesScored,
            mode: request.mode, route: plan.counts(of: number),
            consistency: request.consistency)
        missing = gathering.missing
    }
}

extension FaceIndex {
    func intent(
        of request: SearchRequest, probe: [UInt8], search: SearchID, _ handle: CollectionHandle, _ context: CallContext
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
            source: context.purpose.source, probeDigest: probe,
            collections: [handle.collection.name.text], modelVersion: handle.collection.modelVersion,
            modelDigest: handle.collection.modelName == model.name ? model.digest : [],
            similarityAsked: similarity, cosineAsked: cosine, maxCandidates: request.limit)
    }

    func result(
        of scanned: Result<Scanned, CoordinatorError>, to request: SearchRequest, search: SearchID,
        _ applied: AppliedThreshold,
        _ calibration: SimilarityCalibration?, _ handle: CollectionHandle, _ context: CallContext
    ) -> SearchResult {
        var result = SearchResult(
            search: search, time: now(), tenant: context.tenant, outcome: .answered, cosineApplied: applied.cosine,
            similarityApplied: applied.similarity, mode: request.mode.text(nil) + request.consistency.statement,
            facesScored: 0,
            shardsAsked: handle.map.shards.count, shardsAnswered: 0, expectedStrangers: nil, candidates: [])
        switch scanned {
        case .failure(let error):
            result.outcome = .failed(code: error.ledgerCode)
            if case .incomplete(let asked, let answered, _) = error {
                result.shardsAsked = asked
                result.shardsAnswered = answered
            }
        case .success(let found):
            result.mode = found.coverage.statement
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
        case .collectionExists, .collectionQuota, .shardCount, .invalidPageToken, .session, .shardNotFound,
            .impossibleMove, .impossibleRecovery:
            "bad-request"
        case .faceNotFound: "face-not-found"
        case .noFaces: "no-face"
        case .image: "image"
        case .vector: "vector"
        case .otherModel: "other-model"
        case .noSimilarity: "no-similarity"
        case .keyUnusable: "key-unusable"
        case .ledger, .standingUnknown: "ledger"
        case .incomplete, .incompleteWrite: "shards-missing"
        case .noNodes, .tooFewNodes: "no-nodes"
        case .controlPlane: "control-plane"
        }
    }
}
