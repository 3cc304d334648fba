package import AuditLedger
import ClusterModel
package import FaceModel
import Logging
package import Replication
package import StorageIO
import Synchronization

/// A node's copy of the ledger, where it keeps one: it comes and goes as the registers say.
///
/// A copy that they name on this node is opened, and made where it is new; one that they name no more is closed. Files
/// of a copy that left stay where they are until another copy needs the place, and then beside it: what proves who
/// searched is never removed by a program.
package final class LedgerShelf: LedgerService {
    /// Of a copy with this id; throws where this node lacks the key that all copies share.
    package typealias Settings = @Sendable (ReplicaID) throws(DataDirectoryError) -> LedgerSettings

    private struct State {
        var replica: LedgerReplica?
        /// The names in the register that was seen last.
        var named: Set<ReplicaID> = []
        /// What is under way, and behind that whatever came meanwhile.
        var last: Task<Void, Never>?
        var isStopping = false
    }

    /// Until the registers are read again where they could not be, or the key was not there.
    private static let pause = Duration.seconds(5)

    package let shard: ShardID
    private let files: any FileSystem
    private let surroundings: ReplicaSurroundings
    private let settings: Settings
    private let state = Mutex(State())
    private let log = Logger(label: "facet.ledger")

    package init(
        cluster: Bits128, on files: any FileSystem, surroundings: ReplicaSurroundings,
        settings: @escaping Settings
    ) {
        shard = ShardID(cluster)
        self.files = files
        self.surroundings = surroundings
        self.settings = settings
    }

    /// What this node's copy knows of itself; nil where it keeps none now.
    package var ownStatus: LedgerStatus? { replica?.ownStatus }

    /// Its part among the copies; nil where there is none here, or not yet.
    var role: ReplicaCondition.Role? { replica?.role }

    private var replica: LedgerReplica? { state.withLock { $0.replica } }

    /// Opens the copy with this id. Returns once its files are read.
    package func open(_ replica: ReplicaID) async throws(DataDirectoryError) {
        let settings = try settings(replica)
        await inTurn { [self] in await begin(settings) }.value
    }

    /// Closes the copy, after whatever is under way.
    package func stop() async {
        state.withLock { $0.isStopping = true }
        await inTurn { [self] in await close(.nodeStops) }.value
    }

    /// One change after another, each wholly.
    @discardableResult private func inTurn(_ change: @escaping @Sendable () async -> Void) -> Task<Void, Never> {
        state.withLock { state in
            let earlier = state.last
            let task = Task {
                await earlier?.value
                await change()
            }
            state.last = task
            return task
        }
    }

    private func follow() async {
        guard !isStopping else { return }
        do throws(ControlPlaneError) {
            guard let register = try await surroundings.registers.read(shard)?.configuration else { return }
            if let kept = replica {
                // A register from a backup, older than what the copy has seen, moves nothing: the copy stops and says so.
                guard !register.named.contains(kept.replica), register.version >= kept.versionSeen else { return }
                log.notice("this node keeps its copy of the ledger no more; the files stay until they are removed")
                await close(.dropped)
            }
            guard let named = try await ownCopy(among: register.named) else { return }
            do throws(DataDirectoryError) {
                await begin(try settings(named))
            } catch {
                log.error(
                    "this node is to keep a copy of the ledger and cannot", metadata: ["reason": "\(error)"])
                followLater()
            }
        } catch {
            log.warning("the ledger's registers cannot be read", metadata: ["reason": "\(error)"])
            followLater()
        }
    }

    private func ownCopy(among named: [ReplicaID]) async throws(ControlPlaneError) -> ReplicaID? {
        let processes = try await surroundings.registers.processes(of: shard)
        // A copy's own register may come to be known after the one that names it.
        if named.contains(where: { processes[$0] == nil }) { followLater() }
        return named.first { processes[$0]?.node == surroundings.node }
    }

    private func followLater() {
        Task { [weak self] in
            // Nobody cancels it; woken early it would look again.
            _ = try? await Task.sleep(for: Self.pause)
            self?.inTurn { [weak self] in await self?.follow() }
        }
    }

    private var isStopping: Bool { state.withLock { $0.isStopping } }

    private func begin(_ settings: LedgerSettings) async {
        guard !isStopping else { return }
        let store = LedgerFiles(directory: settings.directory, files: files)
        do throws(ReplicaError) {
            try store.makeRoom(for: settings.replica)
        } catch {
            // Opening says what is wrong with them.
            log.error("the files of another copy are in the way", metadata: ["reason": "\(error.text)"])
        }
        let replica = await LedgerReplica.open(settings, on: files, surroundings: surroundings) { [weak self] in
            guard let self else { return }
            inTurn { [self] in await replace(settings) }
        }
        state.withLock { $0.replica = replica }
        // What changed while it was opened was told to nobody. Where it cannot be read the copy asks when it needs to know.
        if let register = try? await surroundings.registers.read(shard) { replica.observe(register, of: shard) }
    }

    private func close(_ end: ReplicaEnd) async {
        let replica = state.withLock { state in
            defer { state.replica = nil }
            return state.replica
        }
        await replica?.stop(end)
    }

    /// A loss was accepted, or the registers were made anew: the copy goes on in that generation.
    private func reopen(as generation: Generation) async {
        guard let kept = replica, let role = kept.role, role.configuration.generation < generation else { return }
        await close(.replaced)
        do throws(DataDirectoryError) {
            await begin(try settings(kept.replica))
        } catch {
            log.error("this node is to keep a copy of the ledger and cannot", metadata: ["reason": "\(error)"])
            followLater()
        }
    }

    /// What fails on the way leaves the copy that was there.
    private func replace(_ settings: LedgerSettings) async {
        guard replica?.replica == settings.replica else { return }
        await close(.replaced)
        do throws(FileError) {
            try LedgerFiles(directory: settings.directory, files: files).replaceWithFetched()
        } catch {
            log.error("a copy that was fetched cannot be put in its place", metadata: ["reason": "\(error.sentence)"])
        }
        await begin(settings)
    }
}

