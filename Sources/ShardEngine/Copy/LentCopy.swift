import KeyHierarchy
import Replication
import SegmentStore
import StorageIO

/// The files that are lent, and what they are.
struct LentCopy: Sendable {
    let listing: CopyListing
    let files: [String: LentFile]

    /// `folder` is removed and made anew; when this returns nothing in it has a name any more.
    init(_ pin: ReplicaPin, number: UInt64, in folder: ShardFolder) throws(ReplicaError) {
        var files: [(name: String, file: LentFile)] = [
            (CopyNames.manifest, .bytes(pin.manifest)), (CopyNames.state, try Self.state(pin.state, in: folder)),
        ]
        for segment in pin.segments { files.append((CopyNames.segments + segment.name, .segment(segment))) }
        var listed: [CopyListing.File] = []
        for (name, file) in files {
            // What is rotten here must not become another copy's.
            try file.requireSound()
            let bytes = file.bytes
            let digest = try CopyDigest.of(bytes) { (count, offset) throws(ReplicaError) in
                try file.read(count, at: offset)
            }
            listed.append(CopyListing.File(name: name, bytes: bytes, digest: digest))
        }
        listing = CopyListing(number: number, end: pin.end, runs: pin.runs, files: listed)
        self.files = Dictionary(uniqueKeysWithValues: files.map { ($0.name, $0.file) })
    }

    private static func state(_ snapshot: StateSnapshot, in folder: ShardFolder) throws(ReplicaError) -> LentFile {
        let files = folder.files
        do throws(FileError) {
            if try files.exists(folder.path) { try files.removeDirectoryTree(folder.path) }
            try files.createDirectory(folder.path)
        } catch {
            throw .file(error)
        }
        try snapshot.write(to: folder.state)
        do throws(FileError) {
            let handle = try files.open(folder.state, .read)
            let bytes = try handle.size()
            try files.removeDirectoryTree(folder.path)
            return .handle(handle, bytes: bytes)
        } catch {
            throw .file(error)
        }
    }
}

/// One file that is lent; any number of threads may read it.
enum LentFile: Sendable {
    case bytes([UInt8])
    case segment(Segment)
    case handle(any FileHandle, bytes: Int)

    var bytes: Int {
        switch self {
        case .bytes(let bytes): bytes.count
        case .segment(let segment): segment.fileBytes
        case .handle(_, bytes: let bytes): bytes
        }
    }

    func requireSound() throws(ReplicaError) {
        guard case .segment(let segment) = self else { return }
        do throws(SegmentError) { try segment.check(fromDisk: false) { _ in true } } catch { throw .segments(error) }
    }

    func read(_ count: Int, at offset: Int) throws(ReplicaError) -> [UInt8] {
        switch self {
        case .bytes(let bytes): return Array(bytes[offset..<offset + count])
        case .segment(let segment):
            do throws(SegmentError) { return try segment.bytes(count, at: offset) } catch { throw .segments(error) }
        case .handle(let handle, bytes: _):
            do throws(FileError) { return try handle.read(count: count, at: offset) } catch { throw .file(error) }
        }
    }
}

/// Names of a copy's files below the shard's folder.
enum CopyNames {
    static let state = "state.sqlite"
    static let segments = "segments/"
    static let manifest = segments + Manifest.fileName

    /// Whether a name that another node sent may be one of a copy's files.
    static func isKnown(_ name: String) -> Bool {
        name == state || name == manifest
            || (name.hasPrefix(segments) && Manifest.isSegment(String(name.dropFirst(segments.count))))
    }
}

/// SHA-256 over the SHA-256 of each chunk of a file.
enum CopyDigest {
    static func sum(_ bytes: [UInt8]) -> [UInt8] { KeyedHash.sha256(bytes) }

    static func of<Failure: Error>(
        _ bytes: Int, _ read: (_ count: Int, _ offset: Int) throws(Failure) -> [UInt8]
    ) throws(Failure) -> [UInt8] {
        var sums: [UInt8] = []
        for chunk in CopyListing.File(name: "", bytes: bytes, digest: []).chunks {
            sums += sum(try read(chunk.bytes, chunk.offset))
        }
        return sum(sums)
    }
}
