import Crypto
package import FaceModel

/// A private record as it stands beside its leaf: encrypted under a key of its own, and destroyed by writing zeros over
/// it, which no hash of the tree notices.
///
/// ```
///  0 u8 version 1   1 3 B zero   4 16 B record id, random   20 ciphertext of (salt 32 B ‖ record)   tag 16 B
/// ```
/// Key = HKDF-SHA256(ledger record key, salt: record id, info: "facet/v1/ledger record"), used once, so the nonce is
/// zero; associated data = the leaf's bytes.
package enum SealedRecord {
    package static let saltBytes = 32
    private static let version: UInt8 = 1
    private static let idBytes = 16
    private static let headBytes = 20
    private static let tagBytes = 16
    private static let commitmentLabel = "facet ledger commitment v1"

    /// What opening a sealed record can tell.
    package enum Opened: Hashable, Sendable {
        case entry(LedgerEntry)
        /// All zero: destroyed on purpose, the leaf stands.
        case destroyed
        /// Not what the leaf committed to, or not sealed under this key.
        case bad(reason: String)
    }

    /// Leaf and sealed record of a new entry. `recordKey` is 32 bytes.
    static func make(
        _ entry: LedgerEntry, recordKey: [UInt8], using generator: inout some RandomNumberGenerator
    ) -> (leaf: Leaf, sealed: [UInt8]) {
        let random = (0..<idBytes + saltBytes).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
        let (id, salt) = (Array(random[..<idBytes]), Array(random[idBytes...]))
        let record = PrivateRecord.encode(entry)
        let leaf = Leaf(
            kind: entry.kind, tenant: entry.tenant, search: entry.search, time: entry.time,
            commitment: commitment(salt: salt, record: record))
        do {
            let box = try AES.GCM.seal(
                salt + record, using: key(recordKey, id: id), nonce: nonce(), authenticating: leaf.bytes)
            return (leaf, [version, 0, 0, 0] + id + box.ciphertext + box.tag)
        } catch {
            preconditionFailure("AES-256-GCM refuses only a key or nonce of the wrong length: \(error)")
        }
    }

    /// Opens and holds the record to its leaf: key, commitment, kind, search, tenant, time.
    package static func open(_ sealed: [UInt8], leaf: Leaf, recordKey: [UInt8]) -> Opened {
        if isDestroyed(sealed) { return .destroyed }
        guard sealed.count >= headBytes + saltBytes + tagBytes, Array(sealed[..<4]) == [version, 0, 0, 0] else {
            return .bad(reason: "the private record is not one of this format")
        }
        let id = Array(sealed[4..<headBytes])
        let opened: [UInt8]
        do {
            let box = try AES.GCM.SealedBox(
                nonce: nonce(), ciphertext: sealed[headBytes..<sealed.count - tagBytes],
                tag: sealed.suffix(tagBytes))
            opened = Array(try AES.GCM.open(box, using: key(recordKey, id: id), authenticating: leaf.bytes))
        } catch {
            return .bad(reason: "leaf and private record do not belong together under this key file")
        }
        let (salt, record) = (Array(opened[..<saltBytes]), Array(opened[saltBytes...]))
        guard commitment(salt: salt, record: record) == leaf.commitment else {
            return .bad(reason: "the private record is not what the leaf commits to")
        }
        guard let entry = PrivateRecord.decode(record), entry.kind == leaf.kind, entry.search == leaf.search,
            entry.tenant == leaf.tenant, entry.time == leaf.time
        else { return .bad(reason: "the private record does not say what its leaf says") }
        return .entry(entry)
    }

    package static func isDestroyed(_ sealed: [UInt8]) -> Bool { sealed.allSatisfy { $0 == 0 } }

    private static func commitment(salt: [UInt8], record: [UInt8]) -> [UInt8] {
        Array(SHA256.hash(data: Array(commitmentLabel.utf8) + salt + record))
    }

    private static func key(_ recordKey: [UInt8], id: [UInt8]) -> SymmetricKey {
        HKDF<SHA256>.deriveKey(
            inputKeyMaterial: SymmetricKey(data: recordKey), salt: id, info: Array("facet/v1/ledger record".utf8),
            outputByteCount: 32)
    }

    private static func nonce() throws -> AES.GCM.Nonce { try AES.GCM.Nonce(data: [UInt8](repeating: 0, count: 12)) }
}

extension LedgerEntry {
    package var kind: Leaf.Kind {
        switch self {
        case .intent: .intent
        case .result: .result
        case .order(let order): order.kind
        }
    }

    package var time: Timestamp {
        switch self {
        case .intent(let intent): intent.time
        case .result(let result): result.time
        case .order(let order): order.time
        }
    }
}
