package import FaceModel

/// Who may not use the service, as a prefix of the ledger's leaves says. It follows from the leaves alone, so it is found
/// again from tiles, on every copy the same, and by auditors without any key.
package struct Standing: Hashable, Sendable {
    package struct Suspension: Hashable, Sendable {
        /// The index of the leaf that says so.
        package var leaf: UInt64
        package var since: Timestamp
        package init(leaf: UInt64, since: Timestamp) {
            self.leaf = leaf
            self.since = since
        }
    }

    package private(set) var suspended: [TenantID: Suspension]
    /// `StandingOrder.id(revoking:)` of each key.
    package private(set) var revoked: Set<SearchID>
    /// How many orders were judged: of one ledger, equal numbers are equal standings.
    package private(set) var orders: UInt64

    package init(orders: UInt64 = 0, suspended: [TenantID: Suspension] = [:], revoked: Set<SearchID> = []) {
        self.orders = orders
        self.suspended = suspended
        self.revoked = revoked
    }

    package func isRevoked(_ key: AccessKeyID) -> Bool { revoked.contains(StandingOrder.id(revoking: key)) }

    /// The next leaf of the ledger, which changes nothing unless it is an order.
    package mutating func take(_ leaf: Leaf, at index: UInt64) {
        take(leaf.kind, leaf.search, of: leaf.tenant, Suspension(leaf: index, since: leaf.time))
    }

    /// The same of an order whose leaf is not at hand.
    package mutating func take(_ order: StandingOrder, at index: UInt64) {
        take(order.kind, order.id, of: order.tenant, Suspension(leaf: index, since: order.time))
    }

    private mutating func take(_ kind: Leaf.Kind, _ id: SearchID, of tenant: TenantID, _ suspension: Suspension) {
        switch kind {
        case .intent, .result: return
        case .suspend:
            // The first of several stands.
            if suspended[tenant] == nil { suspended[tenant] = suspension }
        case .resume: suspended[tenant] = nil
        case .revoke: revoked.insert(id)
        }
        orders += 1
    }

    /// The same from a leaf's bytes, as a tile holds them.
    mutating func take(bytes: [UInt8], at index: UInt64) {
        // Most leaves are of searches; the second byte says so.
        guard bytes.count > 1, bytes[1] > Leaf.Kind.result.rawValue, let leaf = Leaf(bytes: bytes) else { return }
        take(leaf, at: index)
    }

    /// The suspension behind which the leaf cannot stand; nil where there is none. Orders stand always: whoever is
    /// suspended must be resumed.
    package func suspension(forbidding leaf: Leaf) -> Suspension? {
        leaf.kind == .intent || leaf.kind == .result ? suspended[leaf.tenant] : nil
    }

    /// Why the entry is not taken here; nil where it is. Only an intent and an order say which key asks.
    package func refusal(of entry: LedgerEntry) -> LedgerError? {
        switch entry {
        case .intent(let intent): refusal(of: intent.tenant, key: intent.accessKey)
        case .result(let result): refusal(of: result.tenant, key: nil)
        case .order(let order): order.accessKey.map(isRevoked) == true ? .keyRevoked : nil
        }
    }

    /// Why nothing is read, written or searched for the account now, asked with that key; nil where it is.
    package func refusal(of tenant: TenantID, key: AccessKeyID?) -> LedgerError? {
        if let key, isRevoked(key) { return .keyRevoked }
        return suspended[tenant].map { .suspended(since: $0.since) }
    }
}
