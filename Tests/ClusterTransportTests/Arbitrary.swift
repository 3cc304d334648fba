import AuditLedger
import ClusterModel
import FaceModel

/// Random domain values within the limits.
struct Arbitrary {
    var generator: SeededGenerator
    init(seed: UInt64) { generator = SeededGenerator(seed: seed) }

    mutating func int(_ range: ClosedRange<Int>) -> Int { .random(in: range, using: &generator) }
    mutating func bool() -> Bool { .random(using: &generator) }
    mutating func float() -> Float { .random(in: -1...1, using: &generator) }
    mutating func bits() -> Bits128 { .random(using: &generator) }
    mutating func bytes(_ count: Int) -> [UInt8] {
        (0..<count).map { _ in .random(in: .min ... .max, using: &generator) }
    }
    mutating func many<Value>(_ range: ClosedRange<Int>, _ make: (inout Arbitrary) -> Value) -> [Value] {
        (0..<int(range)).map { _ in make(&self) }
    }
    mutating func optional<Value>(_ make: (inout Arbitrary) -> Value?) -> Value? { bool() ? make(&self) : nil }
    mutating func text(_ range: ClosedRange<Int>, of letters: String = "abcXYZ019_.-") -> String {
        let letters = Array(letters)
        return String(many(range) { $0.letter(letters) })
    }
    private mutating func letter(_ letters: [Character]) -> Character { letters[int(0...letters.count - 1)] }

    mutating func face() -> FaceID { FaceID(bits()) }
    mutating func vector(_ dimension: Int) -> RotatedVector {
        RotatedVector(rotated: (0..<dimension).map { _ in float() })
    }
    mutating func dimension() -> Int { 8 * int(8...256) }
    mutating func detail() -> FaceDetail {
        FaceDetail(
            box: BoundingBox(left: float(), top: float(), width: float(), height: float()),
            landmarks: many(0...7) { Landmark(x: $0.float(), y: $0.float()) }, confidence: float(),
            quality: FaceQuality(brightness: float(), sharpness: float()),
            pose: FacePose(roll: float(), yaw: float(), pitch: float()))
    }
    mutating func record() -> FaceRecord {
        FaceRecord(imageID: optional { ImageID($0.bits()) }, detail: optional { $0.detail() })
    }
    mutating func externalImageID() -> ExternalImageID? {
        optional { ExternalImageID($0.text(1...255, of: "abZ09_.-:")) }
    }
    mutating func storedFace() -> StoredFace {
        StoredFace(id: face(), externalImageID: externalImageID(), record: record())
    }
    mutating func call(_ node: NodeID) -> ShardCall {
        ShardCall(
            shard: ShardID(bits()), node: node, roots: many(0...5) { LeafID(UInt32($0.int(0...100_000))) },
            deadline: .now + .milliseconds(int(10_000...60_000)), request: RequestID(bits()),
            level: level())
    }

    mutating func level() -> ReadLevel {
        switch int(0...2) {
        case 0: .strong
        case 1: .session(ShardPosition(Generation(UInt32(int(0...9))), LogIndex(UInt64(int(0...1 << 40)))))
        default: .bounded(milliseconds: int(0...3_600_000))
        }
    }

    mutating func intent() -> LedgerEntry {
        .intent(
            SearchIntent(
                search: SearchID(bits()), time: Timestamp(milliseconds: Int64(int(0...1 << 40))), tenant: .embedded,
                accessKey: accessKey(), person: text(1...20), operation: "SearchFaces",
                purpose: optional { $0.text(0...30) }, caseNumber: optional { $0.text(0...9) },
                authority: optional { $0.text(0...9) }, source: optional { $0.text(0...9) }, probeDigest: bytes(32),
                collections: many(0...3) { $0.text(1...9) }, modelVersion: text(1...9), modelDigest: bytes(32),
                similarityAsked: optional { Double($0.float()) }, cosineAsked: optional { $0.float() },
                maxCandidates: int(1...4_096)))
    }
    private mutating func accessKey() -> AccessKeyID {
        guard let key = AccessKeyID(text(16...40, of: "ABC019_")) else { preconditionFailure("an access key id") }
        return key
    }
    mutating func result() -> LedgerEntry {
        .result(
            SearchResult(
                search: SearchID(bits()), time: Timestamp(milliseconds: Int64(int(0...1 << 40))), tenant: .embedded,
                outcome: bool() ? .answered : .failed(code: text(1...20)), cosineApplied: float(),
                similarityApplied: optional { Double($0.float()) }, mode: "exhaustive",
                facesScored: int(0...1_000_000), shardsAsked: int(0...9), shardsAnswered: int(0...9),
                expectedStrangers: optional { Double($0.float()) },
                candidates: many(0...20) { .init(face: $0.face(), score: $0.float()) }))
    }
    mutating func order() -> StandingOrder {
        let act: StandingOrder.Act = bool() ? .suspend : bool() ? .resume : .revoke(accessKey())
        return StandingOrder(
            act, of: .embedded, id: SearchID(bits()), time: Timestamp(milliseconds: Int64(int(0...1 << 40))),
            accessKey: optional { $0.accessKey() }, person: optional { $0.text(0...20) }, reason: text(1...40))
    }
    mutating func standing() -> Standing {
        var standing = Standing()
        for index in 0..<int(0...20) { standing.take(order(), at: UInt64(index)) }
        return standing
    }
    mutating func searchRecord() -> SearchRecord {
        var record = SearchRecord(intent: nil, result: nil, leaves: [])
        if bool(), case .intent(let intent) = intent() { record.intent = intent }
        if bool(), case .result(let result) = result() { record.result = result }
        record.order = optional { $0.order() }
        record.leaves = many(0...3) { arbitrary in
            LeafProof(
                index: UInt64(arbitrary.int(0...1_000)), leaf: arbitrary.bytes(72),
                path: arbitrary.many(0...40) { $0.bytes(32) }, treeSize: UInt64(arbitrary.int(0...1_000)),
                rootHash: arbitrary.bytes(32), checkpoint: arbitrary.text(0...300))
        }
        return record
    }
}
