import Foundation
import KeyHierarchy

/// One photo of an import.
struct Photo: Sendable {
    var path: String
    /// Below the imported folder.
    var name: String
    var externalImageID: String
    /// Size and time of change: a photo that was replaced is enrolled again.
    var stamp: String
}

/// What became of a photo.
enum PhotoOutcome: Sendable {
    case enrolled(Int)
    case noFace(unindexed: Int)
    /// The server will say the same again: not a photo, too large.
    case refused(String)
    /// May work next time.
    case failed(String)

    var settled: Bool {
        if case .failed = self { false } else { true }
    }
}

/// The photos below a folder, in the order of their names.
struct PhotoFolder {
    private let folder: String

    init(_ folder: String) throws {
        var isDirectory: ObjCBool = false
        guard FileManager.default.fileExists(atPath: folder, isDirectory: &isDirectory), isDirectory.boolValue else {
            throw Failure(text: "\(folder) is not a folder")
        }
        self.folder = folder
    }

    func photos() throws -> [Photo] {
        guard let names = FileManager.default.subpaths(atPath: folder) else {
            throw Failure(text: "the folder \(folder) cannot be read")
        }
        let photos = names.filter { ["jpg", "jpeg", "png"].contains(($0 as NSString).pathExtension.lowercased()) }
        return try photos.sorted().map(photo)
    }

    private func photo(_ name: String) throws -> Photo {
        let path = folder + "/" + name
        let attributes = try FileManager.default.attributesOfItem(atPath: path)
        let size = (attributes[.size] as? NSNumber)?.int64Value ?? 0
        let changed = (attributes[.modificationDate] as? Date)?.timeIntervalSince1970 ?? 0
        return Photo(
            path: path, name: name, externalImageID: Self.externalImageID(name), stamp: "\(size) \(changed)")
    }

    /// AWS allows 1-255 of `a-z A-Z 0-9 _ . - :`. A longer path keeps its end, which tells photos apart.
    static func externalImageID(_ name: String) -> String {
        let text = name.map { character -> Character in
            if character == "/" { return ":" }
            let allowed = character.isASCII && (character.isLetter || character.isNumber || "_.-".contains(character))
            return allowed ? character : "_"
        }
        return String(text.suffix(255))
    }
}

/// Which photos of a folder a collection already has: one line each in a file under the user's state directory, so that
/// the folder itself is not written to.
final class ImportJournal {
    private var known: Set<String> = []
    private let handle: FileHandle

    init(folder: String, target: String) throws {
        let environment = ProcessInfo.processInfo.environment
        let state = environment["XDG_STATE_HOME"] ?? (environment["HOME"] ?? ".") + "/.local/state"
        let directory = state + "/facet/imports"
        let absolute = URL(fileURLWithPath: folder).standardizedFileURL.path
        let digest = KeyedHash.sha256(Array("\(absolute)\n\(target)".utf8)).prefix(12)
        let path = directory + "/" + digest.map { String($0, radix: 16) }.joined() + ".txt"
        do {
            try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
            if let text = try? String(contentsOfFile: path, encoding: .utf8) {
                known = Set(text.split(separator: "\n").map(String.init))
            } else {
                try Data().write(to: URL(fileURLWithPath: path))
            }
            handle = try FileHandle(forWritingTo: URL(fileURLWithPath: path))
            try handle.seekToEnd()
        } catch {
            throw Failure(text: "the list of imported photos \(path) cannot be kept: \(error)")
        }
    }

    func holds(_ photo: Photo) -> Bool { known.contains(line(photo)) }

    func note(_ photo: Photo) throws {
        known.insert(line(photo))
        try handle.write(contentsOf: Data((line(photo) + "\n").utf8))
    }

    private func line(_ photo: Photo) -> String {
        "\(photo.stamp) \(photo.name.replacingOccurrences(of: "\n", with: " "))"
    }
}
