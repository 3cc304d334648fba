import FaceModel
import Foundation
import KeyHierarchy
import Testing

/// Values computed by another implementation: testdata/make_vectors.py.
private let golden: [String: String] = {
    let url = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("testdata/keys.txt")
    let text = (try? String(contentsOf: url, encoding: .utf8)) ?? ""
    return Dictionary(
        uniqueKeysWithValues: text.split(separator: "\n").map { line in
            let parts = line.split(separator: ":", maxSplits: 1)
            return (String(parts[0]), parts[1].trimmingCharacters(in: .whitespaces))
        })
}()

private func hex(_ bytes: [UInt8]) -> String { bytes.map { String(format: "%02x", $0) }.joined() }

private func bytes(_ name: String) throws -> [UInt8] {
    let text = Array(try #require(golden[name]).utf8)
    return try stride(from: 0, to: text.count, by: 2).map {
        try #require(UInt8(String(decoding: text[$0..<$0 + 2], as: UTF8.self), radix: 16))
    }
}

/// Gives the bytes 0, 1, 2, ...: nonces must come from the generator that was passed in.
private struct Counting: RandomNumberGenerator {
    var next64: UInt64 = 0
    mutating func next() -> UInt64 {
        next64 &+= 0x0101_0101_0101_0101
        return next64
    }
}

@Suite struct KeyHierarchyTests {
    private let master: MasterKey
    private let collection: CollectionKey

    init() throws {
        master = try MasterKey(bytes: Array(0..<32))
        collection = try CollectionKey(bytes: Array(100..<132))
    }

    @Test func derivedKeysAreThoseOfAnotherImplementation() {
        #expect(hex(master.pageKey) == golden["page key"])
        #expect(hex(master.ledgerRecordKey) == golden["ledger record key"])
        #expect(hex(master.fingerprint) == golden["fingerprint"])
        #expect(hex(collection.rotationSeed) == golden["rotation seed"])
        #expect(hex(collection.anchorSeed) == golden["anchor seed"])
        #expect(hex(collection.idKey) == golden["id key"])
        #expect(hex(collection.wrapKey) == golden["wrap key"])
    }

    @Test func idsAreThoseOfAnotherImplementation() throws {
        let vector = RotatedVector(rotated: [1, -0.0, 0.5, -2.25])
        let name = try #require(ExternalImageID("case:17-front.jpg"))
        let bare = FaceIdentity.faceKey(
            idKey: collection.idKey, vector: vector, externalImageID: nil, modelVersion: "1.0")
        #expect(hex(bare) == golden["face key bare"])
        let named = FaceIdentity.faceKey(
            idKey: collection.idKey, vector: vector, externalImageID: name, modelVersion: "1.0")
        #expect(hex(named) == golden["face key named"])
        for count: UInt32 in 0...1 {
            let id = FaceIdentity.faceID(idKey: collection.idKey, faceKey: named, count: count)
            #expect(id.description == golden["face id \(count)"])
        }
        let image = FaceIdentity.imageID(
            idKey: collection.idKey, imageDigest: KeyedHash.sha256(Array("an image".utf8)))
        #expect(image.description == golden["image id"])
    }

    @Test func everyInputOfAFaceKeyCounts() throws {
        let vector = RotatedVector(rotated: [1, 0, 0.5, -2.25])
        func key(_ values: [Float] = vector.values, _ name: String? = "a", _ model: String = "1.0") -> [UInt8] {
            FaceIdentity.faceKey(
                idKey: collection.idKey, vector: RotatedVector(rotated: values),
                externalImageID: name.flatMap { ExternalImageID($0) }, modelVersion: model)
        }
        let keys = [
            key(), key([1, -0.0, 0.5, -2.25]), key([1, 0, 0.5]), key(vector.values, nil), key(vector.values, "b"),
            key(vector.values, "a1", ".0"), key(vector.values, "a", "1"),
        ]
        #expect(Set(keys).count == keys.count)
        #expect(key() == key())
    }

    @Test func framingIsUnambiguous() {
        let lists: [[[UInt8]]] = [
            [[]], [], [[], []], [[1]], [[1], []], [[], [1]], [[1, 2]], [[1], [2]], [[0, 0, 0, 0]],
        ]
        #expect(Set(lists.map { KeyedHash.framed(label: "l", parts: $0) }).count == lists.count)
        #expect(KeyedHash.framed(label: "ab", parts: [[1]]) != KeyedHash.framed(label: "a", parts: [[98, 1]]))
    }

    @Test func opensWhatAnotherImplementationSealed() throws {
        let secret = try master.openSecret(try bytes("sealed secret"), register: "key/AKIDEXAMPLE00000")
        #expect(secret == Array("secret text".utf8))
        let key = try master.openCollectionKey(
            try bytes("sealed collection key"), register: "collection/000000000001/a")
        #expect(key.idKey == collection.idKey)
    }

    @Test func sealsRoundTripAndNeverRepeat() throws {
        var generator = SystemRandomNumberGenerator()
        let first = master.seal(collection, register: "r", using: &generator)
        let second = master.seal(collection, register: "r", using: &generator)
        #expect(first != second)
        #expect(try master.openCollectionKey(first, register: "r").wrapKey == collection.wrapKey)
    }

    @Test func theNonceComesFromTheGeneratorGiven() {
        var (a, b) = (Counting(), Counting())
        #expect(
            master.sealSecret([1, 2, 3], register: "r", using: &a)
                == master.sealSecret([1, 2, 3], register: "r", using: &b))
    }

    @Test func everyFlippedByteAndEveryCutIsRefused() throws {
        let sealed = try bytes("sealed secret")
        for position in sealed.indices {
            var changed = sealed
            changed[position] ^= 0x10
            #expect(throws: KeyError.self) { try master.openSecret(changed, register: "key/AKIDEXAMPLE00000") }
        }
        for length in sealed.indices {
            #expect(throws: KeyError.self) {
                try master.openSecret(Array(sealed[..<length]), register: "key/AKIDEXAMPLE00000")
            }
        }
    }

    @Test func aSealOpensOnlyInItsPlace() throws {
        let sealed = try bytes("sealed secret")
        #expect(throws: KeyError.unopenable(register: "key/AKIDEXAMPLE00001")) {
            try master.openSecret(sealed, register: "key/AKIDEXAMPLE00001")
        }
        let other = try MasterKey(bytes: Array(1..<33))
        #expect(throws: KeyError.unopenable(register: "key/AKIDEXAMPLE00000")) {
            try other.openSecret(sealed, register: "key/AKIDEXAMPLE00000")
        }
        // A collection key and a secret are sealed under different keys.
        #expect(throws: KeyError.self) { try master.openCollectionKey(sealed, register: "key/AKIDEXAMPLE00000") }
        var future = sealed
        future[0] = 2
        #expect(throws: KeyError.unknownFormat(register: "r", version: 2)) {
            try master.openSecret(future, register: "r")
        }
    }

    @Test func keysHaveOneLengthAndNeverPrint() {
        #expect(throws: KeyError.wrongLength(expected: 32, got: 31)) { try MasterKey(bytes: Array(0..<31)) }
        #expect(throws: KeyError.wrongLength(expected: 32, got: 33)) { try CollectionKey(bytes: Array(0..<33)) }
        #expect("\(master) \(collection)" == "MasterKey CollectionKey")
    }

    @Test func comparisonSeesEveryByte() {
        let hash = KeyedHash.sha256([1])
        #expect(KeyedHash.equal(hash, hash))
        for position in hash.indices {
            var other = hash
            other[position] ^= 1
            #expect(!KeyedHash.equal(hash, other))
        }
        #expect(!KeyedHash.equal(hash, Array(hash.dropLast())))
    }
}
