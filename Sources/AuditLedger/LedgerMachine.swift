/// Keeps the tree of committed leaves, says what the next ones are, what to sign and what to flush. A value: no disk, no
/// clock, no randomness of its own.
///
/// Invariants: only committed leaves are taken, so whatever size is signed is committed; what is flushed is never
/// changed. Making a leaf changes nothing: where its record never counts, nothing has to be taken back. The leaves of a
/// batch are made for the places behind the last one taken, and no other batch is made before they are taken or gone.
package struct LedgerMachine: Sendable {
    let recordKey: [UInt8]
    private let signer: CheckpointSigner
    private var tree: MerkleTree
    /// Payloads of leaves from `flushedSize` on; those before stand in tiles.
    private var tail: [LeafPayload]
    package private(set) var flushedSize: UInt64
    /// What the leaves that stand in tiles say.
    private var flushedStanding = Standing()
    /// What all committed leaves say.
    package private(set) var standing = Standing()

    /// An empty ledger. `recordKey` is 32 bytes.
    package init(recordKey: [UInt8], signer: CheckpointSigner) {
        precondition(recordKey.count == 32, "a record key has 32 bytes")
        self.recordKey = recordKey
        self.signer = signer
        tree = MerkleTree()
        tail = []
        flushedSize = 0
    }

    package var verifierKey: VerifierKey { signer.verifierKey }
    package var committedSize: UInt64 { tree.size }
    package var committedRoot: MerkleHash { tree.root(size: tree.size) }

    // MARK: Taking leaves

    /// Takes the leaves of the next full tile back, in order.
    package mutating func recover(bundle leaves: [[UInt8]]) {
        precondition(leaves.count == Int(LedgerTile.width) && tail.isEmpty, "tiles come first, and are full")
        for leaf in leaves {
            standing.take(bytes: leaf, at: tree.size)
            tree.append(.leaf(leaf))
        }
        (flushedSize, flushedStanding) = (tree.size, standing)
    }

    /// Takes the last full tile's leaves back out, where they turn out not to be this ledger's. `before` is what the leaves
    /// in front of them say.
    mutating func disown(_ before: Standing) {
        precondition(tail.isEmpty && flushedSize >= LedgerTile.width, "a tile was the last that was taken")
        flushedSize -= LedgerTile.width
        tree.truncate(to: flushedSize)
        (standing, flushedStanding) = (before, before)
    }

    /// What a leaf record of the log is to this ledger.
    package enum Taking: Hashable, Sendable {
        case taken
        /// It is here already, the same leaf.
        case known
        /// It is not the leaf that must come next, or not the one that is here.
        case contradicts(reason: String)
    }

    /// Takes the leaf of a committed record.
    package mutating func take(_ payload: LeafPayload) -> Taking {
        let hash = MerkleHash.leaf(payload.leaf.bytes)
        guard payload.index >= tree.size else {
            return tree.leafHash(payload.index) == hash
                ? .known : .contradicts(reason: "leaf \(payload.index) is one in the log and another in its tile")
        }
        guard payload.index == tree.size else {
            return .contradicts(reason: "leaf \(payload.index) follows on \(tree.size) leaves")
        }
        if let suspension = standing.suspension(forbidding: payload.leaf) {
            return .contradicts(
                reason: "leaf \(payload.index) is of an account that leaf \(suspension.leaf) suspends")
        }
        standing.take(payload.leaf, at: payload.index)
        tree.append(hash)
        tail.append(payload)
        return .taken
    }

    /// Forgets every leaf that stands in no tile: a copy that starts knows which of its log's leaves are committed only
    /// once it hears so.
    package mutating func forgetUnflushed() {
        tail = []
        tree.truncate(to: flushedSize)
        standing = flushedStanding
    }

    /// Why a signed checkpoint contradicts this ledger, nil when it does not.
    package func contradiction(to checkpoint: Checkpoint) -> String? {
        guard checkpoint.size <= committedSize else {
            return "a signed checkpoint covers \(checkpoint.size) leaves, but there are \(committedSize)"
        }
        return tree.root(size: checkpoint.size) == checkpoint.root
            ? nil : "the first \(checkpoint.size) leaves are not those of a signed checkpoint"
    }

    // MARK: Writing

    /// The leaf of an entry for the place `behind` leaves after the next one, to be logged and taken once that counts.
    package func leaf(
        of entry: LedgerEntry, behind: UInt64, using generator: inout some RandomNumberGenerator
    ) -> LeafPayload {
        let (leaf, sealed) = SealedRecord.make(entry, recordKey: recordKey, using: &generator)
        return LeafPayload(index: tree.size + behind, leaf: leaf, sealed: sealed)
    }

    /// The signed note of the committed tree.
    package func checkpoint() -> String { signer.sign(size: committedSize, root: committedRoot) }

    /// The files of the next 256 committed leaves, in the order they must become durable; empty when there are not
    /// enough. Call `flushed` when they all are.
    package func tilesToFlush() -> [(tile: LedgerTile, bytes: [UInt8])] {
        let size = flushedSize + LedgerTile.width
        guard committedSize >= size else { return [] }
        let number = flushedSize / LedgerTile.width
        let leaves = tail.prefix(Int(LedgerTile.width))
        var files: [(tile: LedgerTile, bytes: [UInt8])] = [
            (.privates(number), LedgerBundle.privates(leaves.map(\.sealed))),
            (.checkpoint(number), Array(signer.sign(size: size, root: tree.root(size: size)).utf8)),
        ]
        files += hashFiles(endingAt: size)
        files.append((.entries(number), LedgerBundle.entries(leaves.map(\.leaf))))
        return files
    }

    func hashFiles(endingAt size: UInt64) -> [(tile: LedgerTile, bytes: [UInt8])] {
        Self.hashTiles(endingAt: size).map { tile in
            guard case .hashes(let level, let number) = tile,
                let hashes = tree.tile(level: level, number: number, size: size)
            else { preconditionFailure("a tile that ends at a committed size is complete") }
            return (tile, LedgerBundle.hashes(hashes))
        }
    }

    package mutating func flushed() {
        precondition(committedSize >= flushedSize + LedgerTile.width, "only what was handed out is flushed")
        for payload in tail.prefix(Int(LedgerTile.width)) { flushedStanding.take(payload.leaf, at: payload.index) }
        tail.removeFirst(Int(LedgerTile.width))
        flushedSize += LedgerTile.width
    }

    /// Every hash tile that becomes full with leaf `size - 1`, lowest level first.
    package static func hashTiles(endingAt size: UInt64) -> [LedgerTile] {
        var tiles: [LedgerTile] = []
        var hashes = size
        while hashes > 0, hashes.isMultiple(of: LedgerTile.width) {
            hashes /= LedgerTile.width
            tiles.append(.hashes(level: tiles.count, number: hashes - 1))
        }
        return tiles
    }

    // MARK: Reading

    /// The payload of a leaf that is not flushed yet; nil for one that stands in a tile.
    package func unflushed(_ index: UInt64) -> LeafPayload? {
        index >= flushedSize && index < committedSize ? tail[Int(index - flushedSize)] : nil
    }

    /// The proof of a committed leaf; `leaf` are its bytes.
    package func proof(of index: UInt64, leaf: [UInt8]) -> LeafProof {
        LeafProof(
            index: index, leaf: leaf,
            path: tree.inclusionPath(index: index, size: committedSize).map(\.bytes), treeSize: committedSize,
            rootHash: committedRoot.bytes, checkpoint: checkpoint())
    }

    package func consistencyProof(from old: UInt64) -> [[UInt8]] {
        tree.consistencyProof(from: old, to: committedSize).map(\.bytes)
    }
}
