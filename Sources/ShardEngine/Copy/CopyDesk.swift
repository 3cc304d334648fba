import FaceModel
import Foundation
import Logging
import Replication
import Synchronization

/// Lends a replica's files to another copy that is built from them: one at a time, as they were at one moment.
///
/// The writer gives what it has between two batches and goes on; the copy of its state, and the sums over all files, are
/// made on a thread of their own. Nothing is taken from merges: an open file can be read when its name is gone.
final class CopyDesk: Sendable {
    /// What nobody has asked for so long is not lent any more: whoever asks, asks every few seconds at most.
    private static let idleMax = Duration.seconds(60)

    private enum State {
        case free
        /// The number of the listing that will be.
        case making(UInt64, for: ReplicaID)
        case lent(LentCopy, for: ReplicaID, askedAt: ContinuousClock.Instant)
    }

    private let shard: ShardID
    private let folder: ShardFolder
    private let inbox: ReplicaInbox<WaitingRequest>
    private let alarm: RotAlarm
    private let state = Mutex((current: State.free, number: UInt64(0)))
    /// Reading may wait for a disk.
    private let reading = DispatchQueue(label: "facet-copy")
    private let log = Logger(label: "facet.shard")

    init(shard: ShardID, folder: ShardFolder, inbox: ReplicaInbox<WaitingRequest>, alarm: RotAlarm) {
        (self.shard, self.folder, self.inbox, self.alarm) = (shard, folder, inbox, alarm)
    }

    /// Nil while it is made ready, while it is another's, and where the files cannot be had.
    func listing(for receiver: ReplicaID) -> CopyListing? {
        let now = ContinuousClock.now
        let (listing, begun) = state.withLock { state -> (CopyListing?, UInt64?) in
            switch state.current {
            case .lent(let copy, receiver, _):
                state.current = .lent(copy, for: receiver, askedAt: now)
                return (copy.listing, nil)
            case .lent, .making: return (nil, nil)
            case .free:
                // Never that of another process of this replica, either: nothing of one may pass for the other's.
                state.number = max(state.number + 1, UInt64(Date.now.timeIntervalSince1970 * 1_000))
                state.current = .making(state.number, for: receiver)
                return (nil, state.number)
            }
        }
        if let begun, inbox.add(.errand(.pin { [self] pin in make(pin, begun, for: receiver) })) != nil {
            release(begun)
        }
        return listing
    }

    /// Nil where the chunk is not of what is lent now, or cannot be read.
    func read(_ chunk: CopyChunk) async -> [UInt8]? {
        let now = ContinuousClock.now
        let file = state.withLock { state -> LentFile? in
            guard case .lent(let copy, let receiver, _) = state.current, copy.listing.number == chunk.number else {
                return nil
            }
            state.current = .lent(copy, for: receiver, askedAt: now)
            return copy.files[chunk.file]
        }
        guard let file, 1...CopyListing.chunkBytes ~= chunk.bytes, chunk.offset >= 0,
            chunk.offset <= file.bytes - chunk.bytes
        else { return nil }
        return await withCheckedContinuation { continuation in
            reading.async { [self] in
                do throws(ReplicaError) {
                    continuation.resume(returning: try file.read(chunk.bytes, at: chunk.offset))
                } catch {
                    failed(error)
                    continuation.resume(returning: nil)
                }
            }
        }
    }

    func release(_ number: UInt64) {
        let isOver = state.withLock { state in
            switch state.current {
            case .making(number, _): break
            case .lent(let copy, _, _) where copy.listing.number == number: break
            case .free, .making, .lent: return false
            }
            state.current = .free
            return true
        }
        // A closed inbox has no writer that would keep anything.
        if isOver { _ = inbox.add(.errand(.unpin)) }
    }

    private func make(_ pin: ReplicaPin?, _ number: UInt64, for receiver: ReplicaID) {
        guard let pin else { return release(number) }
        let thread = Thread { [self] in
            do throws(ReplicaError) {
                let copy = try LentCopy(pin, number: number, in: folder.source)
                let isWanted = state.withLock { state in
                    guard case .making(number, _) = state.current else { return false }
                    state.current = .lent(copy, for: receiver, askedAt: .now)
                    return true
                }
                guard isWanted else { return }
                Task { await releaseWhenIdle(number) }
            } catch {
                failed(error)
                release(number)
            }
        }
        thread.name = "facet-copy"
        thread.start()
    }

    private func releaseWhenIdle(_ number: UInt64) async {
        while true {
            let askedAt = state.withLock { state -> ContinuousClock.Instant? in
                guard case .lent(let copy, _, let askedAt) = state.current, copy.listing.number == number else {
                    return nil
                }
                return askedAt
            }
            guard let askedAt else { return }
            guard askedAt + Self.idleMax > .now else { return release(number) }
            // Nobody cancels this task; were it woken early it would look again.
            _ = try? await Task.sleep(until: askedAt + Self.idleMax)
        }
    }

    private func failed(_ error: ReplicaError) {
        if case .segments(let fault) = error { _ = alarm.raise(fault) }
        log.error(
            "a shard's files cannot be copied", metadata: ["shard": "\(shard)", "reason": "\(error.text)"])
    }
}
