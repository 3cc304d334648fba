import Coordinator
import Logging
import ServiceLifecycle

/// Work that no client asks for, done again and again while the process answers.
struct Repeated: Service {
    let interval: Duration
    let complaint: Logger.Message
    let work: @Sendable () async throws(CoordinatorError) -> Void
    private let log = Logger(label: "facet.coordinator")

    init(
        every interval: Duration, complaint: Logger.Message,
        work: @escaping @Sendable () async throws(CoordinatorError) -> Void
    ) {
        self.interval = interval
        self.complaint = complaint
        self.work = work
    }

    func run() async {
        await cancelWhenGracefulShutdown {
            // A sleep that is cancelled ends the loop: the process stops, and nothing failed.
            while (try? await Task.sleep(for: interval)) != nil { await doOnce() }
        }
    }

    private func doOnce() async {
        do throws(CoordinatorError) {
            try await work()
        } catch {
            log.warning(complaint, metadata: ["reason": "\(error)"])
        }
    }
}
