import StorageIO

/// When a filling disk refuses what, so that deletes and the ledger still have room when enrolment has none.
enum DiskSpace {
    /// Free space below which a request is refused: a share of the disk, but never more than `bytes`, since what merges,
    /// logs and the ledger need does not grow with the disk.
    struct Reserve {
        var share: Double
        var bytes: Int

        func isTouched(by space: DiskCapacity) -> Bool {
            Double(space.free) < min(share * Double(space.total), Double(bytes))
        }
    }

    /// Seconds between two looks for space on a disk that was full.
    static let pause = 0.2
    static let enrolments = Reserve(share: 0.15, bytes: 8 << 30)
    static let deletes = Reserve(share: 0.08, bytes: 4 << 30)

    /// Nil while the disk has room for the request.
    static func refusal(at path: String, enrolling: Bool, on files: any FileSystem) -> String? {
        do {
            let space = try files.space(at: path)
            let reserve = enrolling ? enrolments : deletes
            guard reserve.isTouched(by: space) else { return nil }
            return """
                the disk of \(path) has \(space.free >> 20) MiB of \(space.total >> 20) MiB free; \
                \(enrolling ? "enrolments" : "deletes") are refused below \
                \(Int(reserve.share * 100)) % or \(reserve.bytes >> 30) GiB, whichever is less
                """
        } catch {
            return "the disk of \(path) does not tell its free space: \(error)"
        }
    }
}
