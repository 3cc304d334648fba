package import FaceModel

/// What a replica's files are at one moment: what another is built from.
package struct CopyListing: Hashable, Sendable {
    package struct File: Hashable, Sendable {
        /// Below the shard's folder.
        package var name: String
        package var bytes: Int
        /// SHA-256 over the SHA-256 of each chunk, in order.
        package var digest: [UInt8]

        package init(name: String, bytes: Int, digest: [UInt8]) {
            self.name = name
            self.bytes = bytes
            self.digest = digest
        }

        /// Where its chunks begin, and how long each is.
        package var chunks: [(offset: Int, bytes: Int)] {
            stride(from: 0, to: bytes, by: CopyListing.chunkBytes).map {
                ($0, min(CopyListing.chunkBytes, bytes - $0))
            }
        }
    }

    /// Of every chunk of a file but the last: so many fit a frame between nodes, with room.
    package static let chunkBytes = 4 << 20

    /// Tells this state of the files from others of the same source.
    package var number: UInt64
    /// Every record as far as this is in the files, and none behind it.
    package var end: LogPoint
    /// Where the epochs of those records began, as far as the source knows; rising in both fields.
    package var runs: [LogOutline.Run]
    package var files: [File]

    package init(number: UInt64, end: LogPoint, runs: [LogOutline.Run], files: [File]) {
        self.number = number
        self.end = end
        self.runs = runs
        self.files = files
    }
}

/// A part of a file of a listing.
package struct CopyChunk: Hashable, Sendable {
    /// The listing's.
    package var number: UInt64
    package var file: String
    package var offset: Int
    package var bytes: Int

    package init(number: UInt64, file: String, offset: Int, bytes: Int) {
        self.number = number
        self.file = file
        self.offset = offset
        self.bytes = bytes
    }
}

/// The way to the files of other nodes' replicas. Whatever fails is nil: the asker begins again.
package protocol CopySource: Sendable {
    /// The files of the node's replica of the shard, held for `receiver` until it releases them, or asks for nothing for
    /// long. Nil while they are being made ready, while another receiver has them, and where there are none to be had.
    func listing(
        of shard: ShardID, on node: NodeID, for receiver: ReplicaID, deadline: ContinuousClock.Instant
    ) async -> CopyListing?
    /// Nil where what the chunk is of is no longer held.
    func read(
        _ chunk: CopyChunk, of shard: ShardID, on node: NodeID, deadline: ContinuousClock.Instant
    ) async -> [UInt8]?
    func release(_ number: UInt64, of shard: ShardID, on node: NodeID) async
    /// Faces that the node's replica of the shard has, each as a record of its log had it: those of `faces` that live there
    /// and can be read. Nil where the node does not answer.
    func rows(
        of faces: [FaceID], _ shard: ShardID, on node: NodeID, deadline: ContinuousClock.Instant
    ) async -> [[UInt8]]?
}

/// A node's files, as others reach them.
package protocol CopyHost: Sendable {
    func listing(of shard: ShardID, for receiver: ReplicaID) async -> CopyListing?
    func read(_ chunk: CopyChunk, of shard: ShardID) async -> [UInt8]?
    func release(_ number: UInt64, of shard: ShardID) async
    func rows(of faces: [FaceID], _ shard: ShardID) async -> [[UInt8]]?
}
