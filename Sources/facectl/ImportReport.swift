import ArgumentParser
import Foundation

/// What an import did, for people and programs.
struct ImportReport {
    private let passedOver: Int
    private var photos = 0
    private var faces = 0
    private var withoutFace: [String] = []
    private var refused: [(name: String, reason: String)] = []
    private var failed: [(name: String, reason: String)] = []

    init(passedOver: Int) { self.passedOver = passedOver }

    mutating func add(_ photo: Photo, _ outcome: PhotoOutcome) {
        switch outcome {
        case .enrolled(let count):
            photos += 1
            faces += count
        case .noFace(let unindexed):
            withoutFace.append(unindexed == 0 ? photo.name : "\(photo.name) (\(unindexed) of too low quality)")
        case .refused(let reason): refused.append((photo.name, reason))
        case .failed(let reason): failed.append((photo.name, reason))
        }
    }

    /// Prints the report; exit code 2 when a photo should be tried again.
    func show(json: Bool) throws {
        if json {
            try Output.json([
                "Photos": photos, "Faces": faces, "PassedOver": passedOver, "WithoutFace": withoutFace.sorted(),
                "Refused": refused.sorted { $0.name < $1.name }.map { ["Photo": $0.name, "Reason": $0.reason] },
                "Failed": failed.sorted { $0.name < $1.name }.map { ["Photo": $0.name, "Reason": $0.reason] },
            ])
        } else {
            Output.line("enrolled    \(faces) faces of \(photos) photos")
            Output.line("passed over \(passedOver) photos enrolled before")
            for name in withoutFace.sorted() { Output.line("no face     \(name)") }
            for (name, reason) in refused.sorted(by: { $0.name < $1.name }) {
                Output.line("refused     \(name): \(reason)")
            }
            for (name, reason) in failed.sorted(by: { $0.name < $1.name }) {
                Output.line("FAILED      \(name): \(reason)")
            }
        }
        if !failed.isEmpty { throw ExitCode(2) }
    }
}

/// A bar on standard error, when that is a terminal; nothing otherwise.
struct ProgressBar {
    private let total: Int
    private var done = 0
    private let shown = isatty(2) == 1

    init(total: Int) { self.total = total }

    mutating func step() {
        done += 1
        guard shown else { return }
        let width = 40
        let filled = total == 0 ? width : done * width / total
        let bar = String(repeating: "#", count: filled) + String(repeating: "-", count: width - filled)
        FileHandle.standardError.write(Data("\r[\(bar)] \(done)/\(total)".utf8))
    }

    func finish() {
        if shown, total > 0 { FileHandle.standardError.write(Data("\n".utf8)) }
    }
}
