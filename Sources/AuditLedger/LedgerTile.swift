import Crypto

/// Files of the published tree, as C2SP tlog-tiles names them (https://c2sp.org/tlog-tiles), and two kinds of our own.
package enum LedgerTile: Hashable, Sendable {
    /// 256 hashes of tree level 8 * `level`.
    case hashes(level: Int, number: UInt64)
    /// 256 leaves, each after its length as a big-endian u16.
    case entries(UInt64)
    /// The sealed private records of the same 256 leaves. Never published.
    case privates(UInt64)
    /// The signed checkpoint of the tree that ends with these 256 leaves.
    case checkpoint(UInt64)

    package static let width: UInt64 = 256

    /// Relative to the ledger's directory: `tile/0/x001/x234/067`.
    package var path: String {
        switch self {
        case .hashes(let level, let number): "tile/\(level)/\(Self.text(number))"
        case .entries(let number): "tile/entries/\(Self.text(number))"
        case .privates(let number): "tile/private/\(Self.text(number))"
        case .checkpoint(let number): "tile/checkpoint/\(Self.text(number))"
        }
    }

    /// The tile of a bundle's own three files that has this path; nil for any other text.
    package init?(bundlePath path: String) {
        let (kind, digits) = (path.split(separator: "/").dropFirst().first, path.filter(\.isNumber))
        guard path.utf8.allSatisfy({ $0 < 128 }), let number = UInt64(digits) else { return nil }
        switch kind {
        case "entries": self = .entries(number)
        case "private": self = .privates(number)
        case "checkpoint": self = .checkpoint(number)
        default: return nil
        }
        guard self.path == path else { return nil }
    }

    /// Of 256 leaves, which of them; nil for hashes.
    package var bundle: UInt64? {
        switch self {
        case .entries(let number), .privates(let number), .checkpoint(let number): number
        case .hashes: nil
        }
    }

    /// Groups of three digits, all but the last marked with an x.
    private static func text(_ number: UInt64) -> String {
        var groups: [String] = []
        var rest = number
        repeat {
            let digits = String(rest % 1_000)
            groups.insert(String(repeating: "0", count: 3 - digits.count) + digits, at: 0)
            rest /= 1_000
        } while rest > 0
        return (groups.dropLast().map { "x" + $0 } + groups.suffix(1)).joined(separator: "/")
    }
}

/// Contents of the tiles that are lists.
package enum LedgerBundle {
    private static let checkBytes = 8

    package static func entries(_ leaves: [Leaf]) -> [UInt8] {
        leaves.flatMap { leaf -> [UInt8] in
            let bytes = leaf.bytes
            return [UInt8(bytes.count >> 8), UInt8(bytes.count & 255)] + bytes
        }
    }

    /// The raw bytes of each entry, whatever they hold; nil when lengths and file do not agree.
    package static func rawEntries(_ bytes: [UInt8]) -> [[UInt8]]? {
        var out: [[UInt8]] = []
        var reader = LedgerReader(bytes)
        while reader.remaining > 0 {
            guard let length = reader.integer(UInt16.self)?.byteSwapped, let entry = reader.take(Int(length)) else {
                return nil
            }
            out.append(entry)
        }
        return out
    }

    /// Each record after its length (u32) and the first 8 bytes of its SHA-256, so that rot is seen without a key.
    package static func privates(_ sealed: [[UInt8]]) -> [UInt8] {
        var writer = LedgerWriter()
        for record in sealed {
            writer.put(UInt32(record.count))
            writer.put(bytes: check(record))
            writer.put(bytes: record)
        }
        return writer.bytes
    }

    /// A record of a bundle of private records; `whole` is false when it is not what its check says.
    package struct PrivateItem: Hashable, Sendable {
        package var sealed: [UInt8]
        package var whole: Bool
    }

    /// Nil when lengths and file do not agree.
    package static func rawPrivates(_ bytes: [UInt8]) -> [PrivateItem]? {
        var out: [PrivateItem] = []
        var reader = LedgerReader(bytes)
        while reader.remaining > 0 {
            guard let length = reader.integer(UInt32.self), let sum = reader.take(checkBytes),
                let sealed = reader.take(Int(length))
            else { return nil }
            out.append(PrivateItem(sealed: sealed, whole: sum == check(sealed)))
        }
        return out
    }

    /// The same bundle with one record overwritten by zeros, its length kept. Nil when there is no such record.
    package static func destroying(_ position: Int, in bytes: [UInt8]) -> [UInt8]? {
        guard var items = rawPrivates(bytes)?.map(\.sealed), items.indices.contains(position) else { return nil }
        items[position] = [UInt8](repeating: 0, count: items[position].count)
        return privates(items)
    }

    private static func check(_ sealed: [UInt8]) -> [UInt8] {
        if SealedRecord.isDestroyed(sealed) { return [UInt8](repeating: 0, count: checkBytes) }
        return Array(SHA256.hash(data: sealed).prefix(checkBytes))
    }

    package static func hashes(_ hashes: [MerkleHash]) -> [UInt8] { hashes.flatMap(\.bytes) }

    /// Nil unless the bytes are exactly 256 hashes.
    package static func hashes(_ bytes: [UInt8]) -> [MerkleHash]? {
        guard bytes.count == Int(LedgerTile.width) * MerkleHash.byteCount else { return nil }
        return stride(from: 0, to: bytes.count, by: MerkleHash.byteCount).map {
            MerkleHash(bytes[$0..<$0 + MerkleHash.byteCount])
        }
    }
}
