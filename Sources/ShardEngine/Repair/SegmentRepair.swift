import ClusterModel
import FaceModel
import Foundation
import Replication
import SegmentStore
import Synchronization

/// A copy's rotten segments, and what is done about them: one after the other is written anew.
struct SegmentRepair {
    /// After the first attempt that got not all from the other copies, and after many: each reads and writes a segment.
    private static let pause = Duration.seconds(5)
    private static let pauseMax = Duration.seconds(300)

    private static let pauseToKnow = Duration.milliseconds(500)
    private static let pauseOfHandover = Duration.seconds(10)

    private(set) var faults: [UInt64: SegmentError] = [:]
    var run: RepairRun?
    private var notBefore: ContinuousClock.Instant?
    /// In vain.
    private var attempts = 0
    private var handedOverAt: ContinuousClock.Instant?
    /// What was last said of it, so that it is not said each time.
    private var said: String?

    var isNeeded: Bool { !faults.isEmpty }

    /// False where it was known.
    mutating func add(_ segment: UInt64, _ fault: SegmentError) -> Bool {
        faults.updateValue(fault, forKey: segment) == nil
    }

    mutating func end(_ segment: UInt64) {
        faults[segment] = nil
        (notBefore, attempts, said) = (nil, 0, nil)
    }

    /// What is to be repaired next; nil where nothing is, or not yet.
    var next: (segment: UInt64, fault: SegmentError)? {
        guard run == nil, notBefore.map({ $0 <= .now }) ?? true else { return nil }
        return faults.min { $0.key < $1.key }.map { ($0.key, $0.value) }
    }

    /// Whether the shard is to be handed to another copy now: several that are rotten do not pass it round.
    mutating func handsOver() -> Bool {
        guard isNeeded, handedOverAt.map({ $0 + Self.pauseOfHandover <= .now }) ?? true else { return false }
        handedOverAt = .now
        return true
    }

    /// Something that will soon be known is not yet.
    mutating func wait() { notBefore = .now + Self.pauseToKnow }

    /// Each time twice as long. Whether `reason` has not been said before.
    mutating func postpone(_ reason: String, isHopeless: Bool) -> Bool {
        notBefore = .now + (isHopeless ? Self.pauseMax : min(Self.pause * (1 << min(attempts, 10)), Self.pauseMax))
        attempts += 1
        defer { said = reason }
        return said != reason
    }

    /// Milliseconds until it is tried again; nil where nothing is to be.
    var patience: Int? {
        guard isNeeded, run == nil, let notBefore else { return nil }
        return max(1, Int(ContinuousClock.now.duration(to: notBefore) / .milliseconds(1)) + 1)
    }
}

/// One segment that is written anew, on a thread of its own; the writer goes on meanwhile.
final class RepairRun: Sendable {
    let job: RepairJob
    private let state: StateSnapshot
    private let fetch: RowFetch
    private let ended = DispatchSemaphore(value: 0)

    init(_ job: RepairJob, state: StateSnapshot, fetch: RowFetch) {
        (self.job, self.state, self.fetch) = (job, state, fetch)
    }

    func cancel() { fetch.cancel() }

    /// Returns when nothing is read or written any more. Once.
    func awaitEnd() { ended.wait() }

    /// `end` is called once.
    func start(_ end: @escaping @Sendable (Result<RepairedSegment, ReplicaError>) -> Void) {
        let thread = Thread { [self] in
            let result: Result<RepairedSegment, ReplicaError>
            do throws(ReplicaError) { result = .success(try write()) } catch { result = .failure(error) }
            ended.signal()
            end(result)
        }
        thread.name = "facet-repair"
        thread.start()
    }

    private func write() throws(ReplicaError) -> RepairedSegment {
        let rows = try state.rows(of: job.rotten)
        do throws(SegmentError) {
            return try job.write(rows, isWanted: { fetch.isWanted }, supply: { fetch.rows(of: $0) })
        } catch {
            throw .segments(error)
        }
    }
}
