import FaceModel
import Replication

/// A face of a simulated shard: its key, and how often a face of that key was deleted before. The product makes its
/// FaceId of the same two, so a face that is enrolled again after a delete is another.
struct SimulatedFace: Hashable {
    let key: Int
    let turn: Int

    func id(in shard: Int) -> FaceID { FaceID(Bits128(high: UInt64(shard), low: UInt64(key << 16 | turn))) }
    init(key: Int, turn: Int) { (self.key, self.turn) = (key, turn) }
    init(_ id: FaceID) { self.init(key: Int(id.bits.low >> 16), turn: Int(id.bits.low & 0xFFFF)) }
}

/// What a client's record says, with the token of the request: one word, and never 0, which is a record of the protocol.
struct FaceChange: Hashable {
    let isDelete: Bool
    let face: SimulatedFace
    let token: Int

    init(isDelete: Bool, face: SimulatedFace, token: Int) {
        (self.isDelete, self.face, self.token) = (isDelete, face, token)
    }

    init?(_ word: UInt64) {
        guard word != 0, SplitRecord(word) == nil else { return nil }
        isDelete = word >> 63 == 1
        face = SimulatedFace(key: Int(word >> 48 & 0x7FFF), turn: Int(word >> 32 & 0xFFFF))
        token = Int(word & 0xFFFF_FFFF)
    }

    /// Tokens begin at 1.
    var word: UInt64 {
        (isDelete ? 1 << 63 : 0) | UInt64(face.key) << 48 | UInt64(face.turn) << 32 | UInt64(token)
    }
}

/// Everything that a copy has applied: the faces that live, how often each key was deleted, the tokens, and how far the
/// split of its shard is.
struct FaceTable {
    private(set) var live: [Int: Int] = [:]
    private var turns: [Int: Int] = [:]
    private var tokens: [Int: SimulatedFace] = [:]
    /// Nil where the shard is whole.
    private(set) var split: SimulatedSplit?
    /// An order-free sum over all of it.
    private(set) var digest: UInt64 = 0

    /// What enrolling the key gives, or has given.
    func face(of key: Int) -> SimulatedFace { SimulatedFace(key: key, turn: live[key] ?? turns[key] ?? 0) }
    func holds(_ face: SimulatedFace) -> Bool { live[face.key] == face.turn }
    func wasDeleted(_ face: SimulatedFace) -> Bool { face.turn < turns[face.key] ?? 0 }
    /// The answer that the request got when it was executed.
    func answer(to token: Int) -> SimulatedFace? { tokens[token] }

    /// `point`: where the record stands.
    mutating func apply(_ word: UInt64, at point: LogPoint, mistake: WorldMistake? = nil) {
        if let record = SplitRecord(word) {
            digest &+= Self.weight(3, SimulatedFace(key: 0, turn: record.step.rawValue), record.plan)
            split = record.following(split, at: point)
        }
        guard let change = FaceChange(word) else { return }
        let face = change.face
        digest &+= Self.weight(change.isDelete ? 1 : 2, face, change.token)
        tokens[change.token] = face
        guard change.isDelete else {
            live[face.key] = face.turn
            return
        }
        if holds(face) { live[face.key] = nil }
        turns[face.key] = mistake == .deletesForgotten ? 0 : face.turn + 1
    }

    /// As a copy that was built wrongly has it.
    mutating func loseOneFace() {
        guard let key = live.keys.min() else { return }
        digest &-= Self.weight(2, SimulatedFace(key: key, turn: live[key] ?? 0), 0)
        live[key] = nil
    }

    /// What one half of the shard begins with: its own faces with their turns, and of faces that are gone and of tokens
    /// all, as nobody can say at which half they are asked for. A mistake leaves the digest as it should be: all copies make
    /// it alike.
    func half(_ side: ShardSide, mistake: WorldMistake? = nil) -> FaceTable {
        var half = FaceTable()
        half.live = live.filter { side.holds($0.key) }
        half.turns = turns.filter { live[$0.key] == nil || side.holds($0.key) }
        half.tokens = tokens
        half.recount()
        switch mistake {
        case .halvesLackTokens: half.tokens = [:]
        case .halvesLackDeletes: half.turns = half.turns.filter { half.live[$0.key] != nil }
        case .halfLacksFace: if let key = half.live.keys.min() { half.live[key] = nil }
        default: break
        }
        return half
    }

    private mutating func recount() {
        for (key, turn) in live { digest &+= Self.weight(0, SimulatedFace(key: key, turn: turn), 0) }
        for (key, turn) in turns { digest &+= Self.weight(1, SimulatedFace(key: key, turn: turn), 0) }
        for (token, face) in tokens { digest &+= Self.weight(2, face, token) }
    }

    private static func weight(_ kind: UInt64, _ face: SimulatedFace, _ token: Int) -> UInt64 {
        var random = SeededRandom(seed: kind << 62 ^ UInt64(face.key) << 46 ^ UInt64(face.turn) << 32 ^ UInt64(token))
        return random.next()
    }
}
