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
            var isFailing = false
            // A sleep that is cancelled ends the loop: the process stops, and nothing failed.
            while (try? await Task.sleep(for: interval)) != nil { isFailing = await !doOnce(isFailing) }
        }
    }

    /// A failure that lasts is said once. True where it was done.
    private func doOnce(_ isFailing: Bool) async -> Bool {
        do throws(CoordinatorError) {
            try await work()
            return true
        } catch {
            if !isFailing { log.warning(complaint, metadata: ["reason": "\(error)"]) }
            return false
        }
    }
}
