import AuditLedger
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
    /// What the ledger says with the leaves that are made so far: each entry is judged at its place in the log.
    private var standing: Standing
    private var asked: [Key: (entry: LedgerEntry, index: UInt64)] = [:]
    private(set) var leaves: [LeafPayload] = []
    private(set) var answers: [(request: WaitingEntry, index: UInt64)] = []

    init(view: LedgerView, reader: LedgerRecordReader) {
        self.view = view
        self.reader = reader
        standing = view.use { $0.machine.standing }
    }

    /// Answers at once what cannot be taken.
    mutating func add(_ request: WaitingEntry) {
        do throws(LedgerError) {
            answers.append((request, try place(of: request.entry)))
        } catch {
            request.resume(.failure(error))
        }
    }

    /// The leaf that stands already, or a new one.
    private mutating func place(of entry: LedgerEntry) throws(LedgerError) -> UInt64 {
        if let reason = Self.tooLarge(entry) { throw .refusing(reason: reason) }
        let key = Key(search: entry.search, kind: entry.kind)
        if let index = try indexStanding(for: entry, key) { return index }
        if let refusal = standing.refusal(of: entry) { throw refusal }
        let count = UInt64(leaves.count)
        let payload = view.use { state in
            var generator = SystemRandomNumberGenerator()
            return state.machine.leaf(of: entry, behind: count, using: &generator)
        }
        asked[key] = (entry, payload.index)
        leaves.append(payload)
        standing.take(payload.leaf, at: payload.index)
        return payload.index
    }

    private func indexStanding(for entry: LedgerEntry, _ key: Key) throws(LedgerError) -> UInt64? {
        if case .order(let order) = entry { return indexStanding(for: order, key) }
        let known: (entry: LedgerEntry, index: UInt64)?
        do throws(LedgerError) {
            known = if let earlier = asked[key] { earlier } else { try stored(key) }
        } catch {
            throw .refusing(reason: error.reason)
        }
        guard let known else { return nil }
        guard known.entry == entry else {
            throw .refusing(reason: "another entry of its kind is on record for that search")
        }
        return known.index
    }

    /// An order that stands, whoever gave it and why: a key is revoked once, an account that is suspended is.
    private func indexStanding(for order: StandingOrder, _ key: Key) -> UInt64? {
        if let earlier = asked[key] { return earlier.index }
        let places = view.use { $0.index[key.search] ?? [] }
        if let place = places.first(where: { $0.kind == key.kind }) { return place.index }
        return order.act == .suspend ? standing.suspended[order.tenant]?.leaf : nil
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
