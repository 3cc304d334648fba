import AuditLedger
import FaceModel
import Logging
import Synchronization

/// What the ledger last said of suspensions and revoked keys, and when it was asked.
///
/// Whoever is answered is held to a standing that was asked for at most `ageMax` before, counted from the sending of
/// the question by a clock that nobody sets: so an order that is acknowledged holds here at most `ageMax` later,
/// however this process is cut off or stopped meanwhile.
final class StandingKeeper: Sendable {
    struct Known: Sendable {
        var standing: Standing
        /// The moment before the question was sent.
        var asked: ContinuousClock.Instant

        var age: Duration { asked.duration(to: .now) }
    }

    private struct State {
        var known: Known?
        /// The question that is under way.
        var asking: Task<Void, Never>?
        /// Why the last one was not answered.
        var failure: LedgerError?
    }

    static let ageMax = Duration.milliseconds(Limits.standingMilliseconds)
    private static let pause = Duration.milliseconds(20)

    private let ledger: any LedgerService
    private let log: Logger
    private let state = Mutex(State())

    init(_ ledger: any LedgerService, log: Logger) {
        self.ledger = ledger
        self.log = log
    }

    /// However old.
    var known: Known? { state.withLock { $0.known } }

    /// One that is young enough to answer by: at once where the ledger is asked regularly, else as soon as it answers.
    /// The error says why it gave none.
    func fresh(until deadline: ContinuousClock.Instant) async throws(LedgerError) -> Standing {
        while true {
            if let known, known.age < Self.ageMax { return known.standing }
            let (_, failure) = begin()
            let reason = failure ?? .unreachable(reason: "no time was left to ask it")
            guard ContinuousClock.now < deadline, reason.mayPass else { throw reason }
            // Woken early only where nobody waits for the answer any more.
            guard (try? await Task.sleep(for: Self.pause)) != nil else { throw reason }
        }
    }

    /// Asks now, or waits for the question that is under way.
    func ask() async { await begin().question.value }

    /// The question that is under way, and why the one before was not answered.
    private func begin() -> (question: Task<Void, Never>, failure: LedgerError?) {
        state.withLock { state in
            let question = state.asking ?? Task { await self.askOnce() }
            state.asking = question
            return (question, state.failure)
        }
    }

    private func askOnce() async {
        var generator = SystemRandomNumberGenerator()
        let request = RequestID(.random(using: &generator).stamped(version: 4))
        let asked = ContinuousClock.now
        do throws(LedgerError) {
            // An answer that comes later is too old.
            let standing = try await ledger.standing(LedgerCall(deadline: asked + Self.ageMax, request: request))
            note(Known(standing: standing, asked: asked), failure: nil)
        } catch {
            note(nil, failure: error)
        }
    }

    /// Says in the log when the ledger falls silent and when it is back, and nothing in between.
    private func note(_ answer: Known?, failure: LedgerError?) {
        let changed = state.withLock { state in
            state.asking = nil
            if let answer { state.known = answer }
            defer { state.failure = failure }
            return (state.failure == nil) != (failure == nil)
        }
        guard changed else { return }
        if let failure {
            log.warning(
                "the ledger does not say who is suspended: requests wait for it",
                metadata: ["reason": "\(failure.sentence)"])
        } else {
            log.notice("the ledger says again who is suspended")
        }
    }
}

extension LedgerError {
    /// Waiting may help: another copy may decide soon, or room come back.
    fileprivate var mayPass: Bool {
        switch self {
        case .refusing, .unreachable: true
        case .damaged, .stopped, .suspended, .keyRevoked: false
        }
    }
}
