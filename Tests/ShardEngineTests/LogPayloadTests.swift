import FaceModel
import SimulatedDisk
import Testing
import VectorSearch

@testable import ShardEngine

@Suite struct LogPayloadTests {
    private func put(seed: UInt64) -> PutRecord {
        var random = SplitMix(state: seed)
        let detail = FaceDetail(
            box: BoundingBox(left: 0.1, top: -0.2, width: 0.3, height: 0.4),
            landmarks: (0..<5).map { Landmark(x: Float($0) / 7, y: 0.5) }, confidence: 99.5,
            quality: FaceQuality(brightness: 40, sharpness: 60), pose: FacePose(roll: 1, yaw: -2, pitch: 3))
        return PutRecord(
            id: FaceID(.random(using: &random)),
            key: FaceKey(bytes: (0..<32).map { _ in UInt8.random(in: 0...255, using: &random) }),
            count: UInt32.random(in: 0...9, using: &random), leaf: .root,
            externalImageID: seed.isMultiple(of: 2) ? ExternalImageID("person:\(seed)") : nil,
            record: FaceRecord(
                imageID: ImageID(.random(using: &random)), detail: seed.isMultiple(of: 3) ? nil : detail),
            vector: RotatedVector(rotated: (0..<128).map { _ in Float.random(in: -1...1, using: &random) }),
            token: RequestToken(.random(using: &random)))
    }

    @Test(arguments: 0..<50)
    func recordsComeBackToTheLastBit(seed: UInt64) throws {
        let put = put(seed: seed)
        #expect(try PutRecord(payload: put.payload, token: put.token, at: LogIndex(1)) == put)
        let delete = DeleteRecord(id: put.id, key: put.key, nextCount: 4, token: .none)
        #expect(try DeleteRecord(payload: delete.payload, token: .none, at: LogIndex(1)) == delete)
        let split = BucketSplit(
            parent: .root, children: (LeafID(256), LeafID(4_000_000_000)),
            centroids: (put.vector, self.put(seed: 99).vector))
        #expect(try BucketSplit(payload: split.payload, at: LogIndex(1)) == split)
        #expect(split.payload.count == 15 + 8 * put.vector.dimension)
        let config = ConfigRecord(roots: (0...UInt32(seed)).map { LeafID($0 &* 7_919) })
        #expect(try ConfigRecord(payload: config.payload, at: LogIndex(1)) == config)
    }

    @Test func everyTruncationIsAnErrorThatNamesTheRecord() {
        let payload = put(seed: 1).payload
        for length in 0..<payload.count {
            #expect(throws: ReplicaError.self) {
                try PutRecord(payload: Array(payload[..<length]), token: .none, at: LogIndex(9))
            }
        }
        let vector = put(seed: 2).vector
        let split = BucketSplit(parent: .root, children: (LeafID(256), LeafID(257)), centroids: (vector, vector))
            .payload
        for length in 0..<split.count {
            #expect(throws: ReplicaError.self) { try BucketSplit(payload: Array(split[..<length]), at: LogIndex(9)) }
        }
        let config = ConfigRecord(roots: [LeafID(1), LeafID(2)]).payload
        for length in 0..<config.count {
            #expect(throws: ReplicaError.self) { try ConfigRecord(payload: Array(config[..<length]), at: LogIndex(9)) }
        }
    }

    @Test func aVersionFromTheFutureIsRefused() {
        var payload = put(seed: 1).payload
        payload[0] = 2
        #expect(throws: ReplicaError.self) { try PutRecord(payload: payload, token: .none, at: LogIndex(1)) }
        #expect(throws: ReplicaError.self) {
            try BucketSplit(payload: [2] + [UInt8](repeating: 0, count: 99), at: LogIndex(1))
        }
        #expect(throws: ReplicaError.self) { try ConfigRecord(payload: [2, 1, 0, 3, 0, 0, 0], at: LogIndex(1)) }
    }
}
