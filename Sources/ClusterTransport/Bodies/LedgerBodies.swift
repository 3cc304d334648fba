import AuditLedger
import FaceModel
import Foundation

/// A request to the ledger as the node hands it on.
enum LedgerRequest: Sendable {
    case append(LedgerEntry)
    case record(SearchID, tenant: TenantID)
    case status
    /// `known`: the number of orders that the asker knows.
    case standing(known: UInt64)
}

extension WireAppendRequest {
    init(_ entry: LedgerEntry, _ call: WireCall) {
        self.init()
        self.call = call
        self.entry = Data(PrivateRecord.encode(entry))
    }

    func domain() throws(BodyError) -> LedgerRequest {
        guard entry.count <= TransportLimits.recordBytesMax, let entry = PrivateRecord.decode(Array(entry)) else {
            throw BodyError("entry", "no private record of a version this node reads")
        }
        return .append(entry)
    }
}

extension WireRecordRequest {
    init(_ search: SearchID, tenant: TenantID, _ call: WireCall) {
        self.init()
        self.call = call
        self.search = FieldBytes.id(search)
        self.tenant = tenant.text
    }

    func domain() throws(BodyError) -> LedgerRequest {
        guard let tenant = TenantID(tenant) else { throw BodyError("tenant", "no account of 12 digits") }
        return .record(try Fields.id(search, "search"), tenant: tenant)
    }
}

extension WireRecordAnswer {
    init(_ record: SearchRecord?) {
        self.init()
        guard let record else { return }
        found = true
        if let intent = record.intent { self.intent = Data(PrivateRecord.encode(.intent(intent))) }
        if let result = record.result { self.result = Data(PrivateRecord.encode(.result(result))) }
        if let order = record.order { self.order = Data(PrivateRecord.encode(.order(order))) }
        leaves = record.leaves.map(WireLeafProof.init)
    }

    func domain() throws(BodyError) -> SearchRecord? {
        guard found else { return nil }
        guard leaves.count <= TransportLimits.ledgerLeavesMax else {
            throw BodyError("leaves", "\(leaves.count); \(TransportLimits.ledgerLeavesMax) at most")
        }
        var record = SearchRecord(intent: nil, result: nil, leaves: [])
        if !intent.isEmpty {
            guard case .intent(let intent)? = PrivateRecord.decode(Array(intent)) else {
                throw BodyError("intent", "no private record of an intent")
            }
            record.intent = intent
        }
        if !result.isEmpty {
            guard case .result(let result)? = PrivateRecord.decode(Array(result)) else {
                throw BodyError("result", "no private record of a result")
            }
            record.result = result
        }
        if !order.isEmpty {
            guard case .order(let order)? = PrivateRecord.decode(Array(order)) else {
                throw BodyError("order", "no private record of an order")
            }
            record.order = order
        }
        for (index, leaf) in leaves.enumerated() { record.leaves.append(try leaf.domain("leaves[\(index)]")) }
        return record
    }
}

extension WireLeafProof {
    init(_ proof: LeafProof) {
        self.init()
        index = proof.index
        leaf = Data(proof.leaf)
        path = Data(proof.path.joined())
        treeSize = proof.treeSize
        rootHash = Data(proof.rootHash)
        checkpoint = proof.checkpoint
    }

    func domain(_ field: String) throws(BodyError) -> LeafProof {
        guard leaf.count == Leaf.byteCount else { throw BodyError("\(field).leaf", "\(leaf.count) bytes") }
        let hash = MerkleHash.byteCount
        guard path.count.isMultiple(of: hash), path.count / hash <= TransportLimits.inclusionPathMax else {
            throw BodyError("\(field).path", "\(path.count) bytes")
        }
        guard rootHash.count == hash else { throw BodyError("\(field).root_hash", "\(rootHash.count) bytes") }
        let bytes = Array(path)
        return LeafProof(
            index: index, leaf: Array(leaf),
            path: stride(from: 0, to: bytes.count, by: hash).map { Array(bytes[$0..<$0 + hash]) }, treeSize: treeSize,
            rootHash: Array(rootHash), checkpoint: try Fields.text(checkpoint, "\(field).checkpoint"))
    }
}

extension WireLedgerStatusAnswer {
    init(_ status: LedgerStatus) {
        self.init()
        treeSize = status.treeSize
        rootHash = Data(status.rootHash)
        verifierKey = status.verifierKey
        if let reason = status.refusing { refusing = FieldBytes.text(reason) }
    }

    func domain() throws(BodyError) -> LedgerStatus {
        guard rootHash.count == MerkleHash.byteCount else {
            throw BodyError("root_hash", "\(rootHash.count) bytes")
        }
        return LedgerStatus(
            treeSize: treeSize, rootHash: Array(rootHash), verifierKey: try Fields.text(verifierKey, "verifier_key"),
            refusing: hasRefusing ? try Fields.text(refusing, "refusing") : nil)
    }
}

extension WireStandingAnswer {
    /// Short where the asker knows it all.
    init(_ standing: Standing, known: UInt64) {
        self.init()
        orders = standing.orders
        guard standing.orders != known else { return }
        suspended = standing.suspended.sorted { $0.key.text < $1.key.text }.map { tenant, suspension in
            .with {
                $0.tenant = tenant.text
                $0.sinceMilliseconds = suspension.since.milliseconds
                $0.leaf = suspension.leaf
            }
        }
        revoked = Data(standing.revoked.sorted().flatMap(\.bits.bytes))
    }

    /// `known` is what the asker said it knows.
    func domain(known: Standing) throws(BodyError) -> Standing {
        guard orders != known.orders else { return known }
        guard suspended.count <= TransportLimits.suspendedMax else {
            throw BodyError("suspended", "\(suspended.count); \(TransportLimits.suspendedMax) at most")
        }
        let idBytes = 16
        guard revoked.count.isMultiple(of: idBytes), revoked.count / idBytes <= TransportLimits.revokedMax else {
            throw BodyError("revoked", "\(revoked.count) bytes")
        }
        var accounts: [TenantID: Standing.Suspension] = [:]
        for account in suspended {
            guard let tenant = TenantID(account.tenant) else { throw BodyError("tenant", "no account of 12 digits") }
            accounts[tenant] = Standing.Suspension(
                leaf: account.leaf, since: Timestamp(milliseconds: account.sinceMilliseconds))
        }
        let bytes = Array(revoked)
        let keys = stride(from: 0, to: bytes.count, by: idBytes).map {
            SearchID(Bits128(bigEndian: bytes[$0..<$0 + idBytes]))
        }
        return Standing(orders: orders, suspended: accounts, revoked: Set(keys))
    }
}
