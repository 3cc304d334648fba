import StorageIO

/// When a filling disk refuses what, so that deletes and the ledger still have room when enrolment has none.
enum DiskSpace {
    /// Shares of the disk in use from which enrolments, then deletes, are refused (replication.md, "Start, damage").
    private static let enrolmentsRefusedFrom = 0.85
    private static let deletesRefusedFrom = 0.92

    /// Nil while the disk has room for the request.
    static func refusal(at path: String, enrolling: Bool, on files: any FileSystem) -> String? {
        do {
            let space = try files.space(at: path)
            let used = space.used
            let limit = enrolling ? enrolmentsRefusedFrom : deletesRefusedFrom
            guard used >= limit else { return nil }
            let what = enrolling ? "enrolments" : "deletes"
            return "the disk of \(path) is \(Int(used * 100)) % full; \(what) are refused from \(Int(limit * 100)) %"
        } catch {
            return "the disk of \(path) does not tell its free space: \(error)"
        }
    }
}
