/// An append-only Merkle tree in memory: every complete subtree's hash, about 64 bytes a leaf.
///
/// Invariant: `levels[k][i]` is the hash of leaves i*2^k ..< (i+1)*2^k, present as soon as they all are. Every answer
/// is given for a size up to `size`, so that an older, committed tree can be told while a newer one grows.
package struct MerkleTree: Sendable {
    private var levels: [[MerkleHash]] = [[]]

    package init() {}

    package var size: UInt64 { UInt64(levels[0].count) }

    package mutating func append(_ leaf: MerkleHash) {
        var hash = leaf
        for level in 0... {
            if level == levels.count { levels.append([]) }
            levels[level].append(hash)
            let count = levels[level].count
            guard count.isMultiple(of: 2) else { return }
            hash = .node(levels[level][count - 2], hash)
        }
    }

    /// Drops every leaf from `size` on; only what was never committed may go.
    package mutating func truncate(to size: UInt64) {
        precondition(size <= self.size, "a tree is cut, not grown")
        for level in levels.indices { levels[level].removeLast(levels[level].count - Int(size >> UInt64(level))) }
    }

    package func leafHash(_ index: UInt64) -> MerkleHash { levels[0][Int(index)] }

    /// The 256 hashes of a full tile: `level` counts tiles (8 tree levels each). Nil unless it is complete within `size`.
    package func tile(level: Int, number: UInt64, size: UInt64) -> [MerkleHash]? {
        let tree = 8 * level
        guard (number + 1) << 8 <= size >> UInt64(tree), tree < levels.count else { return nil }
        return Array(levels[tree][Int(number << 8)..<Int((number + 1) << 8)])
    }

    package func root(size: UInt64) -> MerkleHash {
        precondition(size <= self.size, "no such tree yet")
        return size == 0 ? .empty : hash(0..<size)
    }

    /// RFC 9162, section 2.1.3.1: siblings from the leaf upwards.
    package func inclusionPath(index: UInt64, size: UInt64) -> [MerkleHash] {
        precondition(index < size && size <= self.size, "a leaf of a tree there is")
        var path: [MerkleHash] = []
        var range = 0..<size
        while range.count > 1 {
            let middle = range.lowerBound + Self.split(range)
            if index < middle {
                path.append(hash(middle..<range.upperBound))
                range = range.lowerBound..<middle
            } else {
                path.append(hash(range.lowerBound..<middle))
                range = middle..<range.upperBound
            }
        }
        return path.reversed()
    }

    /// RFC 9162, section 2.1.4.1: that the tree of size `old` is a prefix of the one of size `new`.
    package func consistencyProof(from old: UInt64, to new: UInt64) -> [MerkleHash] {
        precondition(0 < old && old <= new && new <= size, "two trees there are, the older one not empty")
        var proof: [MerkleHash] = []
        var range = 0..<new
        // True while the whole of `range` so far is what the verifier already knows as the old root.
        var isOldRoot = true
        while old != range.upperBound {
            let middle = range.lowerBound + Self.split(range)
            if old <= middle {
                proof.append(hash(middle..<range.upperBound))
                range = range.lowerBound..<middle
            } else {
                proof.append(hash(range.lowerBound..<middle))
                range = middle..<range.upperBound
                isOldRoot = false
            }
        }
        if !isOldRoot { proof.append(hash(range)) }
        return proof.reversed()
    }

    /// Leaves of the left subtree: the largest power of two below the count.
    private static func split(_ range: Range<UInt64>) -> UInt64 {
        let count = range.upperBound - range.lowerBound
        return 1 << UInt64(63 - (count - 1).leadingZeroBitCount)
    }

    private func hash(_ range: Range<UInt64>) -> MerkleHash {
        let count = range.upperBound - range.lowerBound
        if count.nonzeroBitCount == 1 {
            let level = count.trailingZeroBitCount
            return levels[level][Int(range.lowerBound >> UInt64(level))]
        }
        let middle = range.lowerBound + Self.split(range)
        return .node(hash(range.lowerBound..<middle), hash(middle..<range.upperBound))
    }
}
