import AuditLedger
import FaceModel
import Foundation
import KeyHierarchy
import TestBench
import Testing

@testable import Coordinator

@Suite struct FaceIndexTests {
    private func withBench(_ body: (Bench, CollectionName, CallContext) async throws -> Void) async throws {
        let bench = try await Bench()
        let name = try #require(CollectionName("booking"))
        let context = try bench.context
        _ = try await bench.index.createCollection(name, tags: [:], in: context)
        try await body(bench, name, context)
        await bench.close()
    }

    private func photo(_ seed: Int) -> [UInt8] { FakeExtractor.image([(seed, 99, 0.3)]) }

    @Test func anEnrolledPhotoIsFoundAndTheSearchIsOnRecord() async throws {
        try await withBench { bench, name, context in
            let enrolled = try await bench.index.indexFaces(
                image: photo(1), externalImageID: ExternalImageID("p:1"), maxFaces: nil, filter: .auto,
                collection: name, in: context)
            #expect(enrolled.indexed.count == 1)
            let answer = try await bench.index.searchFaces(
                byImage: photo(1), limit: 10, threshold: .similarity(80), filter: .none, collection: name, in: context)
            #expect(answer.candidates.first?.face.id == enrolled.indexed.first?.id)
            #expect(answer.candidates.first?.similarity ?? 0 > 99.9)
            #expect(abs((answer.expectedStrangers ?? 0) - 0.001) < 1e-9)
            #expect(bench.ledger.entries.count == 2)
            guard case .intent(let intent) = bench.ledger.entries[0], case .result(let result) = bench.ledger.entries[1]
            else { return #expect(Bool(false), "intent, then result") }
            #expect(intent.search == answer.search && result.search == answer.search)
            #expect(intent.purpose == "test" && intent.caseNumber == "7" && intent.person == "Ada")
            #expect(intent.probeDigest == KeyedHash.sha256(photo(1)))
            #expect(result.candidates.map(\.face) == answer.candidates.map(\.face.id))
        }
    }

    @Test func aLedgerThatRefusesMeansNoAnswer() async throws {
        try await withBench { bench, name, context in
            bench.ledger.refuse("disk full")
            await #expect(throws: CoordinatorError.ledger(.refusing(reason: "disk full"))) {
                try await bench.index.searchFaces(
                    byImage: photo(1), limit: 10, threshold: .similarity(80), filter: .none, collection: name,
                    in: context)
            }
            bench.ledger.refuse(nil)
            _ = try await bench.index.searchFaces(
                byImage: photo(1), limit: 10, threshold: .similarity(80), filter: .none, collection: name, in: context)
        }
    }

