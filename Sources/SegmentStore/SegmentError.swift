package import StorageIO

/// What a segment directory could not do.
package enum SegmentError: Error, Hashable, Sendable {
    case file(FileError)
    /// The bytes are not what was written: never answered from. `offset` counts from the file's start, `block` within a
    /// column; nil outside of blocks.
    case damaged(path: String, offset: Int, block: Int?, reason: String)
    /// Written by a newer version, or with data this one must not leave out.
    case newerFormat(path: String, found: Int, supported: Int)
    /// The file belongs to another tenant, collection, shard, key, dimension or segment number.
    case wrongIdentity(path: String, field: String)
    /// The manifest names a file that is not there.
    case missing(path: String)
    /// Segments without a manifest: nothing was removed.
    case manifestMissing(directory: String)
    /// More rows than `Limits.segmentFacesMax`.
    case tooManyRows(count: Int, limit: Int)
    /// The buffer holds `Limits.bufferFacesMax` faces: flush first.
    case bufferFull(limit: Int)
}
