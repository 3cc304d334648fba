package import KeyHierarchy
package import StorageIO

/// Where a server's files stand. One process at a time owns a directory; tools may read it meanwhile.
///
/// ```
/// key                  the key file: 32 bytes, mode 0600. Without it nothing else here is of use
/// lock                 held while a server runs
/// control.sqlite       the control plane of an embedded server
/// ledger/, ledger-key  the audit log and the key that signs its checkpoints; ledger-scrubbed: when it was last read whole
/// shards/<shard>/      wal/, state.sqlite, segments/
/// ```
package struct DataDirectory: Sendable {
    package let path: String
    private let files: any FileSystem

    package init(path: String, files: any FileSystem) {
        self.path = path
        self.files = files
    }

    package var keyFile: String { path + "/key" }
    package var controlPlane: String { path + "/control.sqlite" }
    package var ledger: String { path + "/ledger" }
    package var ledgerKey: String { path + "/ledger-key" }
    package var shards: String { path + "/shards" }

    /// Makes the directory where it is missing.
    package func prepare() throws(DataDirectoryError) {
        do throws(FileError) { try files.createDirectory(path) } catch { throw .file(error) }
    }

    /// Throws `inUse` while another server has the directory.
    package func lock() throws(DataDirectoryError) -> FileLock {
        do throws(FileError) {
            return try FileLock(path: path + "/lock")
        } catch {
            if case .alreadyExists = error { throw .inUse(path: path) }
            throw .file(error)
        }
    }

    /// Reads the key file; makes one in a directory that is new. A directory with a control plane but without its key
    /// is refused: a new key would open nothing in it.
    package func masterKey() throws(DataDirectoryError) -> MasterKey {
        if try !exists(keyFile) {
            guard try !exists(controlPlane), try !exists(ledger) else { throw .keyMissing(path: keyFile) }
            var generator = SystemRandomNumberGenerator()
            do throws(FileError) {
                try AtomicFile.write(MasterKey.randomBytes(using: &generator), to: keyFile, on: files)
            } catch {
                throw .file(error)
            }
        }
        return try Self.readKey(keyFile, on: files)
    }

    private func exists(_ path: String) throws(DataDirectoryError) -> Bool {
        do throws(FileError) { return try files.exists(path) } catch { throw .file(error) }
    }

    /// The key file of a cluster stands wherever its configuration says.
    package static func readKey(_ path: String, on files: any FileSystem) throws(DataDirectoryError) -> MasterKey {
        let bytes: [UInt8]
        do throws(FileError) {
            bytes = try AtomicFile.read(path, on: files, limit: MasterKey.byteCount)
        } catch {
            throw .file(error)
        }
        do throws(KeyError) { return try MasterKey(bytes: bytes) } catch { throw .keyUnusable(path: path) }
    }

    package func hasKey() throws(DataDirectoryError) -> Bool { try exists(keyFile) }

    /// Whether a ledger was ever begun here.
    package func hasLedger() throws(DataDirectoryError) -> Bool { try exists(ledger) }
}

package enum DataDirectoryError: Error, CustomStringConvertible {
    case file(FileError)
    case inUse(path: String)
    case keyMissing(path: String)
    case keyUnusable(path: String)
    /// Copies of the ledger are of use only under one key, which no node can make for the others.
    case sharedKeyMissing(path: String)

    package var description: String {
        switch self {
        case .file(let error): "the data directory cannot be used: \(error.sentence)"
        case .inUse(let path): "another server is running on \(path); stop it, or name another directory with --data"
        case .keyMissing(let path):
            "the key file \(path) is missing, though the directory holds data sealed with it; put it back"
        case .sharedKeyMissing(let path):
            "this node is to keep a copy of the ledger, and its key file \(path) is missing: put the same 32 random "
                + "bytes there on every node that keeps one"
        case .keyUnusable(let path): "the key file \(path) is not 32 bytes; put the right one back"
        }
    }
}
