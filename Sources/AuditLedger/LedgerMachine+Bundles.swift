/// The files of a full tile that another copy keeps of its leaves. Hash tiles follow from them.
package struct BundleFiles: Hashable, Sendable {
    package var entries: [UInt8]
    package var privates: [UInt8]
    package var checkpoint: [UInt8]

    package init(entries: [UInt8], privates: [UInt8], checkpoint: [UInt8]) {
        self.entries = entries
        self.privates = privates
        self.checkpoint = checkpoint
    }
}

/// Leaves that come as another copy's tiles instead of its log: believed for what this ledger's key has signed, not for who
/// sent them.
extension LedgerMachine {
    /// Takes the 256 leaves behind those in tiles. Returns their files in the order they must become durable.
    ///
    /// They must be the leaves of a checkpoint that this ledger's key signed for the tree that ends with them, and each
    /// private record what its leaf commits to, or destroyed. Nothing has changed when this throws.
    package mutating func adopt(_ bundle: BundleFiles) throws(LedgerFault) -> [(tile: LedgerTile, bytes: [UInt8])] {
        let number = flushedSize / LedgerTile.width
        guard let entries = LedgerBundle.rawEntries(bundle.entries), entries.count == Int(LedgerTile.width) else {
            throw LedgerFault(.file(path: LedgerTile.entries(number).path), "it does not hold 256 leaves")
        }
        try requirePrivates(bundle.privates, of: entries)
        let before = standing
        recover(bundle: entries)
        do throws(LedgerFault) {
            try requireSigned(bundle.checkpoint, number)
        } catch {
            disown(before)
            throw error
        }
        return [(.privates(number), bundle.privates), (.checkpoint(number), bundle.checkpoint)]
            + hashFiles(endingAt: flushedSize) + [(.entries(number), bundle.entries)]
    }

    private func requirePrivates(_ bytes: [UInt8], of entries: [[UInt8]]) throws(LedgerFault) {
        let path = LedgerTile.privates(flushedSize / LedgerTile.width).path
        guard let privates = LedgerBundle.rawPrivates(bytes), privates.count == entries.count else {
            throw LedgerFault(.file(path: path), "it does not hold 256 private records")
        }
        for (position, (item, entry)) in zip(privates, entries).enumerated() {
            let index = flushedSize + UInt64(position)
            guard item.whole else { throw LedgerFault(.leaf(index, search: nil), "its private record is damaged") }
            // A kind of leaf that a later release added is kept as it stands.
            guard let leaf = Leaf(bytes: entry) else { continue }
            if case .bad(let reason) = SealedRecord.open(item.sealed, leaf: leaf, recordKey: recordKey) {
                throw LedgerFault(.leaf(index, search: leaf.search), reason)
            }
        }
    }

    private func requireSigned(_ bytes: [UInt8], _ number: UInt64) throws(LedgerFault) {
        let path = LedgerTile.checkpoint(number).path
        guard let checkpoint = verifierKey.open(String(decoding: bytes, as: UTF8.self)) else {
            throw LedgerFault(.file(path: path), "it is not a checkpoint signed by this ledger's key")
        }
        guard checkpoint.size == flushedSize else {
            throw LedgerFault(.file(path: path), "it covers \(checkpoint.size) leaves, not \(flushedSize)")
        }
        if let reason = contradiction(to: checkpoint) { throw LedgerFault(.file(path: path), reason) }
    }
}
