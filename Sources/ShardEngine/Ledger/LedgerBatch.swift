import AuditLedger
import ClusterModel
import FaceModel

/// Which leaves a batch of entries becomes, and what each caller is told once they count.
///
/// A search has at most one entry of a kind: one that is asked again, because its answer was lost, is told the leaf that
/// stands already, whoever decided when that was written.
struct LedgerBatch {
    private struct Key: Hashable {
        var search: SearchID
        var kind: Leaf.Kind
    }

    private let view: LedgerView
    private let reader: LedgerRecordReader
    private let shard: ShardID
    private var asked: [Key: (entry: LedgerEntry, index: UInt64)] = [:]
    private(set) var leaves: [LeafPayload] = []
    private(set) var answers: [(request: WaitingEntry, index: UInt64)] = []

    init(view: LedgerView, reader: LedgerRecordReader, shard: ShardID) {
        self.view = view
        self.reader = reader
        self.shard = shard
    }

    /// Answers at once what cannot be taken.
    mutating func add(_ request: WaitingEntry) {
        let entry = request.entry
        if let reason = Self.tooLarge(entry) { return request.refuse(.writesRefused(shard, reason: reason)) }
        let key = Key(search: entry.search, kind: entry.kind)
        do throws(LedgerError) {
            let known = if let earlier = asked[key] { Optional(earlier) } else { try stored(key) }
            if let known {
                guard known.entry == entry else {
                    let reason = "another entry of its kind is on record for that search"
                    return request.refuse(.writesRefused(shard, reason: reason))
                }
                return answers.append((request, known.index))
            }
        } catch {
            return request.refuse(.writesRefused(shard, reason: error.reason))
        }
        let count = UInt64(leaves.count)
        let payload = view.use { state in
            var generator = SystemRandomNumberGenerator()
            return state.machine.leaf(of: entry, behind: count, using: &generator)
        }
        asked[key] = (entry, payload.index)
        leaves.append(payload)
        answers.append((request, payload.index))
    }

    /// The entry that stands already; nil where there is none.
    private func stored(_ key: Key) throws(LedgerError) -> (entry: LedgerEntry, index: UInt64)? {
        let places = view.use { $0.index[key.search] ?? [] }
        guard let place = places.first(where: { $0.kind == key.kind }) else { return nil }
        switch try reader.open(place.index).opened {
        case .entry(let entry): return (entry, place.index)
        case .destroyed: throw .refusing(reason: "its record was destroyed")
        case .bad(let reason): throw .damaged(reason: "leaf \(place.index): \(reason)")
        }
    }

    private static func tooLarge(_ entry: LedgerEntry) -> String? {
        let bytes = PrivateRecord.encode(entry).count
        let limit = Limits.recordPayloadBytesMax / 2
        return bytes <= limit ? nil : "a search record of \(bytes) bytes is over the limit of \(limit)"
    }
}
