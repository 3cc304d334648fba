package import FaceModel

/// What a record is about. Raw values are format (docs/formats/wal.md).
package enum RecordType: UInt8, Hashable, Sendable, CaseIterable {
    case epochStart = 1
    case put = 2
    case delete = 3
    case purge = 4
    case userIntent = 5
    case faceClaim = 6
    case userCommit = 7
    case bucketSplit = 8
    case shardSplit = 9
    case splitRelease = 10
    case splitAbort = 11
    case collectionClose = 12
    case config = 13
    case checkpoint = 14
    case noop = 15
    case leaf = 32
    case suspend = 33
    case resume = 34
    case revoke = 35
    case quota = 36
    case signedCheckpoint = 37
}

/// What a caller appends; the log gives it its position. At most `Limits.recordPayloadBytesMax` of payload.
package struct LogEntry: Hashable, Sendable {
    package var type: RecordType
    package var token: RequestToken
    package var payload: [UInt8]

    package init(type: RecordType, token: RequestToken, payload: [UInt8]) {
        self.type = type
        self.token = token
        self.payload = payload
    }
}

/// Entries of one epoch that follow one another; at least one.
package struct LogRun: Hashable, Sendable {
    package var epoch: Epoch
    package var entries: [LogEntry]

    package init(epoch: Epoch, entries: [LogEntry]) {
        self.epoch = epoch
        self.entries = entries
    }
}

/// An epoch and the position of its first record.
package struct LogEpochStart: Hashable, Sendable {
    package var epoch: Epoch
    package var first: LogIndex

    package init(epoch: Epoch, first: LogIndex) {
        self.epoch = epoch
        self.first = first
    }
}

/// A record as it stands in the log.
package struct LogRecord: Hashable, Sendable {
    package var lsn: LogIndex
    package var epoch: Epoch
    /// The highest lsn this replica's own `fdatasync` had covered when it wrote the record.
    package var batchDurable: LogIndex
    package var type: RecordType
    package var token: RequestToken
    package var payload: [UInt8]

    package init(
        lsn: LogIndex, epoch: Epoch, batchDurable: LogIndex, type: RecordType, token: RequestToken, payload: [UInt8]
    ) {
        self.lsn = lsn
        self.epoch = epoch
        self.batchDurable = batchDurable
        self.type = type
        self.token = token
        self.payload = payload
    }
}

/// Whose log this is; stands in every log segment's header.
package struct LogIdentity: Hashable, Sendable {
    package var tenant: TenantID
    package var collection: CollectionUID
    package var shard: ShardID
    package var replica: ReplicaID
    package var generation: Generation

    package init(
        tenant: TenantID, collection: CollectionUID, shard: ShardID, replica: ReplicaID, generation: Generation
    ) {
        self.tenant = tenant
        self.collection = collection
        self.shard = shard
        self.replica = replica
        self.generation = generation
    }
}
