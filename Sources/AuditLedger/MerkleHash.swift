import Crypto

/// A SHA-256 value of the tree, kept without a heap allocation of its own. Hashing as RFC 9162, section 2.1.1.
package struct MerkleHash: Hashable, Sendable {
    package static let byteCount = 32
    /// The 32 bytes as they stand in memory, whatever the machine's byte order.
    private var image: SIMD4<UInt64>

    /// `bytes` are exactly 32; another count is a programming error.
    package init(_ bytes: some Collection<UInt8>) {
        precondition(bytes.count == Self.byteCount, "a SHA-256 value has 32 bytes")
        image = .zero
        withUnsafeMutableBytes(of: &image) { $0.copyBytes(from: bytes) }
    }

    private init(_ digest: SHA256.Digest) {
        image = digest.withUnsafeBytes { $0.loadUnaligned(as: SIMD4<UInt64>.self) }
    }

    package var bytes: [UInt8] { withUnsafeBytes(of: image) { Array($0) } }

    /// The root of a tree without leaves.
    package static let empty = MerkleHash(SHA256.hash(data: [UInt8]()))

    package static func leaf(_ entry: [UInt8]) -> MerkleHash {
        var hasher = SHA256()
        hasher.update(data: [0])
        hasher.update(data: entry)
        return MerkleHash(hasher.finalize())
    }

    package static func node(_ left: MerkleHash, _ right: MerkleHash) -> MerkleHash {
        var hasher = SHA256()
        hasher.update(data: [1])
        withUnsafeBytes(of: left.image) { hasher.update(bufferPointer: $0) }
        withUnsafeBytes(of: right.image) { hasher.update(bufferPointer: $0) }
        return MerkleHash(hasher.finalize())
    }
}
