import FaceModel
import Glibc

/// One running face-extractor and the pipes to it. Used by one thread.
final class ExtractorProcess {
    let hello: ExtractorHello
    let pid: pid_t
    private let input: PipeEnd
    private let output: PipeEnd
    private var nextID: UInt64 = 1
    private var reaped = false

    enum Exchange {
        case answered(Result<ExtractedImage, ExtractionError>)
        /// The process was gone before it had accepted the image: the image is not to blame.
        case notDelivered
        /// The process ended, answered nonsense or ran out of time over this image, and is to be killed.
        case broken(reason: String)
    }

    /// Starts a process and waits for its hello. A process that fails is gone when this throws.
    init(_ configuration: ExtractorConfiguration, model: FaceModelDescription) throws(FaceExtractionError) {
        let spawned = try Self.spawn(configuration)
        let deadline = ContinuousClock.now.advanced(by: configuration.startTime)
        do throws(FaceExtractionError) {
            hello = try Self.greet(spawned.output, configuration, model: model, deadline: deadline)
        } catch {
            Self.end(spawned.pid)
            throw error
        }
        (pid, input, output) = spawned
    }

    deinit { kill() }

    /// False once the process has ended; it is reaped then.
    var isRunning: Bool {
        if !reaped, waitpid(pid, nil, WNOHANG) == pid { reaped = true }
        return !reaped
    }

    func extract(image: [UInt8], scope: ExtractionScope, within time: Duration) -> Exchange {
        let deadline = ContinuousClock.now.advanced(by: time)
        let id = nextID
        nextID += 1
        let request = ExtractorProtocol.encode(.request(id: id, scope: scope, image: image))
        do throws(PipeError) {
            try Pipe.write(request, to: input, deadline: deadline)
        } catch {
            if case .closed = error { return .notDelivered }
            return .broken(reason: Self.text(error))
        }
        var accepted = false
        do {
            guard case .accepted(id) = try Self.message(output, deadline: deadline) else {
                return .broken(reason: "it answered out of turn")
            }
            accepted = true
            return try receive(id: id, deadline: deadline)
        } catch PipeError.closed where !accepted {
            return .notDelivered
        } catch let error as PipeError {
            return .broken(reason: Self.text(error))
        } catch {
            return .broken(reason: "\(error)")
        }
    }

    /// Lets an idle process end by itself, and sees to it.
    func stop() {
        input.close()
        let deadline = ContinuousClock.now.advanced(by: .seconds(2))
        // It says nothing more: this waits for the end of its output.
        while !reaped, (try? Pipe.read(1, from: output, deadline: deadline)) != nil {}
        kill()
    }

    func kill() {
        if isRunning { Self.end(pid) }
        reaped = true
    }

    private func receive(id: UInt64, deadline: ContinuousClock.Instant) throws -> Exchange {
        switch try Self.message(output, deadline: deadline) {
        case .faces(let answered, let image) where answered == id:
            guard image.faces.allSatisfy({ $0.embedding.dimension == hello.dimension }) else {
                return .broken(reason: "it answered with another dimension")
            }
            return .answered(.success(image))
        case .rejection(let answered, let error) where answered == id:
            return .answered(.failure(error))
        case .refusal(let text):
            return .broken(reason: text)
        case .hello, .request, .accepted, .faces, .rejection:
            return .broken(reason: "it answered out of turn")
        }
    }

    private static func greet(
        _ output: PipeEnd, _ configuration: ExtractorConfiguration, model: FaceModelDescription,
        deadline: ContinuousClock.Instant
    ) throws(FaceExtractionError) -> ExtractorHello {
        func failed(_ problem: String) -> FaceExtractionError {
            .process(executable: configuration.executable, problem: problem)
        }
        let message: ExtractorMessage
        do {
            message = try Self.message(output, deadline: deadline)
        } catch let error as PipeError {
            throw failed("did not start: \(text(error))")
        } catch {
            throw failed("did not start: \(error)")
        }
        switch message {
        case .hello(let hello):
            guard hello.modelDigest == model.digest, hello.dimension == model.dimension else {
                throw failed("loaded another model than the manifest names; was it replaced?")
            }
            return hello
        case .refusal(let text): throw failed(text)
        case .request, .accepted, .faces, .rejection: throw failed("did not say hello")
        }
    }

    private static func message(_ output: PipeEnd, deadline: ContinuousClock.Instant) throws -> ExtractorMessage {
        let header = try Pipe.read(ExtractorProtocol.headerBytes, from: output, deadline: deadline)
        let count = try ExtractorProtocol.payloadBytes(header: header)
        let payload = try Pipe.read(count, from: output, deadline: deadline)
        return try ExtractorProtocol.decode(header: header, payload: payload)
    }

    private static func text(_ error: PipeError) -> String {
        switch error {
        case .closed: "the process ended"
        case .timedOut: "it took too long"
        case .failed(let code): "the pipe failed with error \(code)"
        }
    }

    private static func end(_ pid: pid_t) {
        _ = Glibc.kill(pid, SIGKILL)
        while waitpid(pid, nil, 0) == -1 && errno == EINTR {}
    }
}
