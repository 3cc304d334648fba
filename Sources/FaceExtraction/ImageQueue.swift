import FaceModel
import Foundation

/// One image on its way to a process.
struct ImageJob: Sendable {
    let id: UInt64
    let image: [UInt8]
    let scope: ExtractionScope
    /// When the image gives up waiting for a process.
    let deadline: ContinuousClock.Instant
    let answer: CheckedContinuation<Result<ExtractedImage, ExtractionError>, Never>
}

/// The bounded queue between callers and the threads that own the processes.
///
/// Invariants: every job is answered exactly once, by whoever took it out; none is waiting after `close`.
// Safe because every field is read and written between lock and unlock of `condition`.
final class ImageQueue: @unchecked Sendable {
    private let condition = NSCondition()
    private let countMax: Int
    private var jobs: [ImageJob] = []
    private var closed = false
    private var running = 0
    private var startFailure: String?

    init(countMax: Int) { self.countMax = countMax }

    /// Answers at once where there is no hope: closed, full, or no process running and none that would start.
    func put(_ job: ImageJob) {
        condition.lock()
        let refusal = refusal
        if refusal == nil {
            jobs.append(job)
            condition.signal()
        }
        condition.unlock()
        if let refusal { job.answer.resume(returning: .failure(refusal)) }
    }

    /// Waits for the next job; nil when the queue is closed.
    func take() -> ImageJob? {
        while true {
            let (job, open) = takeFirst()
            guard let job else {
                if open { continue } else { return nil }
            }
            if job.deadline > .now { return job }
            job.answer.resume(returning: .failure(.unavailable(reason: "every extractor was busy for too long")))
        }
    }

    private func takeFirst() -> (job: ImageJob?, open: Bool) {
        condition.lock()
        defer { condition.unlock() }
        while jobs.isEmpty, !closed { condition.wait() }
        return (jobs.isEmpty ? nil : jobs.removeFirst(), !closed)
    }

    /// Takes out one job whose caller has gone.
    func cancel(_ id: UInt64) {
        condition.lock()
        let index = jobs.firstIndex { $0.id == id }
        let job = index.map { jobs.remove(at: $0) }
        condition.unlock()
        job?.answer.resume(returning: .failure(.unavailable(reason: "the request was cancelled")))
    }

    func processStarted() {
        condition.lock()
        running += 1
        startFailure = nil
        condition.unlock()
    }

    func processEnded() {
        condition.lock()
        running -= 1
        condition.unlock()
    }

    /// Where no process runs, nobody would take what waits.
    func processFailedToStart(_ reason: String) {
        condition.lock()
        startFailure = reason
        let stranded = running == 0 ? jobs : []
        if running == 0 { jobs = [] }
        condition.unlock()
        for job in stranded { job.answer.resume(returning: .failure(.unavailable(reason: reason))) }
    }

    /// Returns after `time`, or at once with true when the queue is closed.
    func pause(_ time: Duration) -> Bool {
        let until = Date(timeIntervalSinceNow: time / .seconds(1))
        condition.lock()
        defer { condition.unlock() }
        while !closed, condition.wait(until: until) {}
        return closed
    }

    func close() {
        condition.lock()
        closed = true
        let left = jobs
        jobs = []
        condition.broadcast()
        condition.unlock()
        for job in left { job.answer.resume(returning: .failure(.unavailable(reason: "the server is stopping"))) }
    }

    private var refusal: ExtractionError? {
        if closed { return .unavailable(reason: "the server is stopping") }
        if running == 0, let startFailure { return .unavailable(reason: startFailure) }
        if jobs.count >= countMax { return .unavailable(reason: "\(jobs.count) images are waiting already") }
        return nil
    }
}
