package import FaceModel
import Foundation
package import Logging
import Synchronization

/// The extractor the coordinator uses: a fixed number of face-extractor processes, each behind a thread of its own.
///
/// A process that crashes, answers nonsense or takes too long over an image is killed and another started; that image
/// is answered `.undecodable`. A process found dead before it had the image is replaced and the image tried again.
package final class ExtractorPool: FaceExtractor {
    package let model: FaceModelDescription
    private let queue: ImageQueue
    private let waitTime: Duration
    private let nextID = Atomic<UInt64>(1)
    private let lanes: DispatchGroup

    /// Loads the manifest, starts the processes and waits until the first of them serves or fails.
    package static func start(
        _ configuration: ExtractorConfiguration, logger: Logger
    ) async throws(FaceExtractionError) -> ExtractorPool {
        let directory = try ModelDirectory.load(path: configuration.models)
        let pool = ExtractorPool(configuration, model: directory.description)
        let outcome = await withCheckedContinuation { continuation in
            let first = FirstOutcome(continuation)
            for index in 0..<configuration.processes {
                var logger = logger
                logger[metadataKey: "extractor"] = "\(index)"
                let lane = ExtractorLane(
                    configuration, model: pool.model, queue: pool.queue, logger: logger, first: first)
                pool.lanes.enter()
                let lanes = pool.lanes
                let thread = Thread {
                    lane.run()
                    lanes.leave()
                }
                thread.name = "extractor-\(index)"
                thread.start()
            }
        }
        do throws(FaceExtractionError) {
            try outcome.get()
        } catch {
            await pool.stop()
            throw error
        }
        return pool
    }

    private init(_ configuration: ExtractorConfiguration, model: FaceModelDescription) {
        precondition(configuration.processes > 0 && configuration.queueMax > 0)
        self.model = model
        queue = ImageQueue(countMax: configuration.queueMax)
        waitTime = configuration.waitTime
        lanes = DispatchGroup()
    }

    deinit { queue.close() }

    package func extract(
        image: [UInt8], scope: ExtractionScope
    ) async throws(ExtractionError) -> ExtractedImage {
        guard image.count <= Limits.imageBytesMax else {
            throw .tooLarge(reason: "\(image.count) bytes; at most \(Limits.imageBytesMax) are allowed")
        }
        let id = nextID.wrappingAdd(1, ordering: .relaxed).oldValue
        let deadline = ContinuousClock.now.advanced(by: waitTime)
        let queue = queue
        let result = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                queue.put(ImageJob(id: id, image: image, scope: scope, deadline: deadline, answer: continuation))
                if Task.isCancelled { queue.cancel(id) }
            }
        } onCancel: {
            queue.cancel(id)
        }
        return try result.get()
    }

    /// Refuses what waits, lets what runs finish, and returns when every process has ended.
    package func stop() async {
        queue.close()
        await withCheckedContinuation { continuation in
            lanes.notify(queue: .global()) { continuation.resume() }
        }
    }
}

/// Resumes its continuation with the first outcome it is told and ignores the others.
final class FirstOutcome: Sendable {
    private let continuation: Mutex<CheckedContinuation<Result<Void, FaceExtractionError>, Never>?>

    init(_ continuation: CheckedContinuation<Result<Void, FaceExtractionError>, Never>) {
        self.continuation = Mutex(continuation)
    }

    func tell(_ outcome: Result<Void, FaceExtractionError>) {
        let waiting = continuation.withLock { waiting in
            defer { waiting = nil }
            return waiting
        }
        waiting?.resume(returning: outcome)
    }
}
