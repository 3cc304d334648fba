import AuditLedger
import FaceModel
import StorageIO

/// What is fetched for a copy of the ledger that lags too far, and how it comes to count.
///
/// Bundles are fetched beside: their entries, without which a bundle is none, and a log that begins behind them wait in
/// `fetched`. Once the old log is out of the way they are what counts, and a start after a crash goes on putting them in
/// their place; before that they count for nothing. So no leaf of the old log, whose end may never have been committed,
/// ever meets a tile that says otherwise.
extension LedgerFiles {
    var fetched: LedgerFiles { LedgerFiles(directory: directory + "/fetched", files: files) }
    private var replacedLog: String { directory + "/wal.removed" }

    /// Puts what was fetched in the place of this copy's log. Nothing else may use either meanwhile.
    func replaceWithFetched() throws(FileError) {
        if try files.exists(replacedLog) { try files.removeDirectoryTree(replacedLog) }
        try files.rename(walDirectory, to: replacedLog)
        try files.synchronizeDirectory(directory)
        try finishReplacement()
    }

    /// Of a start: ends a replacement that was cut short. Where none was begun nothing changes.
    func finishReplacement() throws(FileError) {
        guard try files.exists(replacedLog) else { return }
        if try !files.exists(walDirectory) {
            try moveEntries()
            try files.rename(fetched.walDirectory, to: walDirectory)
            try files.synchronizeDirectory(directory)
        }
        if try files.exists(fetched.directory) { try files.removeDirectoryTree(fetched.directory) }
        try files.removeDirectoryTree(replacedLog)
    }

    /// In order: a bundle counts where all before it do.
    private func moveEntries() throws(FileError) {
        var number: UInt64 = 0
        while try exists(.entries(number)) { number += 1 }
        while try fetched.exists(.entries(number)) {
            try place(fetched.path(of: .entries(number)), at: path(of: .entries(number)))
            number += 1
        }
    }

    private func place(_ source: String, at path: String) throws(FileError) {
        guard let slash = path.lastIndex(of: "/") else { preconditionFailure("a tile stands in a directory") }
        let directory = String(path[..<slash])
        try files.createDirectory(directory)
        try files.rename(source, to: path)
        try files.synchronizeDirectory(directory)
    }

    /// Moves the files of another copy than this, which a node kept before, out of the way and keeps them.
    func makeRoom(for replica: ReplicaID) throws(ReplicaError) {
        guard let owner = try ReplicaMemoryFile.owner(in: directory, on: files), owner != replica else { return }
        do throws(FileError) {
            try files.rename(directory, to: "\(directory)-\(owner)")
        } catch {
            throw .file(error)
        }
    }
}