    @Test func aSearchThatFailsIsOnRecordToo() async throws {
        try await withBench { bench, name, context in
            await #expect(throws: CoordinatorError.noFaces) {
                try await bench.index.searchFaces(
                    byImage: [], limit: 10, threshold: .similarity(80), filter: .none, collection: name, in: context)
            }
            guard case .result(let result)? = bench.ledger.entries.last else {
                return #expect(Bool(false), "no result")
            }
            #expect(result.outcome == .failed(code: "no-face"))
        }
    }

    @Test func aFaceIsNotItsOwnCandidate() async throws {
        try await withBench { bench, name, context in
            var ids: [FaceID] = []
            for seed in 1...3 {
                ids += try await bench.index.indexFaces(
                    image: photo(seed), externalImageID: nil, maxFaces: nil, filter: .none, collection: name,
                    in: context
                ).indexed.map(\.id)
            }
            let answer = try await bench.index.searchFaces(
                like: ids[0], limit: 2, threshold: .cosine(-1), collection: name, in: context)
            #expect(Set(answer.candidates.map(\.face.id)) == Set(ids[1...]))
            let stranger = FaceID(Bits128(high: 1, low: 1))
            await #expect(throws: CoordinatorError.faceNotFound(stranger)) {
                try await bench.index.searchFaces(
                    like: stranger, limit: 2, threshold: .cosine(-1), collection: name, in: context)
            }
        }
    }

    @Test func theSamePhotoEnrolledAgainChangesNothing() async throws {
        try await withBench { bench, name, context in
            func enrol(_ external: String) async throws -> [StoredFaceSummary] {
                try await bench.index.indexFaces(
                    image: photo(4), externalImageID: ExternalImageID(external), maxFaces: nil, filter: .none,
                    collection: name, in: context
                ).indexed
            }
            let first = try await enrol("a")
            let again = try await enrol("a")
            #expect(again == first)
            let second = try await enrol("b")
            #expect(second.first?.id != first.first?.id)
            #expect(second.first?.imageID == first.first?.imageID)
            let faces = try await bench.index.describeCollection(name, in: context).faceCount
            #expect(faces == 2)
        }
    }

    @Test func collectionsArePagedAndDeletedForGood() async throws {
        try await withBench { bench, name, context in
            for number in 0..<7 {
                _ = try await bench.index.createCollection(
                    try #require(CollectionName("c\(number)")), tags: [:], in: context)
            }
            var listed: [String] = []
            var token: String?
            repeat {
                let page = try await bench.index.listCollections(after: token, limit: 3, in: context)
                listed += page.collections.map(\.name.text)
                token = page.nextToken
            } while token != nil
            #expect(listed == (["booking"] + (0..<7).map { "c\($0)" }))
            await #expect(throws: CoordinatorError.invalidPageToken) {
                try await bench.index.listCollections(after: "00ff", limit: 3, in: context)
            }
            try await bench.index.deleteCollection(name, in: context)
            await #expect(throws: CoordinatorError.collectionNotFound(name)) {
                try await bench.index.describeCollection(name, in: context)
            }
            _ = try await bench.index.createCollection(name, tags: [:], in: context)
            let faces = try await bench.index.describeCollection(name, in: context).faceCount
            #expect(faces == 0)
        }
    }

    @Test func oneTenantSeesNothingOfAnother() async throws {
        try await withBench { bench, name, context in
            var other = context
            other.tenant = try #require(TenantID("123456789012"))
            await #expect(throws: CoordinatorError.collectionNotFound(name)) {
                try await bench.index.listFaces(collection: name, only: nil, after: nil, limit: 1, in: other)
            }
            let page = try await bench.index.listCollections(after: nil, limit: 9, in: other)
            #expect(page.collections.isEmpty)
        }
    }

    @Test func aBadVectorIsNamedByItsPlace() async throws {
        try await withBench { bench, name, context in
            var vectors = (0..<3).map { seed in
                VectorToIndex(vector: Embedding([Float](repeating: Float(seed + 1), count: 128)), externalImageID: nil)
            }
            vectors[2].vector.values[5] = .nan
            await #expect(throws: CoordinatorError.vector(index: 2, .notFinite(component: 5))) {
                try await bench.index.indexVectors(vectors, collection: name, in: context)
            }
            let faces = try await bench.index.describeCollection(name, in: context).faceCount
            #expect(faces == 0)
        }
    }

    @Test func vectorsOfAnotherModelHaveNoSimilarity() async throws {
        try await withBench { bench, _, context in
            let name = try #require(CollectionName("own"))
            _ = try await bench.index.createCollection(
                name, tags: [:], own: OwnModel(name: "mine", version: "2.0", dimension: 64), in: context)
            let vector = Embedding((0..<64).map { Float($0) - 31 })
            _ = try await bench.index.indexVectors(
                [VectorToIndex(vector: vector, externalImageID: nil)], collection: name, in: context)
            await #expect(throws: CoordinatorError.noSimilarity(modelVersion: "2.0")) {
                try await bench.index.searchFaces(
                    byVector: vector, limit: 1, threshold: .similarity(80), collection: name, in: context)
            }
            let answer = try await bench.index.searchFaces(
                byVector: vector, limit: 1, threshold: .cosine(0.9), collection: name, in: context)
            #expect(answer.candidates.count == 1 && answer.candidates[0].similarity == nil)
            let cosine = try #require(answer.candidates.first).cosine
            #expect(abs(cosine - 1) < 1e-6)
        }
    }
}
