import ClusterModel
import FaceModel

@testable import ShardEngine

/// What a shard must answer: every live face in memory, every score by its definition, no index, no disk, no thread.
///
/// It shares with the shard the derivation of FaceIds and `Match.precedes`, and nothing else.
struct EngineModel {
    struct Query {
        var vector: RotatedVector
        var limit: Int
        /// Inclusive.
        var minScore: Float
        var sigmas: Double
        /// Nil for every face.
        var buckets: [LeafID]?
    }

    /// One step of a write, as the log records it.
    enum Change {
        case put(NewFace, FaceKey)
        case delete(FaceID)
    }

    let dimension: Int
    private let identity: FaceIdentityKeys
    /// Vectors one after another, in the order of `faces`.
    private var rows: [Float] = []
    private(set) var faces: [StoredFace] = []
    private var keyOf: [FaceID: FaceKey] = [:]
    private var slots: [FaceID: Int] = [:]
    private var keys: [FaceKey: FaceKeyState] = [:]
    private var enrolments: [RequestToken: FaceID] = [:]

    init(_ descriptor: ShardDescriptor) {
        dimension = descriptor.dimension
        identity = FaceIdentityKeys(idKey: descriptor.idKey, modelVersion: descriptor.modelVersion)
    }

    var count: Int { faces.count }
    var sortedIDs: [FaceID] { faces.map(\.id).sorted() }
    func face(_ id: FaceID) -> StoredFace? { slots[id].map { faces[$0] } }
    func vector(_ id: FaceID) -> RotatedVector? { slots[id].map(vector) }
    func vector(_ slot: Int) -> RotatedVector {
        RotatedVector(rotated: Array(rows[slot * dimension..<(slot + 1) * dimension]))
    }

    // MARK: Writes

    /// The ids an enrolment answers with, and what it changes; a face that lives is not enrolled again, nor is one that
    /// was enrolled by the same request.
    func enrolment(_ new: [NewFace]) -> (ids: [FaceID], changes: [Change]) {
        var (ids, changes): ([FaceID], [Change]) = ([], [])
        var seen: [FaceKey: FaceID] = [:]
        for face in new {
            let key = identity.key(of: face)
            let state = keys[key] ?? FaceKeyState(count: 0, live: false)
            let id = seen[key] ?? enrolments[face.token] ?? identity.faceID(key: key, count: state.count)
            if !state.live, seen[key] == nil, enrolments[face.token] == nil { changes.append(.put(face, key)) }
            seen[key] = id
            ids.append(id)
        }
        return (ids, changes)
    }

    func deletion(_ ids: [FaceID]) -> (deleted: [FaceID], missing: [FaceID], changes: [Change]) {
        var (deleted, missing): ([FaceID], [FaceID]) = ([], [])
        var seen: Set<FaceID> = []
        for id in ids {
            if slots[id] != nil, seen.insert(id).inserted { deleted.append(id) } else { missing.append(id) }
        }
        return (deleted, missing, deleted.map { .delete($0) })
    }

    mutating func apply(_ changes: some Sequence<Change>) {
        for change in changes {
            switch change {
            case .put(let face, let key): put(face, key)
            case .delete(let id): delete(id)
            }
        }
    }

    private mutating func put(_ face: NewFace, _ key: FaceKey) {
        let count = keys[key]?.count ?? 0
        let id = identity.faceID(key: key, count: count)
        keys[key] = FaceKeyState(count: count, live: true)
        keyOf[id] = key
        if face.token != .none { enrolments[face.token] = id }
        slots[id] = faces.count
        faces.append(StoredFace(id: id, externalImageID: face.externalImageID, record: face.record))
        rows += face.vector.values
    }

    private mutating func delete(_ id: FaceID) {
        guard let slot = slots.removeValue(forKey: id), let key = keyOf.removeValue(forKey: id) else { return }
        keys[key] = FaceKeyState(count: (keys[key]?.count ?? 0) + 1, live: false)
        let last = faces.count - 1
        if slot != last {
            faces[slot] = faces[last]
            slots[faces[slot].id] = slot
            for at in 0..<dimension { rows[slot * dimension + at] = rows[last * dimension + at] }
        }
        faces.removeLast()
        rows.removeLast(dimension)
    }

    // MARK: Reads

    /// The best faces, in order; `among` leaves out what a search restricted to some buckets does not look at.
    func search(_ query: Query, among: ((FaceID) -> Bool)? = nil) -> [Match] {
        var matches: [Match] = []
        for (slot, score) in scores(query.vector).enumerated() where score >= query.minScore {
            let id = faces[slot].id
            if among?(id) ?? true { matches.append(Match(face: id, score: score)) }
        }
        matches.sort(by: Match.precedes)
        return Array(matches.prefix(query.limit))
    }

    /// Score of every face: eight sums of double products, one for the components that are equal modulo eight, added
    /// up by the one tree of docs/glossary.md, then rounded to float.
    func scores(_ query: RotatedVector) -> [Float] {
        let lanes = stride(from: 0, to: dimension, by: 8).map { at in
            SIMD8<Double>((at..<at + 8).map { Double(query.values[$0]) })
        }
        return rows.withUnsafeBytes { bytes in
            lanes.withUnsafeBufferPointer { lanes in
                (0..<count).map { Self.score(lanes, bytes, row: $0) }
            }
        }
    }

    private static func score(
        _ query: UnsafeBufferPointer<SIMD8<Double>>, _ rows: UnsafeRawBufferPointer, row: Int
    ) -> Float {
        var s = SIMD8<Double>.zero
        for at in query.indices {
            let floats = rows.loadUnaligned(
                fromByteOffset: (row * query.count + at) * MemoryLayout<SIMD8<Float>>.size, as: SIMD8<Float>.self)
            s += query[at] * SIMD8<Double>(floats)
        }
        return Float(((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7])))
    }

    func list(after id: FaceID?, limit: Int) -> (faces: [StoredFace], more: Bool) {
        let rest = faces.filter { face in id.map { $0 < face.id } ?? true }.sorted { $0.id < $1.id }
        return (Array(rest.prefix(limit)), rest.count > limit)
    }
}
