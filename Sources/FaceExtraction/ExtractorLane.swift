import FaceModel
import Glibc
import Logging
import Metrics

/// One thread with one process: takes images from the queue and keeps a process running to serve them.
struct ExtractorLane: Sendable {
    private let configuration: ExtractorConfiguration
    private let model: FaceModelDescription
    private let queue: ImageQueue
    private let logger: Logger
    private let first: FirstOutcome
    private let starts = Counter(label: "facet_extractor_starts_total")
    private let answered = Counter(label: "facet_extractor_images_total", dimensions: [("outcome", "answered")])
    private let rejected = Counter(label: "facet_extractor_images_total", dimensions: [("outcome", "rejected")])
    private let broken = Counter(label: "facet_extractor_images_total", dimensions: [("outcome", "broken")])

    init(
        _ configuration: ExtractorConfiguration, model: FaceModelDescription, queue: ImageQueue, logger: Logger,
        first: FirstOutcome
    ) {
        self.configuration = configuration
        self.model = model
        self.queue = queue
        self.logger = logger
        self.first = first
    }

    /// Returns when the queue is closed.
    func run() {
        blockPipeSignal()
        var backoff = Backoff()
        var process: ExtractorProcess?
        while let running = keepRunning(&process, &backoff), let job = queue.take() {
            process = serve(job, with: running, &backoff)
        }
        if let process { end(process) { $0.stop() } }
    }

    /// The running process, or a new one; nil when the queue is closed.
    private func keepRunning(_ process: inout ExtractorProcess?, _ backoff: inout Backoff) -> ExtractorProcess? {
        while true {
            if let running = process {
                if running.isRunning { return running }
                logger.warning("an extractor process ended while it was idle")
                end(running) { _ in }
                process = nil
            }
            if let delay = backoff.delay, queue.pause(delay) { return nil }
            process = startProcess(&backoff)
        }
    }

    private func startProcess(_ backoff: inout Backoff) -> ExtractorProcess? {
        do throws(FaceExtractionError) {
            let process = try ExtractorProcess(configuration, model: model)
            starts.increment()
            logger.info(
                "an extractor process serves",
                metadata: [
                    "pid": "\(process.pid)", "unprivileged": "\(process.hello.unprivileged)",
                    "filtered": "\(process.hello.filtered)",
                ])
            queue.processStarted()
            first.tell(.success(()))
            return process
        } catch {
            backoff.failed()
            logger.error("an extractor process did not start", metadata: ["error": "\(error)"])
            queue.processFailedToStart("\(error)")
            first.tell(.failure(error))
            return nil
        }
    }

    /// Answers the job; returns the process if it can serve another.
    private func serve(_ job: ImageJob, with process: ExtractorProcess, _ backoff: inout Backoff) -> ExtractorProcess? {
        var current = process
        for attempt in 1...2 {
            switch current.extract(image: job.image, scope: job.scope, within: configuration.imageTime) {
            case .answered(let result):
                backoff.succeeded()
                if case .success = result { answered.increment() } else { rejected.increment() }
                job.answer.resume(returning: result)
                return current
            case .broken(let reason):
                backoff.failed()
                broken.increment()
                logger.warning("an extractor process broke over an image", metadata: ["reason": "\(reason)"])
                end(current) { $0.kill() }
                job.answer.resume(
                    returning: .failure(.undecodable(reason: "the extractor stopped over the image: \(reason)")))
                return nil
            case .notDelivered:
                end(current) { $0.kill() }
                guard attempt == 1, let next = startProcess(&backoff) else { break }
                current = next
            }
        }
        job.answer.resume(returning: .failure(.unavailable(reason: "extractor processes end as they start")))
        return nil
    }

    private func end(_ process: ExtractorProcess, _ how: (ExtractorProcess) -> Void) {
        how(process)
        queue.processEnded()
    }

    /// A write to a dead process then answers EPIPE on this thread; the rest of the server is not touched.
    private func blockPipeSignal() {
        var signals = sigset_t()
        sigemptyset(&signals)
        sigaddset(&signals, SIGPIPE)
        pthread_sigmask(SIG_BLOCK, &signals, nil)
    }
}

/// Time between a process that failed and its successor: none after the first failure, then doubling.
struct Backoff {
    private static let firstDelay = Duration.milliseconds(100)
    private static let delayMax = Duration.seconds(5)
    private var failures = 0

    var delay: Duration? {
        guard failures > 1 else { return nil }
        return min(Self.delayMax, Self.firstDelay * (1 << min(failures - 2, 10)))
    }

    mutating func failed() { failures += 1 }
    mutating func succeeded() { failures = 0 }
}
