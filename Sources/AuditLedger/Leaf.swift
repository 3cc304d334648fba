package import FaceModel

/// One entry of the public tree, 72 bytes, final (docs/formats/ledger.md):
/// ```
///  0 u8 version 1   1 u8 kind   2 u16 zero   4 12 B tenant   16 16 B search id   32 i64 milliseconds
/// 40 32 B commitment = SHA-256(label ‖ salt ‖ private record)
/// ```
package struct Leaf: Hashable, Sendable {
    package enum Kind: UInt8, Hashable, Sendable, CaseIterable {
        case intent = 1
        case result = 2
        // Orders: `search` is the order's id, which for a revocation follows from the key.
        case suspend = 3
        case resume = 4
        case revoke = 5
    }

    package static let byteCount = 72
    /// Where the search id stands.
    package static let searchRange = 16..<32
    private static let version: UInt8 = 1

    package var kind: Kind
    package var tenant: TenantID
    package var search: SearchID
    package var time: Timestamp
    /// 32 bytes.
    package var commitment: [UInt8]

    init(kind: Kind, tenant: TenantID, search: SearchID, time: Timestamp, commitment: [UInt8]) {
        self.kind = kind
        self.tenant = tenant
        self.search = search
        self.time = time
        self.commitment = commitment
    }

    package var bytes: [UInt8] {
        var writer = LedgerWriter()
        writer.put(Self.version)
        writer.put(kind.rawValue)
        writer.put(UInt16(0))
        writer.put(bytes: Array(tenant.text.utf8))
        writer.put(bytes: search.bits.bytes)
        writer.put(time.milliseconds)
        writer.put(bytes: commitment)
        return writer.bytes
    }

    /// Nil for anything but exactly one leaf of this version.
    package init?(bytes: [UInt8]) {
        var reader = LedgerReader(bytes)
        guard bytes.count == Self.byteCount, reader.integer(UInt8.self) == Self.version,
            let kind = reader.integer(UInt8.self).flatMap(Kind.init), reader.integer(UInt16.self) == 0,
            let tenant = reader.take(12).flatMap({ TenantID(String(decoding: $0, as: UTF8.self)) }),
            let search = reader.take(16), let time = reader.integer(Int64.self), let commitment = reader.take(32)
        else { return nil }
        self.init(
            kind: kind, tenant: tenant, search: SearchID(Bits128(bigEndian: search)),
            time: Timestamp(milliseconds: time), commitment: commitment)
    }
}
