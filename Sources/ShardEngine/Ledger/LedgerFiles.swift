import AuditLedger
import FaceModel
import StorageIO

/// The ledger's directory: which file stands where, and how it is read and written.
struct LedgerFiles: Sendable {
    private static let smallBytesMax = 4_096
    /// 256 records at the log's limit, and their lengths.
    private static let bundleBytesMax = 256 * (Limits.recordPayloadBytesMax + 16)

    let directory: String
    let files: any FileSystem

    var walDirectory: String { directory + "/wal" }
    var checkpointPath: String { directory + "/checkpoint" }
    var verifierKeyPath: String { directory + "/verifier-key" }

    func path(of tile: LedgerTile) -> String { directory + "/" + tile.path }

    func exists(_ tile: LedgerTile) throws(FileError) -> Bool { try files.exists(path(of: tile)) }

    func read(_ tile: LedgerTile) throws(FileError) -> [UInt8] {
        try AtomicFile.read(path(of: tile), on: files, limit: Self.bundleBytesMax)
    }

    /// A part of a tile: shorter than asked for where the tile ends.
    func read(_ tile: LedgerTile, _ count: Int, at offset: Int) throws(FileError) -> [UInt8] {
        let handle = try files.open(path(of: tile), .read)
        defer { handle.close() }
        let size = try handle.size()
        guard offset < size else { return [] }
        return try handle.read(count: min(count, size - offset), at: offset)
    }

    func write(_ bytes: [UInt8], as tile: LedgerTile) throws(FileError) {
        let path = path(of: tile)
        if let slash = path.lastIndex(of: "/") { try files.createDirectory(String(path[..<slash])) }
        try AtomicFile.write(bytes, to: path, on: files)
    }

    /// Nil when there is no such file.
    func readText(_ path: String) throws(FileError) -> String? {
        do throws(FileError) {
            let bytes = try AtomicFile.read(path, on: files, limit: Self.smallBytesMax)
            return String(validating: bytes, as: UTF8.self) ?? ""
        } catch {
            if case .notFound = error { return nil }
            throw error
        }
    }

    func writeText(_ text: String, to path: String) throws(FileError) {
        try AtomicFile.write(Array(text.utf8), to: path, on: files)
    }
}
