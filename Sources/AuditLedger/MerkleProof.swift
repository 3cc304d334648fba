/// What a stranger runs to check a proof: RFC 9162, sections 2.1.3.2 and 2.1.4.2. Needs no tree.
package enum MerkleProof {
    package static func verifyInclusion(
        leaf: MerkleHash, index: UInt64, size: UInt64, path: [MerkleHash], root: MerkleHash
    ) -> Bool {
        guard index < size else { return false }
        var (node, last, hash) = (index, size - 1, leaf)
        for sibling in path {
            guard last > 0 else { return false }
            if node & 1 == 1 || node == last {
                hash = .node(sibling, hash)
                while node & 1 == 0, node != 0 {
                    node >>= 1
                    last >>= 1
                }
            } else {
                hash = .node(hash, sibling)
            }
            node >>= 1
            last >>= 1
        }
        return last == 0 && hash == root
    }

    package static func verifyConsistency(
        from old: UInt64, root oldRoot: MerkleHash, to new: UInt64, root newRoot: MerkleHash, proof: [MerkleHash]
    ) -> Bool {
        guard 0 < old, old <= new else { return false }
        guard old < new else { return proof.isEmpty && oldRoot == newRoot }
        var path = proof
        if old.nonzeroBitCount == 1 { path.insert(oldRoot, at: 0) }
        guard let first = path.first else { return false }
        var (node, last) = (old - 1, new - 1)
        while node & 1 == 1 {
            node >>= 1
            last >>= 1
        }
        var (oldHash, newHash) = (first, first)
        for sibling in path.dropFirst() {
            guard last > 0 else { return false }
            if node & 1 == 1 || node == last {
                oldHash = .node(sibling, oldHash)
                newHash = .node(sibling, newHash)
                while node & 1 == 0, node != 0 {
                    node >>= 1
                    last >>= 1
                }
            } else {
                newHash = .node(newHash, sibling)
            }
            node >>= 1
            last >>= 1
        }
        return last == 0 && oldHash == oldRoot && newHash == newRoot
    }
}
