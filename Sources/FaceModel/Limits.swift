/// Every bound of the system. At a bound Facet refuses with a named error; nothing grows without one.
package enum Limits {
    // Requests.
    package static let requestBytesMax = 16 << 20
    package static let imageBytesMax = 5_242_880
    package static let imageSidePixelsMax = 10_000
    package static let imagePixelsMax = 50_000_000
    package static let facesPerImage = 100
    package static let candidatesMax = 4_096
    package static let candidatesDefault = 80
    package static let pageSizeMax = 4_096
    package static let pageSizeDefault = 1_000
    package static let deleteFacesMax = 4_096
    package static let vectorsPerRequestMax = 1_000
    package static let headerTextBytesMax = 512
    /// A session that has seen twice as many shards as a collection may have.
    package static let sessionTextBytesMax = 20_000
    /// How old a bounded read may be, at most.
    package static let readBoundMillisecondsMax = 3_600_000
    package static let clockSkewSecondsMax = 300
    package static let requestDeadlineSeconds = 30
    /// Searches of one batch, and the candidates they may ask for together: so many fit a frame between processes.
    package static let searchesPerRequestMax = 64
    package static let candidatesPerRequestMax = 65_536
    package static let requestsInFlightMax = 256
    // Vectors.
    package static let dimensionRange = 64...2_048
    package static let normMin: Float = 1e-6
    // Buckets.
    /// Buckets a search may name, buckets of a page, and faces of a sample, which carry vectors and so must fit a frame.
    package static let bucketsPerSearchMax = 65_536
    package static let bucketsPageMax = 2_048
    package static let sampleFacesMax = 2_048
    /// What a coordinator waits for a collection's buckets, and again for its sample; and how many collections' it keeps.
    package static let bucketsDeadlineSeconds = 5
    package static let bucketDirectoriesMax = 64
    // Log.
    package static let recordPayloadBytesMax = 1 << 20
    package static let batchBytesMax = 1 << 20
    package static let logInboxMax = 1_024
    package static let walSegmentBytesMin = 1 << 20
    package static let walSegmentBytesMax = 64 << 20
    package static let idleConfirmMilliseconds = 50
    // Copies of a shard.
    /// Records of one letter between copies, about; their frame has room for more.
    package static let replicaLetterBytes = 3 << 20
    /// Newest records that a copy keeps in memory for others that lag a little, and behind which the log is cut.
    package static let replicaRecordsKeptBytes = 1 << 20
    package static let logRecordsKeptForCopies = 262_144
    /// Copies of a shard compare what they hold so long after a change: often enough that what differs is found while the
    /// logs still hold how it came about, and next to nothing beside the writes.
    package static let checkpointDelaySeconds = 30
    /// A batch that changes nothing is answered once the other copies confirm that nothing was decided without this one.
    package static let confirmSecondsMax = 10
    /// Records within which a write that is asked again is answered as it was the first time.
    package static let requestsRemembered: UInt64 = 1 << 20
    /// Of log positions, epochs, versions and counts that come from elsewhere: far from where arithmetic ends.
    package static let positionMax: UInt64 = 1 << 62
    // Segments.
    package static let bufferFacesMax = 8_192
    /// From here the buffer is made a segment; between here and the maximum one more batch fits.
    package static let bufferFacesFlush = 4_096
    /// Puts of one batch: `batchBytesMax` over the smallest put, and the request that crosses that line.
    package static let batchFacesMax = 4_096
    package static let segmentFacesMax = 1 << 20
    package static let vectorsPerBlock = 4
    package static let recordsPerBlock = 256
    // Collections.
    package static let collectionsPerTenantMax = 10_000
    package static let shardsPerCollectionMax = 256
    // Fan-out.
    /// How often one request asks one shard that has just been opened for it.
    package static let openingsPerShardMax = 8
    /// How often one request reads the map again because a shard says that it owns something else.
    package static let mapReadsPerRequestMax = 64
    package static let mapReadPauseMillisecondsMax = 500
    /// What a search keeps of its time for the ledger entry of its result.
    package static let resultEntryMilliseconds = 500
    package static let statusDeadlineMilliseconds = 1_000
    // Suspensions and revoked keys.
    /// How long what the ledger said of them is answered by, counted from asking; and how often it is asked.
    package static let standingMilliseconds = 1_000
    package static let standingAskMilliseconds = 300
    /// What a request waits for it, of its own time: longer than another copy takes to decide for the ledger.
    package static let standingWaitMilliseconds = 5_000
    /// How often revocations that stand in the registers alone are put into the ledger.
    package static let revocationSweepMilliseconds = 500
    package static let orderReasonBytesMax = 256
    /// Shards that a status, a start or a sweep asks at a time.
    package static let backgroundAsksMax = 64
}
