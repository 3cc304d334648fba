import Foundation
import Synchronization

/// `state.sqlite` as it was when it last became durable: what a loss of power may bring back.
final class StateImage: Sendable {
    private static let names = ["state.sqlite", "state.sqlite-wal"]
    private let folder: String
    private let files = Mutex<[String: Data]>([:])

    init(of folder: String) { self.folder = folder }

    /// Only where nobody writes to it meanwhile.
    func take() {
        let found = Self.names.compactMap { name in
            (try? Data(contentsOf: URL(filePath: "\(folder)/\(name)"))).map { (name, $0) }
        }
        files.withLock { $0 = Dictionary(uniqueKeysWithValues: found) }
    }

    func restore() throws {
        for name in Self.names + ["state.sqlite-shm"] {
            let path = "\(folder)/\(name)"
            if FileManager.default.fileExists(atPath: path) { try FileManager.default.removeItem(atPath: path) }
            if let data = files.withLock({ $0[name] }) { try data.write(to: URL(filePath: path)) }
        }
    }
}
