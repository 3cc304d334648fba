import CFaceExtraction
import FaceModel
import Glibc

/// The main loop of a face-extractor process: requests on standard input, answers on standard output.
///
/// Order matters: descriptors and memory are limited first, models are loaded while files can still be opened, then
/// everything else is given up, and only then is the first byte of an image read.
package struct ExtractorWorker: Sendable {
    package var models: String
    package var library: String
    package var memoryBytesMax: UInt64
    /// Processor seconds for one image; more kills the process.
    package var imageSecondsMax: UInt32
    /// Whom root becomes; by default Debian's `nobody` and `nogroup`.
    package var user: UInt32 = 65_534
    package var group: UInt32 = 65_534

    package init(models: String, library: String, memoryBytesMax: UInt64, imageSecondsMax: UInt32) {
        self.models = models
        self.library = library
        self.memoryBytesMax = memoryBytesMax
        self.imageSecondsMax = imageSecondsMax
    }

    /// Serves until standard input ends. The result is the exit status: 0, or 1 after a refusal or a broken pipe.
    package func run() -> Int32 {
        let output = PipeEnd(STDOUT_FILENO)
        do {
            let engine = try start(output)
            try serve(engine, output: output)
            return 0
        } catch {
            // The parent reads this in place of a hello; where the pipe itself broke nobody is left to tell.
            let refusal = ExtractorProtocol.encode(.refusal("\(error)"))
            do { try Pipe.write(refusal, to: output) } catch { return 1 }
            return 1
        }
    }

    private func start(_ output: PipeEnd) throws -> ExtractionEngine {
        var sandbox = facet_sandbox(memory_bytes_max: memoryBytesMax, user: user, group: group)
        var error = facet_error()
        try error.check(facet_sandbox_prepare(&sandbox, &error))
        let directory = try ModelDirectory.loadManifest(path: models)
        let engine = try ExtractionEngine(directory: directory, library: library)
        var inForce: UInt32 = 0
        try error.check(facet_sandbox_enter(&sandbox, &inForce, &error))
        let hello = ExtractorHello(
            modelDigest: directory.description.digest, dimension: directory.description.dimension,
            unprivileged: inForce & UInt32(FACET_SANDBOX_UNPRIVILEGED) != 0,
            filtered: inForce & UInt32(FACET_SANDBOX_FILTERED) != 0)
        try Pipe.write(ExtractorProtocol.encode(.hello(hello)), to: output)
        return engine
    }

    private func serve(_ engine: ExtractionEngine, output: PipeEnd) throws {
        let input = PipeEnd(STDIN_FILENO)
        var error = facet_error()
        while let message = try nextMessage(input) {
            guard case .request(let id, let scope, let image) = message else {
                throw FaceExtractionError.message(problem: "is not one for an extractor")
            }
            try Pipe.write(ExtractorProtocol.encode(.accepted(id: id)), to: output)
            try error.check(facet_sandbox_allow_cpu(imageSecondsMax, &error))
            let answer: ExtractorMessage
            do throws(ExtractionError) {
                answer = .faces(id: id, image: try engine.extract(image: image, scope: scope))
            } catch {
                answer = .rejection(id: id, error: error)
            }
            try Pipe.write(ExtractorProtocol.encode(answer), to: output)
        }
    }

    /// Nil at the end of the input between two messages.
    private func nextMessage(_ input: PipeEnd) throws -> ExtractorMessage? {
        let header: [UInt8]
        do {
            header = try Pipe.read(ExtractorProtocol.headerBytes, from: input)
        } catch PipeError.closed(transferred: 0) {
            return nil
        }
        let payload = try Pipe.read(ExtractorProtocol.payloadBytes(header: header), from: input)
        return try ExtractorProtocol.decode(header: header, payload: payload)
    }
}
