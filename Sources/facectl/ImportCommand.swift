import ArgumentParser
import Foundation

struct ImportCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "import", abstract: "Enrol every photo of a folder.",
        discussion: """
            The ExternalImageId is the path below the folder, with '/' as ':' and other characters that AWS does not \
            allow as '_'. Running it again goes on where it stopped: photos already enrolled and unchanged are passed \
            over, as the list beside the folder's name says; enrolling one twice would change nothing.
            """)

    @Argument(help: "Folder with JPEG and PNG photos, also in folders below it.") var folder: String
    @Option(help: "The collection to enrol into.") var collection: String
    @Flag(help: "Make the collection if it does not exist.") var create = false
    @Option(help: "Requests at a time, 1 to 64.") var parallel = 4
    @OptionGroup var server: ServerOptions
    @OptionGroup var output: OutputOptions

    func validate() throws {
        guard (1...64).contains(parallel) else { throw ValidationError("--parallel must be 1 to 64.") }
    }

    func run() async throws {
        let connection = try server.connect()
        if create { try await makeCollection(connection) }
        let arn = try await connection.call("RekognitionService.DescribeCollection", ["CollectionId": collection])
        let uid =
            "\(connection.address) \(Document(arn.json).text("CollectionARN") ?? collection) "
            + "\(Document(arn.json).number("CreationTimestamp") ?? 0)"
        let photos = try PhotoFolder(folder).photos()
        guard !photos.isEmpty else { throw Failure(text: "there is no JPEG or PNG in \(folder)") }
        let journal = try ImportJournal(folder: folder, target: uid)
        let waiting = photos.filter { !journal.holds($0) }
        var report = ImportReport(passedOver: photos.count - waiting.count)
        var progress = ProgressBar(total: waiting.count)
        try await withThrowingTaskGroup(of: (Photo, PhotoOutcome).self) { group in
            var next = waiting.makeIterator()
            func add() {
                guard let photo = next.next() else { return }
                group.addTask { (photo, try await enrol(photo, connection)) }
            }
            for _ in 0..<parallel { add() }
            while let (photo, outcome) = try await group.next() {
                report.add(photo, outcome)
                if outcome.settled { try journal.note(photo) }
                progress.step()
                add()
            }
        }
        progress.finish()
        try report.show(json: output.json)
    }

    private func makeCollection(_ connection: ServerConnection) async throws {
        do {
            let body = try JSONSerialization.data(withJSONObject: ["CollectionId": collection])
            _ = try await connection.send("RekognitionService.CreateCollection", body)
        } catch let refusal as ServerConnection.Refusal where refusal.code == "ResourceAlreadyExistsException" {
            return
        } catch let refusal as ServerConnection.Refusal {
            throw Failure(text: "\(refusal.code): \(refusal.message)")
        }
    }

    /// A busy server is asked again, with growing pauses; anything else about one photo goes into the report.
    private func enrol(_ photo: Photo, _ connection: ServerConnection) async throws -> PhotoOutcome {
        guard let image = FileManager.default.contents(atPath: photo.path) else { return .failed("cannot be read") }
        let body = try JSONSerialization.data(withJSONObject: [
            "CollectionId": collection, "ExternalImageId": photo.externalImageID,
            "Image": ["Bytes": image.base64EncodedString()],
        ])
        for attempt in 0..<6 {
            do {
                let reply = Document(try await connection.send("RekognitionService.IndexFaces", body).json)
                let faces = reply.documents("FaceRecords").count
                return faces > 0 ? .enrolled(faces) : .noFace(unindexed: reply.documents("UnindexedFaces").count)
            } catch let refusal as ServerConnection.Refusal {
                switch RefusalKind(refusal) {
                case .photo: return .refused("\(refusal.code): \(refusal.message)")
                case .everyPhoto: throw Failure(text: "the import stopped. \(refusal.code): \(refusal.message)")
                case .passing:
                    guard attempt < 5 else { return .failed("\(refusal.code): \(refusal.message)") }
                    try await Task.sleep(for: .milliseconds(200 << attempt))
                }
            }
        }
        return .failed("the server stayed busy")
    }
}

/// What a server's refusal of a photo says about the next attempt.
enum RefusalKind: Equatable {
    /// It is about this photo and will be the same tomorrow: only such a photo is not sent again.
    case photo
    /// No photo would fare better: a wrong key, a missing role, no such collection.
    case everyPhoto
    /// The server is busy or has a fault; later it may do.
    case passing

    init(_ refusal: ServerConnection.Refusal) {
        switch refusal.code {
        case "InvalidImageFormatException", "ImageTooLargeException": self = .photo
        case "ThrottlingException", "ProvisionedThroughputExceededException", "InternalServerError": self = .passing
        case let code: self = code.hasPrefix("HTTP ") ? .passing : .everyPhoto
        }
    }
}
