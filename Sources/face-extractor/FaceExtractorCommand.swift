import ArgumentParser
import FaceExtraction

/// Started by the coordinator, one process for each core it may use; not for people.
@main
struct FaceExtractorCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "face-extractor",
        abstract: "Finds and embeds faces in images that arrive on standard input; Facet starts it.")

    @Option(help: "Folder with the model's manifest.json and weights.")
    var models: String

    @Option(help: "Path of ONNX Runtime's shared library.")
    var library: String

    @Option(help: "Address space the process may use, in bytes.")
    var memoryBytesMax: UInt64 = 2 << 30

    @Option(help: "Processor seconds one image may take.")
    var imageSecondsMax: UInt32 = 10

    func run() throws {
        let worker = ExtractorWorker(
            models: models, library: library, memoryBytesMax: memoryBytesMax, imageSecondsMax: imageSecondsMax)
        throw ExitCode(worker.run())
    }
}
