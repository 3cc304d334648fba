package import AuditLedger
package import ClusterModel
package import FaceModel
package import KeyHierarchy
import Logging

/// The coordinator's core: collections, enrolment, search. It holds no durable state of its own.
///
/// Every method may be called from any task at any time, in any number of processes over one control plane. A search's
/// intent is recorded while it runs, its result before it is returned; when the ledger refuses, so does the search.
package final class FaceIndex: Sendable {
    package let extractor: any FaceExtractor
    let controlPlane: any ControlPlane
    let shards: any ShardService
    let ledger: any LedgerService
    let masterKey: MasterKey
    let settings: CoordinatorSettings
    let now: @Sendable () -> Timestamp
    let cache = CollectionCache()
    let directories = BucketDirectories()
    let starts = NodeStarts()
    let seat = ControllerSeat()
    let silence = SilentNodes()
    let log = Logger(label: "facet.coordinator")
    let measures = CoordinatorMetrics()
    let standings: StandingKeeper

    package init(
        controlPlane: any ControlPlane, shards: any ShardService, ledger: any LedgerService,
        extractor: any FaceExtractor, masterKey: MasterKey, settings: CoordinatorSettings = CoordinatorSettings(),
        now: @escaping @Sendable () -> Timestamp
    ) {
        self.controlPlane = controlPlane
        self.shards = shards
        self.ledger = ledger
        self.extractor = extractor
        self.masterKey = masterKey
        self.settings = settings
        self.now = now
        standings = StandingKeeper(ledger, log: log)
    }

    package var model: FaceModelDescription { extractor.model }

    /// Opens every copy of every collection's shards and finishes creations and deletions that were cut short. What
    /// cannot be opened within `limit` is logged and leaves only its collection unavailable; it is opened when it is
    /// next asked, or by `openCopies`.
    package func start(within limit: Duration = .seconds(600)) async throws(CoordinatorError) {
        try await openCopies(within: limit)
        try await finishDeletions()
    }

    /// The scope of work that no client asked for.
    func ownScope(_ limit: Duration) -> CallScope {
        var generator = SystemRandomNumberGenerator()
        return CallScope(
            deadline: .now + limit, request: RequestID(.random(using: &generator).stamped(version: 4)))
    }

    func read(_ key: RegisterKey) async throws(CoordinatorError) -> Register? {
        do throws(ControlPlaneError) { return try await controlPlane.read(key) } catch { throw .controlPlane(error) }
    }

    /// Never behind, at the price of asking the store itself.
    func readFresh(_ key: RegisterKey) async throws(CoordinatorError) -> Register? {
        do throws(ControlPlaneError) {
            return try await controlPlane.readFresh(key)
        } catch {
            throw .controlPlane(error)
        }
    }

    /// What a mirror shows; what it does not show may only be new.
    func readOrReadFresh(_ key: RegisterKey) async throws(CoordinatorError) -> Register? {
        if let register = try await read(key) { return register }
        return try await readFresh(key)
    }

    func list(_ family: RegisterFamily) async throws(CoordinatorError) -> [Register] {
        do throws(ControlPlaneError) { return try await controlPlane.list(family) } catch { throw .controlPlane(error) }
    }

    func commit(_ changes: [RegisterTransaction.Change]) async throws(CoordinatorError) -> TransactionOutcome {
        do throws(ControlPlaneError) {
            return try await controlPlane.commit(RegisterTransaction(changes))
        } catch {
            throw .controlPlane(error)
        }
    }

    /// Runs `body` for every item, at most `width` at a time.
    func forEach<Item: Sendable>(
        _ items: [Item], atOnce width: Int, _ body: @escaping @Sendable (Item) async -> Void
    ) async {
        await withTaskGroup(of: Void.self) { group in
            for (position, item) in items.enumerated() {
                if position >= width { await group.next() }
                group.addTask { await body(item) }
            }
        }
    }
}
