import Foundation
import Synchronization

/// Threads of their own for scans, because a scan on the cooperative pool stalls every request beside it.
///
/// Jobs are taken in the order they came; each job's parts are shared between the threads. `run` refuses beyond
/// `queueMax` waiting jobs, so that load turns into an error the client can retry and not into memory.
package final class ScanPool: Sendable {
    /// The parts of one scan. `work` is called once for each part, on several threads at a time.
    private struct Job {
        var parts: Int
        var next = 0
        var unfinished: Int
        var work: @Sendable (Int) -> Void
        var done: @Sendable () -> Void
    }

    private struct State {
        var jobs: [UInt64: Job] = [:]
        var order: [UInt64] = []
        var counter: UInt64 = 0
        var stopping = false
    }

    private let state = Mutex(State())
    private let wake = DispatchSemaphore(value: 0)
    private let threads: Int
    private let queueMax: Int

    package init(threads: Int, queueMax: Int = 256) {
        self.threads = max(1, threads)
        self.queueMax = queueMax
        for index in 0..<self.threads {
            let thread = Thread { [self] in serve() }
            thread.name = "facet-scan-\(index)"
            thread.start()
        }
    }

    package var width: Int { threads }

    /// Calls `work` for 0..<parts and returns when all are done; false when the queue is full.
    package func run(parts: Int, _ work: @escaping @Sendable (Int) -> Void) async -> Bool {
        guard parts > 0 else { return true }
        return await withCheckedContinuation { continuation in
            let accepted = state.withLock { state in
                guard state.jobs.count < queueMax, !state.stopping else { return false }
                state.counter += 1
                state.order.append(state.counter)
                state.jobs[state.counter] = Job(
                    parts: parts, unfinished: parts, work: work, done: { continuation.resume(returning: true) })
                return true
            }
            guard accepted else { return continuation.resume(returning: false) }
            for _ in 0..<min(parts, threads) { wake.signal() }
        }
    }

    /// Lets the threads end once the jobs they have are done.
    package func stop() {
        state.withLock { $0.stopping = true }
        for _ in 0..<threads { wake.signal() }
    }

    private func serve() {
        while true {
            wake.wait()
            while let (id, part, work) = take() {
                work(part)
                finish(id)
            }
            if state.withLock({ $0.stopping && $0.order.isEmpty }) { return }
        }
    }

    private func take() -> (UInt64, Int, @Sendable (Int) -> Void)? {
        state.withLock { state in
            guard let id = state.order.first, var job = state.jobs[id] else { return nil }
            let part = job.next
            job.next += 1
            state.jobs[id] = job
            if job.next == job.parts { state.order.removeFirst() }
            return (id, part, job.work)
        }
    }

    private func finish(_ id: UInt64) {
        let done = state.withLock { state -> (@Sendable () -> Void)? in
            guard var job = state.jobs[id] else { return nil }
            job.unfinished -= 1
            state.jobs[id] = job.unfinished == 0 ? nil : job
            return job.unfinished == 0 ? job.done : nil
        }
        done?()
    }
}
