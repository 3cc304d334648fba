import AuditLedger
import FaceModel
import StorageIO

/// Opens the private records of one search and proves its leaves.
struct LedgerRecordReader {
    let store: LedgerFiles
    let view: LedgerView
    let recordKey: [UInt8]

    /// Nil when the tenant has no such search.
    func record(of search: SearchID, tenant: TenantID) throws(LedgerError) -> SearchRecord? {
        var record = SearchRecord(intent: nil, result: nil, leaves: [])
        for place in try view.whole({ $0.index[search] ?? [] }) {
            let (leaf, opened) = try open(place.index)
            guard leaf.tenant == tenant else { continue }
            switch opened {
            case .entry(.intent(let intent)): record.intent = intent
            case .entry(.result(let result)): record.result = result
            case .entry(.order(let order)): record.order = order
            case .destroyed: break
            case .bad(let reason): throw .damaged(reason: "leaf \(place.index): \(reason)")
            }
            record.leaves.append(try view.whole { $0.machine.proof(of: place.index, leaf: leaf.bytes) })
        }
        return record.leaves.isEmpty ? nil : record
    }

    /// A committed leaf and what its private record holds.
    func open(_ index: UInt64) throws(LedgerError) -> (leaf: Leaf, opened: SealedRecord.Opened) {
        let (leaf, sealed) = try stored(index)
        return (leaf, SealedRecord.open(sealed, leaf: leaf, recordKey: recordKey))
    }

    private func stored(_ index: UInt64) throws(LedgerError) -> (leaf: Leaf, sealed: [UInt8]) {
        if let payload = try view.whole({ $0.machine.unflushed(index) }) { return (payload.leaf, payload.sealed) }
        let (number, position) = (index / LedgerTile.width, Int(index % LedgerTile.width))
        do throws(FileError) {
            guard let entries = LedgerBundle.rawEntries(try store.read(.entries(number))),
                let privates = LedgerBundle.rawPrivates(try store.read(.privates(number))),
                entries.indices.contains(position), privates.indices.contains(position),
                let leaf = Leaf(bytes: entries[position])
            else { throw .truncated(path: store.path(of: .privates(number)), offset: 0, wanted: position + 1) }
            return (leaf, privates[position].sealed)
        } catch {
            throw .damaged(reason: "leaf \(index): \(error.sentence)")
        }
    }
}
