import Crypto

/// The key file: 32 random bytes from which every other key of a cluster is derived or by which it is wrapped.
///
/// Derivation is HKDF-SHA256 (RFC 5869) without a salt; `info` is "facet/v1/" and the purpose, so that no two purposes
/// share a key. Nothing here is ever printed: the type has no description of its bytes.
package struct MasterKey: Sendable, CustomStringConvertible {
    package static let byteCount = 32
    private let bytes: [UInt8]

    package init(bytes: [UInt8]) throws(KeyError) {
        guard bytes.count == Self.byteCount else { throw .wrongLength(expected: Self.byteCount, got: bytes.count) }
        self.bytes = bytes
    }

    /// What a new key file is filled with; the generator must be the system's.
    package static func randomBytes(using generator: inout some RandomNumberGenerator) -> [UInt8] {
        (0..<byteCount).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
    }

    package var description: String { "MasterKey" }

    /// 8 bytes that name this key file without telling it: two servers can see that they hold the same one.
    package var fingerprint: [UInt8] { Array(derive("fingerprint").prefix(8)) }

    /// 32 bytes: MAC key of page tokens.
    package var pageKey: [UInt8] { derive("page tokens") }

    /// 32 bytes: what the private records of the ledger are sealed under (docs/formats/ledger.md).
    package var ledgerRecordKey: [UInt8] { derive("ledger records") }

    /// 32 bytes: the seed of the key that signs a new ledger's checkpoints, the same on every node that keeps a copy.
    package var ledgerSigningSeed: [UInt8] { derive("ledger checkpoints") }

    /// `register` is the path the sealed bytes will stand under; the secret opens nowhere else.
    package func sealSecret(
        _ secret: [UInt8], register: String, using generator: inout some RandomNumberGenerator
    ) -> [UInt8] {
        SealedBox.seal(secret, register: register, key: derive("access key secrets"), using: &generator)
    }

    package func openSecret(_ sealed: [UInt8], register: String) throws(KeyError) -> [UInt8] {
        try SealedBox.open(sealed, register: register, key: derive("access key secrets"))
    }

    package func seal(
        _ key: CollectionKey, register: String, using generator: inout some RandomNumberGenerator
    ) -> [UInt8] {
        SealedBox.seal(key.bytes, register: register, key: derive("collection keys"), using: &generator)
    }

    package func openCollectionKey(_ sealed: [UInt8], register: String) throws(KeyError) -> CollectionKey {
        try CollectionKey(bytes: SealedBox.open(sealed, register: register, key: derive("collection keys")))
    }

    private func derive(_ purpose: String) -> [UInt8] { KeyDerivation.hkdf(bytes, purpose: purpose) }
}

/// HKDF-SHA256 with this project's `info`.
enum KeyDerivation {
    static func hkdf(_ key: [UInt8], purpose: String) -> [UInt8] {
        HKDF<SHA256>.deriveKey(
            inputKeyMaterial: SymmetricKey(data: key), info: Array("facet/v1/\(purpose)".utf8), outputByteCount: 32
        ).withUnsafeBytes { Array($0) }
    }
}
