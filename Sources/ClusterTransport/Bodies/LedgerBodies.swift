import AuditLedger
import FaceModel
import Foundation

/// A request to the ledger as the node hands it on.
enum LedgerRequest: Sendable {
    case append(LedgerEntry)
    case record(SearchID, tenant: TenantID)
    case status
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
