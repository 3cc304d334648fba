package import FaceModel
import StorageIO

/// Removing records from either end.
extension Log {
    /// Removes log segments all of whose records stand before `index`, oldest first; the active one stays.
    package func truncate(before index: LogIndex) throws(LogError) {
        guard !failed else { throw .stopped }
        while segments.count > 1, segments[1].header.firstIndex <= index {
            do throws(FileError) {
                try files.remove(segments[0].path)
            } catch {
                throw .file(error)
            }
            segments.removeFirst()
            // One at a time: a later name that goes before an earlier one would leave a gap after a crash.
            try synchronizeNames()
        }
    }

    /// Removes every record from its beginning: the log holds none, and goes on where it went on before. Durable when it
    /// returns; `noSpace`: nothing is changed, and the same may succeed later.
    package func release() throws(LogError) {
        try synchronize()
        try startSegment(at: end, holding: [], size: Limits.walSegmentBytesMin)
        try truncate(before: lastIndex.next)
    }

    /// Removes every record behind `index`, which is at least `firstIndex` - 1 and at most `lastIndex`; durable when it
    /// returns, and the records as far as `index` are durable too. After a crash in between the log is as before or as
    /// after. `noSpace`: nothing is changed, and the same may succeed later. A record that cannot be read on the way is
    /// `lossProven`, and nothing is changed.
    package func truncate(after index: LogIndex) throws(LogError) {
        guard !failed else { throw .stopped }
        precondition(index.next >= firstIndex && index <= lastIndex, "an end that the log has or has had")
        guard index < lastIndex else { return try synchronize() }
        try synchronize()
        let place = try place(of: index.next)
        let superseded = segments.filter { $0.header.firstIndex > place.index }.map(\.path)
        try startSegment(at: place, holding: [], size: Limits.walSegmentBytesMin)
        try remove(superseded)
    }

    /// Removes log segments that another one supersedes, in any order: while one is there, so is what supersedes it.
    /// Where that fails the log stops, so that it never goes on beside them.
    func remove(_ superseded: [String]) throws(LogError) {
        guard !superseded.isEmpty else { return }
        for path in superseded {
            do throws(FileError) {
                try files.remove(path)
            } catch {
                failed = true
                throw .writeFailed(path: path, error)
            }
        }
        try synchronizeNames()
    }
}
