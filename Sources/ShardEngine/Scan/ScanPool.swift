import Dispatch
import Foundation
import Synchronization

/// How a job of the pool ended for its caller.
enum ScanEnd: Hashable, Sendable {
    case done
    /// Too many jobs wait; nothing was begun.
    case full
    /// The deadline passed or the caller was cancelled: parts not begun are dropped, those begun end unheard.
    case abandoned
}

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
        var deadline: ContinuousClock.Instant
        var work: @Sendable (Int) -> Void
        var end: Promise<ScanEnd>
    }

    private struct State {
        var jobs: [UInt64: Job] = [:]
        var order: [UInt64] = []
        var counter: UInt64 = 0
        var stopping = false
        /// When the clock looks next; nil while it sleeps until it is woken.
        var alarm: ContinuousClock.Instant?

        /// Drops the jobs that come too late; what runs of them ends unheard.
        mutating func expire(at now: ContinuousClock.Instant) -> [Promise<ScanEnd>] {
            let late = jobs.filter { $0.value.deadline <= now }
            guard !late.isEmpty else { return [] }
            for id in late.keys { jobs[id] = nil }
            order.removeAll { jobs[$0] == nil }
            return late.values.map(\.end)
        }

        mutating func next() -> (UInt64, Int, @Sendable (Int) -> Void)? {
            guard let id = order.first, var job = jobs[id] else { return nil }
            let part = job.next
            job.next += 1
            jobs[id] = job
            if job.next == job.parts { order.removeFirst() }
            return (id, part, job.work)
        }
    }

    private let state = Mutex(State())
    private let wake = DispatchSemaphore(value: 0)
    private let clockWake = DispatchSemaphore(value: 0)
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
        let clock = Thread { [self] in watchDeadlines() }
        clock.name = "facet-scan-clock"
        clock.start()
    }

    package var width: Int { threads }

    /// Calls `work` for 0..<parts. Returns when all are done, or at once when the deadline passes or the task is
    /// cancelled: then no further part is begun.
    func run(
        parts: Int, until deadline: ContinuousClock.Instant, _ work: @escaping @Sendable (Int) -> Void
    ) async -> ScanEnd {
        guard deadline > .now, !Task.isCancelled else { return .abandoned }
        guard parts > 0 else { return .done }
        let end = Promise<ScanEnd>()
        guard let id = add(Job(parts: parts, unfinished: parts, deadline: deadline, work: work, end: end)) else {
            return .full
        }
        for _ in 0..<min(parts, threads) { wake.signal() }
        if let end = await end.value() { return end }
        remove(id)
        return .abandoned
    }

    /// Lets the threads end once the jobs they have are done.
    package func stop() {
        state.withLock { $0.stopping = true }
        for _ in 0..<threads { wake.signal() }
        clockWake.signal()
    }

    private func add(_ job: Job) -> UInt64? {
        let (id, isEarlier) = state.withLock { state -> (UInt64?, Bool) in
            guard state.jobs.count < queueMax, !state.stopping else { return (nil, false) }
            state.counter += 1
            state.order.append(state.counter)
            state.jobs[state.counter] = job
            return (state.counter, state.alarm.map { job.deadline < $0 } ?? true)
        }
        if isEarlier { clockWake.signal() }
        return id
    }

    /// A part that runs ends by itself, and its `work` keeps what it needs alive.
    private func remove(_ id: UInt64) {
        state.withLock { state in
            state.jobs[id] = nil
            state.order.removeAll { $0 == id }
        }
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

    /// The next part of the oldest job that is still in time.
    private func take() -> (UInt64, Int, @Sendable (Int) -> Void)? {
        endLate()
        return state.withLock { $0.next() }
    }

    private func endLate() {
        let now = ContinuousClock.now
        for end in state.withLock({ $0.expire(at: now) }) { end.settle(.abandoned) }
    }

    /// One thread for all deadlines: a timer for each scan would cost more switches between threads than the scan.
    /// Deadlines come in about their order, so that it is seldom woken for an earlier one.
    private func watchDeadlines() {
        while true {
            endLate()
            let (alarm, ends) = state.withLock { state in
                state.alarm = state.jobs.values.map(\.deadline).min()
                return (state.alarm, state.stopping && state.jobs.isEmpty)
            }
            if ends { return }
            guard let alarm else {
                clockWake.wait()
                continue
            }
            _ = clockWake.wait(timeout: .now() + ContinuousClock.now.duration(to: alarm).dispatchInterval)
        }
    }

    private func finish(_ id: UInt64) {
        let end = state.withLock { state -> Promise<ScanEnd>? in
            guard var job = state.jobs[id] else { return nil }
            job.unfinished -= 1
            state.jobs[id] = job.unfinished == 0 ? nil : job
            return job.unfinished == 0 ? job.end : nil
        }
        end?.settle(.done)
    }
}
