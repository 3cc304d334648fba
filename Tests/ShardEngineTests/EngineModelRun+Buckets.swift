import ClusterModel
import FaceModel
import SimulatedDisk

@testable import ShardEngine

extension EngineModelRun {
    /// Searches of some buckets, of the others, of all by name, and of every face, in one batch: the first two cover the
    /// last two, which are equal.
    func searchBuckets() async throws {
        let leaves = try await leaves()
        var query = try query()
        let chosen = Set(leaves.filter { _ in random.next() & 1 == 0 })
        let sets = [Array(chosen), leaves.filter { !chosen.contains($0) }, leaves + [LeafID(.max)], nil]
        let answers = try await shard.search(
            sets.map { set in
                query.buckets = set
                return query
            })
        try require(answers.count == sets.count, "\(answers.count) answers to \(sets.count) searches")
        for answer in answers[2...] {
            if let difference = difference(answer, query, model) { try require(false, "by buckets: \(difference)") }
            try require(answer.buckets >= leaves.count, "\(answer.buckets) buckets of \(leaves.count)")
        }
        try require(Set(answers.map(\.tree)).count == 1, "two trees in one batch")
        for (answer, set) in zip(answers, [chosen.count, leaves.count - chosen.count]) {
            try require(answer.buckets >= set && answer.facesScored <= model.count, "a part greater than the whole")
        }
        let parts = answers[..<2].map { $0.candidates.map { Match(face: $0.face.id, score: $0.score) } }
        let merged = Set(parts.joined()).sorted(by: Match.precedes).prefix(query.limit)
        try require(Array(merged) == model.search(query), "some buckets and the others do not make up the whole")
        try require(answers[0].facesScored + answers[1].facesScored >= model.count, "faces scored of the parts")
        for answer in answers { note(answer) }
        try await searchKnownBuckets(chosen)
    }

    /// The leaves, by pages of one tree; nothing is written meanwhile, but a split that is due may come.
    private func leaves() async throws -> [LeafID] {
        let limit = Int.random(in: 1...40, using: &random)
        var leaves: [LeafID] = []
        var tree: LogIndex?
        var more = true
        while more {
            let page = try await shard.buckets(after: leaves.last, limit: limit)
            if let known = tree, known != page.tree {
                (leaves, tree) = ([], nil)
                continue
            }
            tree = page.tree
            let ids = page.buckets.map(\.leaf)
            try require(ids.count <= limit && (leaves.suffix(1) + ids).isRising, "a page of buckets out of order")
            try require(!page.more || ids.count == limit, "a page that is not full and has more behind it")
            leaves += ids
            more = page.more
        }
        // A division takes more than 1,000 faces and leaves neither side with few of them.
        try require(1...1 + tally.enrolled / 100 ~= leaves.count, "\(leaves.count) buckets")
        tally.bucketsMax = max(tally.bucketsMax, leaves.count)
        return leaves
    }

    /// Where the shard tells every face's bucket: no face of the buckets asked for is missing.
    private func searchKnownBuckets(_ asked: Set<LeafID>) async throws {
        let known = try await shard.sample(every: 1, limit: Limits.sampleFacesMax)
        let expected = model.sortedIDs.prefix(Limits.sampleFacesMax)
        try require(known.map(\.id) == Array(expected), "a sample of one in one")
        for face in known {
            let stored = model.face(face.id)
            let isSame =
                face.vector == model.vector(face.id) && face.externalImageID == stored?.externalImageID
                && face.imageID == stored?.record.imageID
            try require(isSame, "a sampled face is not the one enrolled")
        }
        guard known.count == model.count else { return }
        var query = try query()
        query.buckets = Array(asked)
        guard let answer = try await shard.search([query]).first else { return try require(false, "no answer") }
        // A bucket that was split since the sample has moved its faces: then the comparison says nothing.
        let homes = Set(try await shard.sample(every: 1, limit: Limits.sampleFacesMax).map(\.bucketOfFace))
        guard homes == Set(known.map(\.bucketOfFace)) else { return }
        let inside = Set(known.filter { asked.contains($0.bucket) }.map(\.id))
        let found = answer.candidates.map { Match(face: $0.face.id, score: $0.score) }
        for match in model.search(query, among: inside.contains) where !found.contains(match) {
            let isCutOff = found.count == query.limit && found.last.map { Match.precedes($0, match) } ?? false
            try require(isCutOff, "a face of a bucket asked for is missing")
        }
        let all = Dictionary(uniqueKeysWithValues: model.search(query.unlimited).map { ($0.face, $0.score) })
        try require(found.allSatisfy { all[$0.face] == $0.score }, "a score, or a face below the threshold")
        note(answer)
    }
}

private struct BucketOfFace: Hashable {
    var face: FaceID
    var bucket: LeafID
}

extension SampledFace {
    fileprivate var bucketOfFace: BucketOfFace { BucketOfFace(face: id, bucket: bucket) }
}

extension EngineModel.Query {
    fileprivate var unlimited: Self {
        var query = self
        query.limit = .max
        return query
    }
}

extension Collection<LeafID> {
    fileprivate var isRising: Bool { zip(self, dropFirst()).allSatisfy { $0 < $1 } }
}
