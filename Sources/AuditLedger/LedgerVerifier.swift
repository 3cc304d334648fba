import FaceModel

/// Recomputes a ledger from what is stored of it and names the first thing that does not fit.
///
/// Leaves are given in order: bundles first, then the log's. Checkpoints may be given at any time; each is compared as
/// soon as its size is reached. What only looks wrong (a leaf that its hash tile contradicts, a private record that
/// does not open) is held as a suspicion until a signed checkpoint says whether the leaves are as signed.
package struct LedgerVerifier: Sendable {
    private struct Suspicion {
        var index: UInt64
        var search: SearchID?
        var reason: String
        /// The hash tile that contradicts the leaf; nil when the private record is what is wrong.
        var tile: String?
    }

    private let verifierKey: VerifierKey
    private let recordKey: [UInt8]?
    private var tree = MerkleTree()
    private var pending: [(checkpoint: Checkpoint, source: String)] = []
    private var suspicions: [Suspicion] = []
    /// What the leaves so far say: behind a suspension stands no search of its account.
    private var standing = Standing()
    /// Leaves before this one are as a signed checkpoint says.
    package private(set) var provenSize: UInt64 = 0
    package private(set) var checkpointsChecked = 0
    package private(set) var privatesOpened = 0
    package private(set) var privatesDestroyed = 0
    package var size: UInt64 { tree.size }
    package var root: MerkleHash { tree.root(size: tree.size) }

    /// Without a record key private records are checked for rot, not for what they say.
    package init(verifierKey: VerifierKey, recordKey: [UInt8]?) {
        self.verifierKey = verifierKey
        self.recordKey = recordKey
    }

    /// `source` is where the note was found, for the fault's text.
    package mutating func add(checkpoint note: String, source: String) throws(LedgerFault) {
        guard let checkpoint = verifierKey.open(note) else {
            throw LedgerFault(
                .file(path: source), "is not a checkpoint signed by \(verifierKey.name)'s key")
        }
        pending.append((checkpoint, source))
        try settle(at: checkpoint.size)
    }

    /// The next full bundle: `tile/entries/N`, `tile/private/N` and `tile/0/N`.
    package mutating func add(
        bundle number: UInt64, entries: [UInt8], privates: [UInt8], hashes: [UInt8]
    ) throws(LedgerFault) {
        precondition(number * LedgerTile.width == tree.size, "bundles come in order")
        let leaves = try Self.leaves(of: entries, bundle: number)
        let (privatePath, hashPath) = (
            LedgerTile.privates(number).path, LedgerTile.hashes(level: 0, number: number).path
        )
        guard let sealed = LedgerBundle.rawPrivates(privates), sealed.count == leaves.count else {
            throw LedgerFault(.file(path: privatePath), "does not hold \(leaves.count) private records")
        }
        guard let hashes = LedgerBundle.hashes(hashes) else {
            throw LedgerFault(.file(path: hashPath), "does not hold \(LedgerTile.width) hashes")
        }
        for (position, entry) in leaves.enumerated() {
            let (index, hash) = (tree.size, MerkleHash.leaf(entry))
            let leaf = Leaf(bytes: entry)
            if hash != hashes[position] {
                suspicions.append(
                    Suspicion(
                        index: index, search: leaf?.search, reason: "is not what its hash in the tree says",
                        tile: hashPath))
            }
            check(sealed[position], index: index, leaf: leaf)
            try append(hash)
        }
    }

    /// A hash tile above the lowest, complete since the last bundle.
    package func check(tile: LedgerTile, bytes: [UInt8]) throws(LedgerFault) {
        guard case .hashes(let level, let number) = tile,
            let expected = tree.tile(level: level, number: number, size: tree.size)
        else { preconditionFailure("a complete hash tile") }
        guard bytes == LedgerBundle.hashes(expected) else {
            throw LedgerFault(.file(path: tile.path), "is not the hashes of the leaves below it")
        }
    }

    /// A leaf record of the log. One that stands in a bundle already must be the same there.
    package mutating func add(logged payload: LeafPayload) throws(LedgerFault) {
        let hash = MerkleHash.leaf(payload.leaf.bytes)
        guard payload.index >= tree.size else {
            guard tree.leafHash(payload.index) != hash else { return }
            throw LedgerFault(
                .leaf(payload.index, search: payload.leaf.search), "is one in the log and another in its bundle")
        }
        guard payload.index == tree.size else {
            throw LedgerFault(.leaves(tree.size..<payload.index), "missing: the log goes on at leaf \(payload.index)")
        }
        check(.init(sealed: payload.sealed, whole: true), index: payload.index, leaf: payload.leaf)
        try append(hash)
    }

    /// The end of what is stored.
    package mutating func finish() throws(LedgerFault) {
        if let claim = pending.max(by: { $0.checkpoint.size < $1.checkpoint.size }) {
            throw LedgerFault(
                .leaves(tree.size..<claim.checkpoint.size),
                "missing: there are \(tree.size) leaves, but \(claim.source) is signed for \(claim.checkpoint.size)")
        }
        if let first = suspicions.first { throw fault(of: first) }
    }

    private mutating func append(_ hash: MerkleHash) throws(LedgerFault) {
        tree.append(hash)
        try settle(at: tree.size)
    }

    private mutating func settle(at size: UInt64) throws(LedgerFault) {
        guard size <= tree.size else { return }
        for (checkpoint, source) in pending where checkpoint.size == size {
            guard tree.root(size: size) == checkpoint.root else { throw mismatch(at: checkpoint, source) }
            checkpointsChecked += 1
            provenSize = max(provenSize, size)
        }
        pending.removeAll { $0.checkpoint.size == size }
        if let first = suspicions.first(where: { $0.index < provenSize }) { throw fault(of: first) }
    }

    private func mismatch(at checkpoint: Checkpoint, _ source: String) -> LedgerFault {
        let range = min(provenSize, checkpoint.size)..<max(checkpoint.size, 1)
        let reason = "altered: the tree of \(checkpoint.size) leaves is not the one signed in \(source)"
        if let first = suspicions.first(where: { range.contains($0.index) }) {
            return LedgerFault(.leaf(first.index, search: first.search), "\(first.reason); \(reason)")
        }
        return LedgerFault(.leaves(range), reason)
    }

    private func fault(of suspicion: Suspicion) -> LedgerFault {
        if let tile = suspicion.tile, suspicion.index < provenSize {
            return LedgerFault(
                .file(path: tile), "the hash of leaf \(suspicion.index) is altered; the leaf itself is as signed")
        }
        return LedgerFault(.leaf(suspicion.index, search: suspicion.search), suspicion.reason)
    }

    private mutating func check(_ item: LedgerBundle.PrivateItem, index: UInt64, leaf: Leaf?) {
        func suspect(_ reason: String) {
            suspicions.append(Suspicion(index: index, search: leaf?.search, reason: reason, tile: nil))
        }
        guard let leaf else { return suspect("is not a leaf of a known form") }
        if let suspension = standing.suspension(forbidding: leaf) {
            suspect("is of an account that leaf \(suspension.leaf) suspends")
        }
        standing.take(leaf, at: index)
        guard item.whole else { return suspect("its private record is altered") }
        if SealedRecord.isDestroyed(item.sealed) {
            privatesDestroyed += 1
            return
        }
        guard let recordKey else { return }
        switch SealedRecord.open(item.sealed, leaf: leaf, recordKey: recordKey) {
        case .entry: privatesOpened += 1
        case .destroyed: privatesDestroyed += 1
        case .bad(let reason): suspect(reason)
        }
    }

    /// The 256 entries of a bundle; where a length is wrong, the leaf is named by its place.
    private static func leaves(of entries: [UInt8], bundle number: UInt64) throws(LedgerFault) -> [[UInt8]] {
        if let raw = LedgerBundle.rawEntries(entries), raw.count == Int(LedgerTile.width) { return raw }
        let (stride, path) = (Leaf.byteCount + 2, LedgerTile.entries(number).path)
        let broken = (0..<Int(LedgerTile.width)).first { position in
            let start = position * stride
            return start + stride > entries.count || entries[start] != 0 || Int(entries[start + 1]) != Leaf.byteCount
        }
        guard let broken else { throw LedgerFault(.file(path: path), "holds more than \(LedgerTile.width) leaves") }
        throw LedgerFault(
            .leaf(number * LedgerTile.width + UInt64(broken), search: nil), "its length in \(path) is altered or cut")
    }
}
