package import FaceModel
package import StorageIO
package import VectorSearch

/// The segments of one replica and the manifest that names them. Owned by the replica's writer thread.
///
/// An error leaves the store as it was, and the disk in its old or its new state, both whole: a number is never used
/// twice while the store is open, and a file that any manifest may name is removed only after a newer one is durable.
package final class SegmentStore {
    package let directory: String
    package private(set) var manifest: Manifest
    /// By rising number.
    package private(set) var segments: [Segment]
    /// Segments that the manifest names and whose files are rotten beyond opening, and what is wrong with them: they are
    /// to be repaired, and none of their faces can be answered from meanwhile.
    package private(set) var lost: [UInt64: SegmentError]
    let mapsPlanes: Bool
    let files: any FileSystem
    /// At least the manifest's; ahead of it after a merge began or a write failed.
    private var nextNumber: UInt64
    private var obsolete: [String] = []

    private init(
        directory: String, manifest: Manifest, segments: [Segment], lost: [UInt64: SegmentError], mapsPlanes: Bool,
        files: any FileSystem
    ) {
        self.directory = directory
        self.mapsPlanes = mapsPlanes
        self.manifest = manifest
        self.segments = segments
        self.lost = lost
        self.files = files
        nextNumber = manifest.nextSegmentNumber
    }

    /// Opens the directory, or makes an empty one, reads and checks every segment that the manifest names, and removes
    /// the segment files it does not name. `mapsPlanes`: planes that not every search reads stay in the files.
    ///
    /// Throws for the first segment that is rotten, unless the owner `keepsLost` ones.
    package static func open(
        directory: String, identity: SegmentIdentity, mapsPlanes: Bool = false, keepsLost: Bool = false,
        on files: any FileSystem
    ) throws(SegmentError) -> SegmentStore {
        let manifest = try readManifest(directory, identity, files)
        // First, for a part that is missing should not be found after minutes of reading the others.
        if !keepsLost {
            for entry in manifest.segments { try requireFile(directory + "/" + entry.name, files) }
        }
        var segments: [Segment] = []
        var lost: [UInt64: SegmentError] = [:]
        for entry in manifest.segments {
            do throws(SegmentError) {
                segments.append(try open(entry, in: directory, identity, mapsPlanes: mapsPlanes, on: files))
            } catch {
                guard keepsLost, error.rottenSegment == entry.number else { throw error }
                lost[entry.number] = error
            }
        }
        let store = SegmentStore(
            directory: directory, manifest: manifest, segments: segments, lost: lost, mapsPlanes: mapsPlanes,
            files: files)
        try store.removeStrays()
        return store
    }

    private static func open(
        _ entry: Manifest.Entry, in directory: String, _ identity: SegmentIdentity, mapsPlanes: Bool,
        on files: any FileSystem
    ) throws(SegmentError) -> Segment {
        let path = directory + "/" + entry.name
        let segment = try Segment.open(
            path, identity: identity, number: entry.number, footerChecksum: entry.footerChecksum,
            mapsPlanes: mapsPlanes, on: files)
        guard segment.count == entry.rows, segment.fileBytes == entry.bytes else {
            throw .damaged(path: path, offset: 0, block: nil, reason: "not the file the manifest names")
        }
        return segment
    }

    private static func requireFile(_ path: String, _ files: any FileSystem) throws(SegmentError) {
        let exists: Bool
        do throws(FileError) { exists = try files.exists(path) } catch { throw .file(error) }
        if !exists { throw .missing(path: path) }
    }

    package var flushedThrough: LogIndex { manifest.flushedThrough }
    package var diskBytes: Int { manifest.segments.reduce(0) { $0 + $1.bytes } }

    /// The bytes of the manifest that names the present segments and no other.
    package var manifestBytes: [UInt8] { manifest.encoded() }

    // MARK: Flush

    /// Writes `rows`, in any order, to a new segment and swaps the manifest: when it returns they are durable and
    /// `flushedThrough` is `through`. No rows: no segment, only the manifest moves, and nil is returned.
    ///
    /// `through` is not below `flushedThrough`, ids are distinct, vectors finite; anything else is a programming error.
    package func flush(_ rows: [SegmentRow], through: LogIndex) throws(SegmentError) -> Segment? {
        precondition(through >= flushedThrough, "a flush goes forward")
        var next = manifest
        next.flushedThrough = through
        guard !rows.isEmpty else {
            try swap(next, segments)
            return nil
        }
        let (segment, checksum) = try write(rows.sorted(by: SegmentRow.precedes), through: through)
        next.insert(segment, footerChecksum: checksum)
        try swap(next, (segments + [segment]).sorted { $0.number < $1.number })
        return segment
    }

    private func write(_ sorted: [SegmentRow], through: LogIndex) throws(SegmentError) -> (Segment, UInt32) {
        // What failed before is out of the way first: a full disk is not filled further by trying again.
        try removeObsoleteFiles()
        let number = takeNumber()
        let file = SegmentFile(
            directory: directory, identity: manifest.identity, number: number, mapsPlanes: mapsPlanes, files: files)
        do {
            return try file.write(
                firstLSN: min(flushedThrough.next, through), lastLSN: through
            ) { writer throws(SegmentError) in
                for row in sorted { try writer.append(row) }
            }
        } catch {
            markUnused(number)
            throw error
        }
    }

    // MARK: Compaction

    /// Begins the merge of `inputs`, leaving out the rows that are `dead` now; the job may run on any thread while this
    /// store goes on. The caller merges a segment in one job at a time. Rows under a leaf that is `split` by now are
    /// written under the one that `rehome` says.
    package func beginCompaction(
        _ inputs: [UInt64], split: Set<LeafID> = [], rehome: @escaping CompactionJob.Rehoming = { leaf, _ in leaf },
        dead: (UInt64) -> RowBitmap
    ) -> CompactionJob {
        let chosen = segments.filter { inputs.contains($0.number) }
        precondition(chosen.count == inputs.count && !inputs.isEmpty, "a merge needs segments of this store")
        return CompactionJob(
            inputs: chosen, dead: chosen.map { dead($0.number) }, split: split, rehome: rehome, number: takeNumber(),
            identity: manifest.identity, directory: directory, mapsPlanes: mapsPlanes, files: files)
    }

    /// Swaps the manifest from the inputs to what they were merged into. The inputs' files go with
    /// `removeObsoleteFiles`, at once if the caller likes: snapshots that still hold the inputs need no file.
    package func install(_ merged: MergedSegment) throws(SegmentError) {
        let inputs = Set(merged.inputs)
        precondition(inputs.isSubset(of: numbers), "the inputs of a merge are in the store")
        var next = manifest
        next.segments.removeAll { inputs.contains($0.number) }
        if let segment = merged.segment { next.insert(segment, footerChecksum: merged.footerChecksum) }
        let names = manifest.segments.filter { inputs.contains($0.number) }.map(\.name)
        let kept = segments.filter { !inputs.contains($0.number) } + [merged.segment].compactMap { $0 }
        try swap(next, kept.sorted { $0.number < $1.number })
        for number in inputs { lost[number] = nil }
        obsolete += names
    }

    /// Writes rows of another shard's segment, but for those that are `left`, to a segment of this one; to none where no row
    /// remains. Rows under a leaf that is not `kept` are written under the one that `rehome` says. Long; durable, and named
    /// by the manifest, when it returns.
    package func copy(
        _ segment: Segment, leaving left: RowBitmap, kept: (LeafID) -> Bool, rehome: @escaping CompactionJob.Rehoming
    ) throws(SegmentError) -> Segment? {
        let moved = Set(segment.leaves.map(\.leaf).filter { !kept($0) })
        let job = CompactionJob(
            inputs: [segment], dead: [left], split: moved, rehome: rehome, number: takeNumber(),
            identity: manifest.identity, directory: directory, mapsPlanes: mapsPlanes, files: files)
        let merged = try job.merge()
        guard let copy = merged.segment else { return nil }
        var next = manifest
        next.insert(copy, footerChecksum: merged.footerChecksum)
        try swap(next, (segments + [copy]).sorted { $0.number < $1.number })
        return copy
    }

    /// The job failed or is not wanted: what it wrote goes with `removeObsoleteFiles`. Not for one that was given to
    /// `install`, whatever came of that.
    package func abandon(_ job: CompactionJob) { markUnused(job.number) }

    /// Removes the files of segments that were merged away or never finished. What could not be removed is tried again
    /// by the next call, or by the next open.
    package func removeObsoleteFiles() throws(SegmentError) {
        while let name = obsolete.last {
            let path = directory + "/" + name
            do {
                if try files.exists(path) { try files.remove(path) }
            } catch {
                throw .file(error)
            }
            obsolete.removeLast()
        }
    }

    // MARK: The manifest

    func takeNumber() -> UInt64 {
        defer { nextNumber += 1 }
        return nextNumber
    }

    /// No manifest ever named the number, so its files may go.
    func markUnused(_ number: UInt64) {
        let name = Manifest.name(number)
        obsolete += [name, name + AtomicFile.temporarySuffix]
    }

    private func swap(_ next: Manifest, _ segments: [Segment]) throws(SegmentError) {
        var next = next
        next.nextSegmentNumber = nextNumber
        try Self.write(next, directory, files)
        manifest = next
        self.segments = segments
    }
}

extension Manifest {
    fileprivate mutating func insert(_ segment: Segment, footerChecksum: UInt32) {
        segments.append(
            Entry(
                number: segment.number, bytes: segment.fileBytes, rows: segment.count, footerChecksum: footerChecksum))
        segments.sort { $0.number < $1.number }
    }
}
