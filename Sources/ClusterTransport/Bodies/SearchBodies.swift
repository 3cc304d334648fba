import ClusterModel
import FaceModel
import Foundation

extension WireSearchRequest {
    init(_ searches: [ShardSearch], _ call: WireShardCall) {
        self.init()
        self.call = call
        self.searches = searches.map(WireSearch.init)
    }

    func domain() throws(BodyError) -> ShardRequest {
        guard (1...Limits.searchesPerRequestMax).contains(searches.count) else {
            throw BodyError("searches", "\(searches.count); 1 to \(Limits.searchesPerRequestMax) are possible")
        }
        var read: [ShardSearch] = []
        for search in searches { read.append(try search.domain("searches[\(read.count)]")) }
        let candidates = read.reduce(0) { $0 + $1.limit }
        guard candidates <= Limits.candidatesPerRequestMax else {
            throw BodyError(
                "searches", "\(candidates) candidates together; \(Limits.candidatesPerRequestMax) at most")
        }
        return .search(read)
    }
}

extension WireSearch {
    init(_ search: ShardSearch) {
        self.init()
        query = FieldBytes.floats(search.query.values)
        limit = UInt32(search.limit)
        minScore = search.minScore
        sigmas = search.sigmas
        if let buckets = search.buckets { self.buckets = FieldBytes.words(buckets.lazy.map(\.value)) }
    }

    fileprivate func domain(_ field: String) throws(BodyError) -> ShardSearch {
        guard !minScore.isNaN else { throw BodyError("\(field).min_score", "not a number") }
        // False for what is no number.
        guard sigmas > 0 else { throw BodyError("\(field).sigmas", "not above 0") }
        return ShardSearch(
            query: try Fields.vector(query, "\(field).query"),
            limit: try Fields.limit(limit, "\(field).limit", 1...Limits.candidatesMax + 1), minScore: minScore,
            sigmas: sigmas,
            buckets: hasBuckets
                ? try Fields.leaves(buckets, "\(field).buckets", max: Limits.bucketsPerSearchMax) : nil)
    }
}

extension WireSearchAnswer {
    /// The answers of one shard to one request: all of one state.
    init(_ answers: [ShardSearchAnswer]) {
        self.init()
        found = answers.map(WireFound.init)
        guard let first = answers.first else { return }
        precondition(answers.allSatisfy { $0.at == first.at && $0.tree == first.tree }, "one state of the shard")
        lsn = first.at.lsn.value
        generation = first.at.generation.value
        tree = first.tree.value
    }

    /// As many searches were asked as there are `limits`, each for at most so many candidates.
    func domain(limits: [Int]) throws(BodyError) -> [ShardSearchAnswer] {
        guard found.count == limits.count else {
            throw BodyError("found", "\(found.count) answers to \(limits.count) searches")
        }
        var answers: [ShardSearchAnswer] = []
        for (answer, limit) in zip(found, limits) {
            let field = "found[\(answers.count)]"
            answers.append(
                ShardSearchAnswer(
                    candidates: try answer.candidates(field, max: limit),
                    facesScored: try Fields.count(answer.facesScored, "\(field).faces_scored"),
                    buckets: try Fields.count(answer.buckets, "\(field).buckets"),
                    at: ShardPosition(Generation(generation), LogIndex(lsn)), tree: LogIndex(tree)))
        }
        return answers
    }
}

extension WireFound {
    init(_ answer: ShardSearchAnswer) {
        self.init()
        scores = FieldBytes.floats(answer.candidates.map(\.score))
        faces = WireFaces(answer.candidates)
        facesScored = UInt64(answer.facesScored)
        buckets = UInt64(answer.buckets)
    }

    fileprivate func candidates(_ field: String, max: Int) throws(BodyError) -> [ShardCandidate] {
        let ids = try faces.faceIDs("\(field).faces", max: max)
        guard scores.count == ids.count * 4 else {
            throw BodyError("\(field).scores", "\(scores.count) bytes; \(ids.count) faces have \(ids.count * 4)")
        }
        let values = try Fields.floats(scores, "\(field).scores")
        var columns = try FaceColumnsReader(faces, "\(field).faces", max: max)
        var candidates: [ShardCandidate] = []
        candidates.reserveCapacity(ids.count)
        for (index, id) in ids.enumerated() {
            if index > 0 {
                let before = Match(face: ids[index - 1], score: values[index - 1])
                guard Match.precedes(before, Match(face: id, score: values[index])) else {
                    throw BodyError("\(field).scores", "candidate \(index) is out of order")
                }
            }
            let name = try columns.nextName()
            let face = StoredFace(id: id, externalImageID: name, record: try columns.nextRecord())
            candidates.append(ShardCandidate(score: values[index], face: face))
        }
        try columns.end()
        return candidates
    }
}
