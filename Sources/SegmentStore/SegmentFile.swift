import FaceModel
import StorageIO

/// A segment about to be written: temporary name, all bytes, sync, rename, directory sync, and read back.
struct SegmentFile {
    let directory: String
    let identity: SegmentIdentity
    let number: UInt64
    let mapsPlanes: Bool
    let files: any FileSystem

    /// The segment as read back from the file, and its footer's checksum for the manifest.
    func write(
        firstLSN: LogIndex, lastLSN: LogIndex, rows: (inout SegmentWriter) throws(SegmentError) -> Void
    ) throws(SegmentError) -> (Segment, UInt32) {
        let path = directory + "/" + Manifest.name(number)
        let checksum = try writeTemporary(path + AtomicFile.temporarySuffix, firstLSN, lastLSN, rows)
        do {
            try files.rename(path + AtomicFile.temporarySuffix, to: path)
            try files.synchronizeDirectory(directory)
        } catch {
            throw .file(error)
        }
        let segment = try Segment.open(
            path, identity: identity, number: number, footerChecksum: checksum, mapsPlanes: mapsPlanes, on: files)
        return (segment, checksum)
    }

    private func writeTemporary(
        _ path: String, _ firstLSN: LogIndex, _ lastLSN: LogIndex,
        _ rows: (inout SegmentWriter) throws(SegmentError) -> Void
    ) throws(SegmentError) -> UInt32 {
        let file: any FileHandle
        do { file = try files.open(path, .createNew) } catch { throw .file(error) }
        defer { file.close() }
        var writer = SegmentWriter(file, identity: identity, number: number)
        try rows(&writer)
        let checksum = try writer.finish(firstLSN: firstLSN, lastLSN: lastLSN).checksum
        do { try file.synchronize() } catch { throw .file(error) }
        return checksum
    }
}
