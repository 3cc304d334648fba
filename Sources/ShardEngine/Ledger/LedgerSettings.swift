package import FaceModel

/// Where a copy of the ledger stands and whose it is.
package struct LedgerSettings: Sendable {
    /// `<data>/ledger`.
    package var directory: String
    /// The cluster's id: names the ledger's shard, and the origin of its checkpoints.
    package var cluster: Bits128
    /// This copy's; the one that began the ledger has the cluster's id.
    package var replica: ReplicaID
    /// File of the Ed25519 key, mode 0600; made when there is neither a key nor a ledger yet.
    package var signingKeyPath: String
    /// 32 bytes from which that key is made, so that every copy makes the same; nil makes it of chance.
    package var signingSeed: [UInt8]?
    /// 32 bytes: `MasterKey.ledgerRecordKey`.
    package var recordKey: [UInt8]

    package init(
        directory: String, cluster: Bits128, replica: ReplicaID? = nil, signingKeyPath: String,
        signingSeed: [UInt8]? = nil, recordKey: [UInt8]
    ) {
        self.directory = directory
        self.cluster = cluster
        self.replica = replica ?? ReplicaID(cluster)
        self.signingKeyPath = signingKeyPath
        self.signingSeed = signingSeed
        self.recordKey = recordKey
    }

    /// Origin of the checkpoints and name of the key.
    package var name: String { "facet-ledger/\(cluster.text)" }
}
