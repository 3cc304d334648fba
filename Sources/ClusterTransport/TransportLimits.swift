import FaceModel

/// The bounds of the wire that belong to its format (docs/formats/frames.md).
enum TransportLimits {
    /// Of a frame's `length`: its header after that field, and its body.
    static let frameBytesMax = 32 << 20
    /// The same before the peer has said hello.
    static let helloBytesMax = 4_096
    static let remainingMillisecondsMax: UInt64 = 3_600_000
    static let rootsMax = 4_096
    static let textBytesMax = 4_096
    static let landmarksMax = 255
    static let ledgerLeavesMax = 1_024
    static let inclusionPathMax = 64
    static let suspendedMax = 65_536
    static let revokedMax = 1 << 20
    /// Of a ledger's private record, and of a record's payload in a letter.
    static let recordBytesMax = Limits.recordPayloadBytesMax
    // Of letters between replicas.
    static let lettersMax = 1_024
    /// A letter alone fits a frame; the rest is the request's own.
    static let letterBytesMax = frameBytesMax - 1_024
    static let recordsMax = 4_096
    /// Of a shard.
    static let replicasMax = 64
    /// Of a copy's listing, and of the name of one of them.
    static let copyFilesMax = 300_000
    static let fileNameBytesMax = 64
    /// Copies that a node says it holds.
    static let heldCopiesMax = 65_536
}
