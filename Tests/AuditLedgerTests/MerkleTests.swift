import AuditLedger
import Crypto
import Testing

/// RFC 9162's definitions, as recursive as they stand there.
private enum Definition {
    static func root(_ entries: ArraySlice<[UInt8]>) -> [UInt8] {
        if entries.isEmpty { return Array(SHA256.hash(data: [UInt8]())) }
        if entries.count == 1 { return Array(SHA256.hash(data: [0] + entries[entries.startIndex])) }
        let (left, right) = halves(entries)
        return Array(SHA256.hash(data: [1] + root(left) + root(right)))
    }

    static func path(_ index: Int, _ entries: ArraySlice<[UInt8]>) -> [[UInt8]] {
        if entries.count == 1 { return [] }
        let (left, right) = halves(entries)
        return index < left.count
            ? path(index, left) + [root(right)] : path(index - left.count, right) + [root(left)]
    }

    static func consistency(_ old: Int, _ entries: ArraySlice<[UInt8]>, whole: Bool = true) -> [[UInt8]] {
        if old == entries.count { return whole ? [] : [root(entries)] }
        let (left, right) = halves(entries)
        return old <= left.count
            ? consistency(old, left, whole: whole) + [root(right)]
            : consistency(old - left.count, right, whole: false) + [root(left)]
    }

    private static func halves(_ entries: ArraySlice<[UInt8]>) -> (ArraySlice<[UInt8]>, ArraySlice<[UInt8]>) {
        var k = 1
        while k * 2 < entries.count { k *= 2 }
        return (entries.prefix(k), entries.dropFirst(k))
    }
}

@Suite struct MerkleTests {
    private static let entries: [[UInt8]] = (0..<300).map { Array("leaf \($0)".utf8) }

    private static let tree: MerkleTree = {
        var tree = MerkleTree()
        for entry in entries { tree.append(.leaf(entry)) }
        return tree
    }()

    /// The tree of the Certificate Transparency reference tests.
    @Test func rfc6962ReferenceRootsHold() {
        let leaves = [
            "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f",
        ]
        let roots = [
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
            "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
            "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
            "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
            "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
        ]
        var tree = MerkleTree()
        for (size, root) in roots.enumerated() {
            #expect(hex(tree.root(size: UInt64(size)).bytes) == root)
            if size < leaves.count { tree.append(.leaf(bytes(hex: leaves[size]))) }
        }
    }

    @Test func everyRootTo300IsTheDefinitions() {
        var growing = MerkleTree()
        for size in 0...Self.entries.count {
            let expected = Definition.root(Self.entries.prefix(size))
            #expect(growing.root(size: UInt64(size)).bytes == expected)
            #expect(Self.tree.root(size: UInt64(size)).bytes == expected)
            if size < Self.entries.count { growing.append(.leaf(Self.entries[size])) }
        }
    }

    @Test func inclusionPathsAreTheDefinitionsAndVerify() {
        for (index, size) in Self.pairs where index < size {
            let path = Self.tree.inclusionPath(index: UInt64(index), size: UInt64(size))
            #expect(path.map(\.bytes) == Definition.path(index, Self.entries.prefix(size)))
            let root = Self.tree.root(size: UInt64(size))
            func verifies(_ entry: [UInt8], _ index: Int, _ size: Int, _ path: [MerkleHash]) -> Bool {
                MerkleProof.verifyInclusion(
                    leaf: .leaf(entry), index: UInt64(index), size: UInt64(size), path: path, root: root)
            }
            #expect(verifies(Self.entries[index], index, size, path))
            #expect(!verifies(Self.entries[index] + [0], index, size, path))
            #expect(!verifies(Self.entries[index], index + 1, size, path))
            #expect(!verifies(Self.entries[index], index, size, path + [.empty]))
            if !path.isEmpty {
                #expect(!verifies(Self.entries[index], index, size, Array(path.dropLast())))
                var changed = path
                changed[index % path.count] = .empty
                #expect(!verifies(Self.entries[index], index, size, changed))
            }
        }
    }

    @Test func consistencyProofsAreTheDefinitionsAndVerify() {
        for (old, new) in Self.pairs where old > 0 && old <= new {
            let proof = Self.tree.consistencyProof(from: UInt64(old), to: UInt64(new))
            #expect(proof.map(\.bytes) == Definition.consistency(old, Self.entries.prefix(new)))
            let (oldRoot, newRoot) = (Self.tree.root(size: UInt64(old)), Self.tree.root(size: UInt64(new)))
            func verifies(_ oldRoot: MerkleHash, _ newRoot: MerkleHash, _ proof: [MerkleHash]) -> Bool {
                MerkleProof.verifyConsistency(
                    from: UInt64(old), root: oldRoot, to: UInt64(new), root: newRoot, proof: proof)
            }
            #expect(verifies(oldRoot, newRoot, proof))
            #expect(!verifies(.empty, newRoot, proof))
            #expect(!verifies(oldRoot, .empty, proof))
            #expect(!verifies(oldRoot, newRoot, proof + [.empty]))
            if !proof.isEmpty { #expect(!verifies(oldRoot, newRoot, Array(proof.dropLast()))) }
        }
    }

    @Test func aTreeCutBackGrowsAsIfNothingHadBeen() {
        for (kept, grown) in Self.pairs where kept <= grown {
            var tree = MerkleTree()
            for entry in Self.entries.prefix(grown) { tree.append(.leaf(entry)) }
            tree.truncate(to: UInt64(kept))
            #expect(tree.size == UInt64(kept))
            for entry in Self.entries[kept...].prefix(9) { tree.append(.leaf(entry)) }
            #expect(tree.root(size: tree.size) == Self.tree.root(size: tree.size))
        }
    }

    /// All pairs to 24, and some on both sides of powers of two to 300.
    private static let pairs: [(Int, Int)] = {
        let edges = [0, 1, 31, 32, 33, 63, 64, 65, 127, 128, 129, 254, 255, 256, 257, 291]
        let near = (0...24).flatMap { a in (0...24).map { (a, $0) } }
        return near + edges.flatMap { a in edges.map { (a, $0) } }
    }()
}
