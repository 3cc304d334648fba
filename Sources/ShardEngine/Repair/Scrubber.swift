import FaceModel
import Foundation
import Logging
import StorageIO

/// Has every copy of a node read whole once in a while, one after the other: a disk forgets where nobody looks.
package struct Scrubber: Sendable {
    /// What it takes of the disk at most.
    private static let bytesPerSecond = 16 << 20
    /// Between two looks at which copies are due.
    private static let pauseMax = Duration.seconds(60)

    private let shards: ShardNode
    private let interval: Duration
    private let pace: ScrubPace
    private let queue = DispatchQueue(label: "facet-scrub", qos: .utility)
    private let log = Logger(label: "facet.node")

    /// Each copy is read once in `interval`.
    package init(of shards: ShardNode, every interval: Duration) {
        self.shards = shards
        self.interval = interval
        pace = ScrubPace(bytesPerSecond: Self.bytesPerSecond)
    }

    /// Until the task is cancelled; what is being read is left then.
    package func run() async {
        await withTaskCancellationHandler {
            while !Task.isCancelled {
                for replica in shards.shelf.opened where isDue(replica) && !Task.isCancelled { await scrub(replica) }
                // Woken early only when the task is cancelled.
                _ = try? await Task.sleep(for: min(interval, Self.pauseMax))
            }
        } onCancel: {
            pace.end()
        }
    }

    private func scrub(_ replica: ShardReplica) async {
        await withCheckedContinuation { continuation in
            queue.async {
                if ScrubPass(replica: replica, pace: pace).run() { note(replica) }
                continuation.resume()
            }
        }
    }

    /// One that is damaged is known to be, and waits for its repair or its end.
    private func isDue(_ replica: ShardReplica) -> Bool {
        guard !replica.isDamaged else { return false }
        guard let last = lastPass(replica) else { return true }
        let age = Date.now.timeIntervalSince1970 - last
        // A clock that was set back makes it due, too.
        return age < 0 || age >= interval / .seconds(1)
    }

    /// Seconds since 1970; nil where nobody knows.
    private func lastPass(_ replica: ShardReplica) -> Double? {
        let folder = replica.folder
        guard let bytes = try? AtomicFile.read(folder.path + "/" + ScrubPass.fileName, on: folder.files, limit: 32)
        else {
            return nil
        }
        return Double(String(decoding: bytes, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines))
    }

    private func note(_ replica: ShardReplica) {
        let folder = replica.folder
        let text = "\(Int(Date.now.timeIntervalSince1970))\n"
        do throws(FileError) {
            try AtomicFile.write(Array(text.utf8), to: folder.path + "/" + ScrubPass.fileName, on: folder.files)
        } catch {
            log.warning(
                "it cannot be noted that a copy was read whole",
                metadata: ["shard": "\(replica.descriptor.shard)", "reason": "\(error.sentence)"])
        }
    }
}
