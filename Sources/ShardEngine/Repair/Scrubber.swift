import FaceModel
import Foundation
import Logging
import StorageIO

/// Has every copy of a node read whole once in a while, one after the other: a disk forgets where nobody looks.
package struct Scrubber: Sendable {
    /// What it takes of the disk at most, but for the ledger.
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
                // One that is damaged is known to be, and waits for its repair or its end.
                for replica in shards.shelf.opened where !replica.isDamaged {
                    await scrub(notedIn: replica.folder.scrubbed) { ScrubPass(replica: replica, pace: pace).run() }
                }
                if let ledger = shards.ledgerDirectory, hasLedger(ledger) {
                    // Beside it: every file of a ledger is under a checksum.
                    await scrub(notedIn: ledger + "-scrubbed") { ledgerIsSound(ledger) }
                }
                // Woken early only when the task is cancelled.
                _ = try? await Task.sleep(for: min(interval, Self.pauseMax))
            }
        } onCancel: {
            pace.end()
        }
    }

    /// Where it is due. `isSound`: reads the files; whether all of them were, and are as they were written. A node that
    /// stops does not wait for what is only read.
    private func scrub(notedIn path: String, _ isSound: @escaping @Sendable () -> Bool) async {
        guard pace.goesOn, isDue(path) else { return }
        let end = Promise<Void>()
        queue.async {
            if isSound(), pace.goesOn { note(path) }
            end.settle(())
        }
        _ = await end.value()
    }

    /// As `facectl ledger verify` does; what a writer beside it moves is no fault the second time. Once for each interval,
    /// for nobody mends it but an operator.
    private func ledgerIsSound(_ directory: String) -> Bool {
        guard LedgerInspection.verify(directory: directory, on: shards.files).fault != nil,
            let fault = LedgerInspection.verify(directory: directory, on: shards.files).fault
        else { return true }
        log.critical("the ledger's files are rotten", metadata: ["directory": "\(directory)", "reason": "\(fault)"])
        RotMetrics().found()
        return true
    }

    /// Not where none was begun yet, or it cannot be told: then the next look says.
    private func hasLedger(_ directory: String) -> Bool {
        let files = LedgerFiles(directory: directory, files: shards.files)
        return (try? shards.files.exists(files.verifierKeyPath)) == true
    }

    private func isDue(_ path: String) -> Bool {
        guard let last = lastPass(path) else { return true }
        let age = Date.now.timeIntervalSince1970 - last
        // A clock that was set back makes it due, too.
        return age < 0 || age >= interval / .seconds(1)
    }

    /// Seconds since 1970; nil where nobody knows.
    private func lastPass(_ path: String) -> Double? {
        guard let bytes = try? AtomicFile.read(path, on: shards.files, limit: 32) else { return nil }
        return Double(String(decoding: bytes, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines))
    }

    private func note(_ path: String) {
        let text = "\(Int(Date.now.timeIntervalSince1970))\n"
        do throws(FileError) {
            try AtomicFile.write(Array(text.utf8), to: path, on: shards.files)
        } catch {
            log.warning("it cannot be noted that files were read whole", metadata: ["reason": "\(error.sentence)"])
        }
    }
}
