import ClusterModel
import FaceModel
import Foundation
import SimulatedDisk
import VectorSearch

@testable import ShardEngine

/// Where shard and model differ.
struct EngineModelDifference: Error, CustomStringConvertible {
    var seed: UInt64
    var operation: Int
    var what: String
    var description: String { "seed \(seed), operation \(operation): \(what)" }
}

/// What a run did.
struct EngineModelTally: Sendable {
    var operations = 0
    var searches = 0
    var facesCompared = 0
    var candidates = 0
    var enrolled = 0
    var deleted = 0
    var flushes = 0
    var reopenings = 0
    var powerLosses = 0
    /// Writes that a loss of power interrupted, and those of them that had reached the disk in part or whole.
    var interrupted = 0
    /// Enrolments asked again of which some face was gone again.
    var enrolmentsOfGone = 0
    var segmentsMax = 0
    var bucketsMax = 0

    static func + (a: Self, b: Self) -> Self {
        Self(
            operations: a.operations + b.operations, searches: a.searches + b.searches,
            facesCompared: a.facesCompared + b.facesCompared, candidates: a.candidates + b.candidates,
            enrolled: a.enrolled + b.enrolled, deleted: a.deleted + b.deleted, flushes: a.flushes + b.flushes,
            reopenings: a.reopenings + b.reopenings, powerLosses: a.powerLosses + b.powerLosses,
            interrupted: a.interrupted + b.interrupted,
            enrolmentsOfGone: a.enrolmentsOfGone + b.enrolmentsOfGone, segmentsMax: max(a.segmentsMax, b.segmentsMax),
            bucketsMax: max(a.bucketsMax, b.bucketsMax))
    }
}

/// Random operations on a shard and on the model, compared after each. One seed, one sequence of operations; only when
/// a merge in the background ends is the machine's affair.
final class EngineModelRun {
    let seed: UInt64
    var random: SplitMix
    /// Beside the other, so that what is asked again does not change what a seed does else.
    var repeats: SplitMix
    let shard: EngineModelShard
    var model: EngineModel
    let vectors: EngineModelVectors
    var tally = EngineModelTally()
    /// What every search asks for in place of its own, to see that the model would notice.
    var sigmasInstead: Double?
    /// Ids that lived once.
    var buried: [FaceID] = []
    /// Enrolments of late, which clients may ask again.
    var asked: [[NewFace]] = []
    /// Rows of the buffer after the last write.
    var buffered = 0
    private var lsn = LogIndex.zero
    private var names: UInt64 = 0

    init(seed: UInt64) async throws {
        self.seed = seed
        random = SplitMix(state: seed)
        repeats = SplitMix(state: ~seed)
        let dimension = 8 * Int.random(in: 8...(seed % 3 == 0 ? 65 : 20), using: &random)
        vectors = try EngineModelVectors(
            dimension: dimension, crowds: [0, 1, 3, 20][Int.random(in: 0..<4, using: &random)], using: &random)
        shard = try await EngineModelShard(dimension: dimension, using: &random)
        model = EngineModel(shard.descriptor)
    }

    /// Throws `EngineModelDifference`, or what the shard throws; its files are removed either way.
    func run(operations: Int) async throws -> EngineModelTally {
        do {
            try await begin()
            for _ in 0..<operations {
                try await step()
                tally.operations += 1
            }
            try await compareEverything()
        } catch {
            try await shard.remove()
            throw error
        }
        try await shard.remove()
        return tally
    }

    /// Small shards for the most part; some begin beyond a flush.
    private func begin() async throws {
        let initial = [0, 0, 200, 200, 700, 700, 1_500, 4_500][Int.random(in: 0..<8, using: &random)]
        try await enrolMany(initial)
    }

    private func step() async throws {
        switch Int.random(in: 0..<1_000, using: &random) {
        case 0..<580: try await search(count: 1)
        case 580..<600: try await searchTogether()
        case 600..<650: try await search(count: Int.random(in: 2...8, using: &random))
        case 650..<760:
            try await enrol(try newFaces(Int.random(in: 1...50, using: &random)))
            if repeats.next().isMultiple(of: 4) { try await askAgain() }
        case 760..<860: try await delete(victims(Int.random(in: 1...20, using: &random)))
        case 860..<880: try await list()
        case 880..<900: try await searchBuckets()
        case 900..<950: try await fetch()
        case 950..<970: try await searchBesideWrite()
        case 970..<980: try await reopen()
        case 980..<985: try await losePower()
        case 985..<990: try await losePowerWhileWriting()
        case 990..<995: try await deleteMany()
        default: try await enrolMany([300, 300, 1_200, 4_200][Int.random(in: 0..<4, using: &random)])
        }
    }

