import Crypto
package import FaceModel

/// A word on who may use the service: a leaf of the ledger like a search's, judged in the order of the log.
package struct StandingOrder: Hashable, Sendable {
    package enum Act: Hashable, Sendable {
        /// Nothing of the account is read, written or searched behind it.
        case suspend
        case resume
        /// Nothing that the key signs is answered behind it. Final.
        case revoke(AccessKeyID)
    }

    private static let revocationLabel = "facet revoked key v1"

    /// Its name in the ledger, where a search has its own; that of a revocation follows from the key.
    package let id: SearchID
    package var time: Timestamp
    /// The account it is about.
    package var tenant: TenantID
    package let act: Act
    /// Who gave it; nil for what a coordinator carried over from the registers.
    package var accessKey: AccessKeyID?
    package var person: String?
    /// 1 ... `Limits.orderReasonBytesMax` bytes of UTF-8.
    package var reason: String

    /// `id` names a suspension or its end; a revocation takes no notice of it.
    package init(
        _ act: Act, of tenant: TenantID, id: SearchID, time: Timestamp, accessKey: AccessKeyID?, person: String?,
        reason: String
    ) {
        if case .revoke(let key) = act { self.id = Self.id(revoking: key) } else { self.id = id }
        self.time = time
        self.tenant = tenant
        self.act = act
        self.accessKey = accessKey
        self.person = person
        self.reason = reason
    }

    /// The first 16 bytes of SHA-256("facet revoked key v1" ‖ key): a leaf says which key is revoked to whoever knows it.
    package static func id(revoking key: AccessKeyID) -> SearchID {
        SearchID(Bits128(bigEndian: Array(SHA256.hash(data: Array(revocationLabel.utf8) + Array(key.text.utf8)))))
    }

    package var kind: Leaf.Kind {
        switch act {
        case .suspend: .suspend
        case .resume: .resume
        case .revoke: .revoke
        }
    }
}