/// As the copy that is here answers.
extension LedgerShelf {
    package func append(_ entry: LedgerEntry, _ call: LedgerCall) async throws(LedgerError) -> UInt64 {
        try await kept().append(entry, call)
    }

    package func record(
        of search: SearchID, tenant: TenantID, _ call: LedgerCall
    ) async throws(LedgerError) -> SearchRecord? { try await kept().record(of: search, tenant: tenant, call) }

    package func status(_ call: LedgerCall) async throws(LedgerError) -> LedgerStatus { try await kept().status(call) }

    package func standing(_ call: LedgerCall) async throws(LedgerError) -> Standing { try await kept().standing(call) }

    private func kept() throws(LedgerError) -> LedgerReplica {
        guard let replica else { throw .unreachable(reason: "node \(surroundings.node) keeps no copy of it now") }
        return replica
    }
}

/// As the copy that is here, to those of other nodes.
extension LedgerShelf: ReplicaHost {
    /// It has no faces.
    package func rows(of faces: [FaceID], _ shard: ShardID) async -> [[UInt8]]? { nil }

    package func receive(_ letter: ReplicaLetter) { replica?.receive(letter) }

    package func report(of shard: ShardID) async -> ReplicaReport? { await replica?.report(of: shard) }

    /// The ledger's register as it was read or has changed.
    package func observe(_ register: RegisterState, of shard: ShardID) {
        guard shard == self.shard else { return }
        if let kept = replica, let role = kept.role,
            register.isSuccessor(of: role.configuration.generation, for: kept.replica)
        {
            inTurn { [self] in await reopen(as: register.configuration.generation) }
        } else {
            replica?.observe(register, of: shard)
        }
        let named = Set(register.configuration.named)
        let isNews = state.withLock { state in
            defer { state.named = named }
            return state.named != named
        }
        if isNews { inTurn { [self] in await follow() } }
    }

    func retire(_ replica: ReplicaID) async throws(ShardError) {
        guard let own = self.replica else { throw .unknownShard(shard) }
        try await own.retire(replica)
    }

    package func listing(of shard: ShardID, for receiver: ReplicaID) async -> CopyListing? {
        await replica?.listing(of: shard, for: receiver)
    }

    package func read(_ chunk: CopyChunk, of shard: ShardID) async -> [UInt8]? {
        await replica?.read(chunk, of: shard)
    }

    package func release(_ number: UInt64, of shard: ShardID) async {}
}