    func require(_ condition: Bool, _ what: @autoclosure () -> String) throws {
        guard condition else {
            throw EngineModelDifference(
                seed: seed, operation: tally.operations,
                what: "\(what()); \(model.count) faces of \(model.dimension) dimensions, \(tally)")
        }
    }

    // MARK: Choices

    func newFaces(_ count: Int) throws -> [NewFace] {
        let token = repeats.next().isMultiple(of: 8) ? .none : RequestToken(.random(using: &repeats))
        return try (0..<count).map { position in
            // Few names, so that equal vectors meet an equal name and are the same face, now and then.
            let isNamed = Int.random(in: 0..<4, using: &random) > 0
            names += 1
            let name = Int.random(in: 0..<10, using: &random) == 0 ? "same" : "face:\(names)"
            let image = Int.random(in: 0..<3, using: &random) == 0 ? ImageID(.random(using: &random)) : nil
            return NewFace(
                vector: try vectors.face(model, using: &random), externalImageID: isNamed ? ExternalImageID(name) : nil,
                record: FaceRecord(imageID: image, detail: nil), token: token.face(at: position))
        }
    }

    /// Faces that live, that lived, that never did, and some of them twice.
    func victims(_ count: Int) -> [FaceID] {
        (0..<count).flatMap { _ -> [FaceID] in
            let kind = Int.random(in: 0..<12, using: &random)
            if kind == 0 { return [FaceID(.random(using: &random))] }
            if kind == 1, !buried.isEmpty { return [buried[Int.random(in: 0..<buried.count, using: &random)]] }
            guard model.count > 0 else { return [] }
            let id = model.faces[Int.random(in: 0..<model.count, using: &random)].id
            return kind == 2 ? [id, id] : [id]
        }
    }

    func query() throws -> EngineModel.Query {
        let vector = try vectors.probe(model, using: &random)
        let exponent = Double.random(in: 0...1, using: &random)
        var minScore = Float(-1)
        switch Int.random(in: 0..<10, using: &random) {
        case 0..<4: break
        case 4: minScore = -2
        case 5..<7: minScore = Float.random(in: -1...0.99, using: &random)
        default:
            guard model.count > 0 else { break }
            let scores = model.scores(vector)
            minScore = scores[Int.random(in: 0..<scores.count, using: &random)]
            // Exactly a score that there is, or the next number above or below it.
            switch Int.random(in: 0..<4, using: &random) {
            case 0: minScore = minScore.nextUp
            case 1: minScore = minScore.nextDown
            default: break
            }
        }
        return EngineModel.Query(
            vector: vector, limit: Int(exp2(7.65 * exponent)), minScore: minScore,
            sigmas: sigmasInstead ?? (random.next() % 5 == 0 ? .infinity : PlaneCode.sigmasDefault))
    }

    // MARK: What every answer is compared in

    func acknowledge(_ index: LogIndex) throws {
        try require(index >= lsn, "a write at \(index) after one at \(lsn)")
        lsn = index
    }

    func difference(_ answer: ShardSearchAnswer, _ query: EngineModel.Query, _ model: EngineModel) -> String? {
        let expected = model.search(query)
        let found = answer.candidates.map { Match(face: $0.face.id, score: $0.score) }
        guard found == expected else {
            let at =
                zip(found, expected).enumerated().first { $1.0 != $1.1 }?.offset ?? min(found.count, expected.count)
            return
                "limit \(query.limit), threshold \(query.minScore), sigmas \(query.sigmas): \(found.count) candidates "
                + "instead of \(expected.count), first different at \(at): "
                + "\(found.dropFirst(at).first?.score ?? .nan) instead of \(expected.dropFirst(at).first?.score ?? .nan)"
        }
        guard answer.facesScored == model.count else {
            return "\(answer.facesScored) faces scored instead of \(model.count)"
        }
        for candidate in answer.candidates where candidate.face != model.face(candidate.face.id) {
            return "names or record of a candidate are not those enrolled"
        }
        return answer.at.lsn < lsn ? "an answer at \(answer.at.lsn) after a write at \(lsn)" : nil
    }
}
