/// What the clients of a simulated shard asked for, and what they were told: they send a request that was not answered
/// again, under its token, to whoever decides then.
struct FaceClients {
    struct Wish {
        enum Change {
            case enrol(key: Int)
            case delete(SimulatedFace)

            var key: Int {
                switch self {
                case .enrol(let key): key
                case .delete(let face): face.key
                }
            }
        }
        let token: Int
        let change: Change
        /// How often it was asked again.
        var attempt = 0
    }

    /// When what is known of a face was known.
    struct Life {
        var enrolledAt: Int?
        var deleteAskedAt: Int?
        var deletedAt: Int?
    }

    /// So few that faces are deleted, and enrolled again, all the time.
    private static let keys = 0..<40
    private static let wishesMax = 40

    /// Of the faces that are asked for.
    private var keys = Array(Self.keys)

    private var wishes: [Wish] = []
    private var tokens = 0
    private var told: [Int: SimulatedFace] = [:]
    private(set) var lives: [SimulatedFace: Life] = [:]
    /// Those whose enrolment was acknowledged and that nobody asked to delete, in that order.
    private var enrolled: [SimulatedFace] = []

    /// A new wish, or one that is not answered yet.
    mutating func wish(_ random: inout SeededRandom, at time: Int) -> Wish {
        if !wishes.isEmpty, random.chance(400) {
            let again = random.below(wishes.count)
            wishes[again].attempt += 1
            return wishes[again]
        }
        tokens += 1
        var change = Wish.Change.enrol(key: keys[random.below(keys.count)])
        if random.chance(400), !enrolled.isEmpty {
            let face = enrolled.remove(at: random.below(enrolled.count))
            lives[face, default: Life()].deleteAskedAt = time
            change = .delete(face)
        }
        let wish = Wish(token: tokens, change: change)
        wishes.append(wish)
        // Whoever gave up does not ask again, and never learns what became of it.
        if wishes.count > Self.wishesMax { wishes.removeFirst() }
        return wish
    }

    /// What went wrong, if the same request was answered otherwise before.
    mutating func answered(_ change: FaceChange, at time: Int) -> String? {
        wishes.removeAll { $0.token == change.token }
        if let before = told[change.token] {
            return before == change.face ? nil : "S10 token \(change.token) gives \(change.face), and gave \(before)"
        }
        told[change.token] = change.face
        if change.isDelete {
            lives[change.face, default: Life()].deletedAt = time
        } else if lives[change.face]?.enrolledAt == nil {
            lives[change.face, default: Life()].enrolledAt = time
            if lives[change.face]?.deleteAskedAt == nil { enrolled.append(change.face) }
        }
        return nil
    }

    /// Whoever asks again does not hear the answer to what he asked before.
    func listens(to wish: Wish) -> Bool { wishes.contains { $0.token == wish.token && $0.attempt == wish.attempt } }

    /// Those whose faces are in one half of the shard: what was not answered is asked there again.
    func half(_ side: ShardSide) -> FaceClients {
        var half = self
        half.keys = keys.filter { side.holds($0) }
        half.lives = lives.filter { side.holds($0.key.key) }
        half.enrolled = enrolled.filter { side.holds($0.key) }
        half.wishes = wishes.filter { side.holds($0.change.key) }
        return half
    }

    /// There was nothing to delete.
    mutating func gaveUp(_ token: Int) { wishes.removeAll { $0.token == token } }
}
