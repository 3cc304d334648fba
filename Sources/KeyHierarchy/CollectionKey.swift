/// One collection's secret: 32 random bytes that live sealed in its register. Destroying it makes rotation and ids
/// underivable.
package struct CollectionKey: Sendable, CustomStringConvertible {
    package static let byteCount = 32
    let bytes: [UInt8]

    package init(bytes: [UInt8]) throws(KeyError) {
        guard bytes.count == Self.byteCount else { throw .wrongLength(expected: Self.byteCount, got: bytes.count) }
        self.bytes = bytes
    }

    private init(trusted bytes: [UInt8]) { self.bytes = bytes }

    package static func random(using generator: inout some RandomNumberGenerator) -> CollectionKey {
        CollectionKey(
            trusted: (0..<byteCount).map { _ in UInt8.random(in: .min ... .max, using: &generator) })
    }

    package var description: String { "CollectionKey" }

    /// 32 bytes: seed of the secret rotation (search.md).
    package var rotationSeed: [UInt8] { KeyDerivation.hkdf(bytes, purpose: "collection rotation") }
    /// 32 bytes: seed of the anchors that spread the collection's faces over its shards.
    package var anchorSeed: [UInt8] { KeyDerivation.hkdf(bytes, purpose: "collection anchors") }
    /// 32 bytes: HMAC key of face keys, face ids and image ids. Re-keying never renews it.
    package var idKey: [UInt8] { KeyDerivation.hkdf(bytes, purpose: "collection ids") }
    /// 32 bytes: wraps the keys of the collection's replicas.
    package var wrapKey: [UInt8] { KeyDerivation.hkdf(bytes, purpose: "collection wrap") }
}
