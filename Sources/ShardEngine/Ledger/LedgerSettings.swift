package import FaceModel

/// Where a ledger stands and whose it is.
package struct LedgerSettings: Sendable {
    /// `<data>/ledger`.
    package var directory: String
    /// The cluster's id: names the ledger's shard, and the origin of its checkpoints.
    package var cluster: Bits128
    /// File of the Ed25519 key, mode 0600; made when there is neither a key nor a ledger yet.
    package var signingKeyPath: String
    /// 32 bytes: `MasterKey.ledgerRecordKey`.
    package var recordKey: [UInt8]

    package init(directory: String, cluster: Bits128, signingKeyPath: String, recordKey: [UInt8]) {
        self.directory = directory
        self.cluster = cluster
        self.signingKeyPath = signingKeyPath
        self.recordKey = recordKey
    }

    /// Origin of the checkpoints and name of the key.
    package var name: String { "facet-ledger/\(cluster.text)" }
}
