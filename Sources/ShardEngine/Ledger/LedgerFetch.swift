import AuditLedger
import FaceModel
import Logging
import Replication
import StorageIO
import WriteAheadLog

/// Fetches the bundles that a copy of the ledger lacks from another, and begins a log behind them.
///
/// What is fetched is held to the signature over the tree that ends with it, bundle by bundle. What is cut short goes on
/// with the first bundle that is missing.
struct LedgerFetch: Sendable {
    private static let patience = Duration.seconds(10)
    /// So that what another node says stays a number of leaves.
    private static let bundlesMax: UInt64 = 1 << 40
    private static let bundleBytesMax = 256 * (Limits.recordPayloadBytesMax + 16)

    let identity: LogIdentity
    let store: LedgerFiles
    let node: NodeID
    let source: any CopySource
    let logger: Logger
    /// After a failure.
    let pause: Duration
    private let disk = DiskQueue(label: "facet-ledger-fetch")

    init(
        identity: LogIdentity, store: LedgerFiles, node: NodeID, source: any CopySource, logger: Logger,
        pause: Duration = .seconds(1)
    ) {
        (self.identity, self.store, self.node) = (identity, store, node)
        (self.source, self.logger, self.pause) = (source, logger, pause)
    }

    /// How far the records reach whose leaves are in this copy's tiles and the fetched ones; nil where they could not be
    /// fetched, after a pause. `machine` is the ledger as far as this copy's tiles go.
    func run(_ machine: LedgerMachine) async -> LogPoint? {
        do throws(CopyError) {
            let listing = await source.listing(
                of: identity.shard, on: node, for: identity.replica, deadline: .now + Self.patience)
            guard let listing else { throw .notReady }
            var machine = machine
            let own = machine.flushedSize / LedgerTile.width
            guard (own...Self.bundlesMax).contains(listing.number) else { throw .badListing }
            logger.notice(
                "a copy of the ledger is fetched",
                metadata: ["from": "\(node)", "leaves": "\((listing.number - own) * LedgerTile.width)"])
            try await disk.run { () throws(CopyError) in try prepare() }
            for number in own..<listing.number { try await fetch(number, of: listing.number, into: &machine) }
            try await disk.run { () throws(CopyError) in try finish(listing) }
            return listing.end
        } catch {
            logger.warning(
                "a copy of the ledger was not fetched", metadata: ["from": "\(node)", "reason": "\(error.text)"])
            // Woken early only when nobody wants the copy any more.
            _ = try? await Task.sleep(for: pause)
            return nil
        }
    }

    private func prepare() throws(CopyError) {
        let log = store.fetched.walDirectory
        do throws(FileError) {
            try store.files.createDirectory(store.fetched.directory)
            if try store.files.exists(log) { try store.files.removeDirectoryTree(log) }
        } catch {
            throw .file(error)
        }
    }

    private func fetch(
        _ number: UInt64, of bundles: UInt64, into machine: inout LedgerMachine
    ) async throws(CopyError) {
        if let known = try await disk.run({ () throws(CopyError) in try found(number) }) {
            do throws(LedgerFault) { return _ = try machine.adopt(known) } catch {
                logger.info("a bundle is fetched again", metadata: ["reason": "\(error)"])
            }
        }
        let bundle = BundleFiles(
            entries: try await read(.entries(number), of: bundles),
            privates: try await read(.privates(number), of: bundles),
            checkpoint: try await read(.checkpoint(number), of: bundles))
        let files: [(tile: LedgerTile, bytes: [UInt8])]
        do throws(LedgerFault) { files = try machine.adopt(bundle) } catch { throw .refused("\(error)") }
        try await disk.run { () throws(CopyError) in
            do throws(FileError) {
                for (tile, bytes) in files {
                    if case .entries = tile {
                        try store.fetched.write(bytes, as: tile)
                    } else {
                        try store.write(bytes, as: tile)
                    }
                }
            } catch {
                throw .file(error)
            }
        }
    }

    /// A bundle that was fetched before; nil where it was not, or not wholly.
    private func found(_ number: UInt64) throws(CopyError) -> BundleFiles? {
        do throws(FileError) {
            guard try store.fetched.exists(.entries(number)) else { return nil }
            return BundleFiles(
                entries: try store.fetched.read(.entries(number)), privates: try store.read(.privates(number)),
                checkpoint: try store.read(.checkpoint(number)))
        } catch {
            if case .notFound = error { return nil }
            throw .file(error)
        }
    }

    private func read(_ tile: LedgerTile, of bundles: UInt64) async throws(CopyError) -> [UInt8] {
        var bytes: [UInt8] = []
        while true {
            guard !Task.isCancelled else { throw .cancelled }
            let wanted = CopyChunk(
                number: bundles, file: tile.path, offset: bytes.count, bytes: CopyListing.chunkBytes)
            let part = await source.read(
                wanted, of: identity.shard, on: node, deadline: .now + Self.patience)
            guard let part else { throw .gone(file: tile.path) }
            bytes += part
            guard bytes.count <= Self.bundleBytesMax else { throw .altered(file: tile.path) }
            if part.count < wanted.bytes { return bytes }
        }
    }

    private func finish(_ listing: CopyListing) throws(CopyError) {
        try listing.beginLog(in: store.fetched.walDirectory, of: identity, on: store.files)
        do throws(FileError) {
            for path in [store.fetched.directory, store.directory] { try store.files.synchronizeDirectory(path) }
        } catch {
            throw .file(error)
        }
    }
}
