import FaceModel
import Foundation
import Logging
import SegmentStore
import StorageIO
import Synchronization
import WriteAheadLog

/// Reads all that a copy has on its disk once: every block of its segments, every record of its log, every row of its state.
/// What is not as it was written is told to the copy's writer, which sees to it.
struct ScrubPass {
    let replica: ShardReplica
    let pace: ScrubPace

    /// Whether all was read, and is as it was written.
    func run() -> Bool {
        segmentsAreSound() && pace.goesOn && logIsSound() && pace.goesOn && stateIsSound() && pace.goesOn
            && replica.published.condition.closed == nil
    }

    /// All of them: a repair is of one at a time, but each is to be known.
    private func segmentsAreSound() -> Bool {
        var areSound = true
        for view in replica.published.current.snapshot.segments where pace.goesOn {
            do throws(SegmentError) {
                try view.segment.check(fromDisk: true) { pace.spend($0) }
            } catch {
                _ = replica.alarm.raise(error)
                areSound = false
            }
        }
        return areSound
    }

    /// Beside the writer, who may cut the log meanwhile: what looks bad is looked at once more.
    private func logIsSound() -> Bool {
        guard logFault() != nil, pace.goesOn, let fault = logFault() else { return true }
        if fault.isRot { tell(.logRotten(fault.sentence)) } else { unread(fault.sentence) }
        return false
    }

    private func logFault() -> LogError? {
        do throws(LogError) {
            try Log.check(directory: replica.folder.log, on: replica.folder.files) { pace.spend($0) }
            return nil
        } catch {
            return error
        }
    }

    private func stateIsSound() -> Bool {
        do throws(ReplicaError) {
            try replica.state.check()
            return true
        } catch {
            guard replica.published.condition.closed == nil else { return false }
            if case .damagedState = error { tell(.stateRotten(error)) } else { unread(error.text) }
            return false
        }
    }

    private func unread(_ reason: String) {
        Logger(label: "facet.shard").error(
            "a copy's files cannot be read whole",
            metadata: ["shard": "\(replica.descriptor.shard)", "reason": "\(reason)"])
    }

    private func tell(_ errand: FaceErrand) {
        // A closed copy has no writer: its next life finds the rot by itself.
        _ = replica.inbox.add(.errand(errand))
    }
}

extension LogError {
    /// Whether bytes are not what was written, or their disk cannot read them.
    fileprivate var isRot: Bool {
        switch self {
        case .lossProven, .damaged, .file(.failed(_, operation: "read", _)), .file(.truncated): true
        case .file, .noSpace, .writeFailed, .stopped, .recordTooLarge, .recordsRemoved, .wrongIdentity, .newerFormat:
            false
        }
    }
}

/// So many bytes a second, until the node stops.
final class ScrubPace: Sendable {
    private let bytesPerSecond: Int
    private let isOver = Atomic(false)
    private let metrics = RotMetrics()

    init(bytesPerSecond: Int) { self.bytesPerSecond = bytesPerSecond }

    var goesOn: Bool { !isOver.load(ordering: .relaxed) }
    func end() { isOver.store(true, ordering: .relaxed) }

    /// Blocks for as long as so many bytes take; false where no more are to be read.
    func spend(_ bytes: Int) -> Bool {
        metrics.read(bytes)
        var left = Double(bytes) / Double(bytesPerSecond)
        while left > 0, goesOn {
            Thread.sleep(forTimeInterval: min(left, 0.5))
            left -= 0.5
        }
        return goesOn
    }
}
