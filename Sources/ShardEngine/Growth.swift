package import ClusterModel
package import FaceModel
import Replication
package import StorageIO

/// Makes an embedded server's data directory that of a cluster's first node (docs/decisions/0032). The caller holds the
/// directory's lock.
///
/// After a failure, or a crash, at any place the same may be done again. From the first change on no embedded server
/// starts on the directory; until the last the cluster is not there. A node that is started too early begins one of its
/// own: then the last change is refused, and says so.
package struct Growth {
    package enum Outcome: Hashable, Sendable {
        case grown(registers: Int)
        /// It was done before.
        case done
    }

    private let directory: String
    private let shards: String
    private let ledger: String
    private let files: any FileSystem
    private let server: any ControlPlane
    private let store: any ControlPlane
    private let cluster: String
    private let node: NodeID

    /// `server` has the registers of the embedded server, `store` those of the cluster named `cluster`.
    package init(
        of data: DataDirectory, on files: any FileSystem, from server: any ControlPlane, to store: any ControlPlane,
        of cluster: String, as node: NodeID
    ) {
        (directory, shards, ledger) = (data.path, data.shards, data.ledger)
        self.files = files
        (self.server, self.store) = (server, store)
        (self.cluster, self.node) = (cluster, node)
    }

    package func run() async throws(GrowthError) -> Outcome {
        let (own, there) = (try await snapshot(server), try await snapshot(store))
        guard let grown = GrownRegisters(of: own, as: node) else { throw .noServer(directory: directory) }
        let movedTo = own.movedTo
        if let movedTo, movedTo != cluster { throw .movedElsewhere(directory: directory, cluster: movedTo) }
        if there.cluster?.id == grown.cluster.id {
            guard movedTo == nil else { return .done }
            throw .olderCopy(directory: directory, cluster: cluster)
        }
        if let shard = grown.dividedShard { throw .divided(shard) }
        if let unreadable = own.unreadable.first { throw .unreadable(path: unreadable.path, reason: unreadable.reason) }
        if let path = grown.stranger(in: there) { throw .inUse(cluster: cluster, path: path) }
        if movedTo == nil { try await leave(own) }
        for some in grown.missing(in: there).inTransactions { try await put(some.map { ($0, .absent) }, in: store) }
        try forgetRevisions()
        let incarnation = try renameDirectory(own)
        // Last, and together: a node that starts after it finds all of the cluster.
        try await put(
            [(.cluster(grown.cluster), .absent), (.incarnation(incarnation), .absent)], in: store)
        return .grown(registers: grown.registers.count)
    }

    /// No embedded server starts on the directory any more.
    private func leave(_ own: RegisterSnapshot) async throws(GrowthError) {
        guard let register = own.registers.first(where: { $0.value.key == .cluster }),
            case .cluster(var cluster) = register.value
        else { throw .noServer(directory: directory) }
        cluster.movedTo = self.cluster
        try await put([(.cluster(cluster), register.revision)], in: server)
    }

    /// Revisions are the store's own: by those of the one before, copies would take what the new one says for old.
    private func forgetRevisions() throws(GrowthError) {
        do throws(ReplicaError) {
            for folder in try folders() {
                guard let (shard, replica, memory) = try ReplicaMemoryFile.contents(in: folder, on: files),
                    memory.register.revision != 0
                else { continue }
                var new = memory
                new.register.revision = 0
                do throws(FileError) {
                    try ReplicaMemoryFile(of: shard, replica, in: folder, on: files).write(new)
                } catch {
                    throw .file(error)
                }
            }
        } catch {
            throw .copy(reason: error.text)
        }
    }

    private func folders() throws(ReplicaError) -> [String] {
        do throws(FileError) {
            let names = try files.exists(shards) ? files.list(shards) : []
            return names.filter { ShardID(text: $0) != nil }.sorted().map { shards + "/" + $0 } + [ledger]
        } catch {
            throw .file(error)
        }
    }

    private func renameDirectory(_ own: RegisterSnapshot) throws(GrowthError) -> IncarnationRegister {
        let known = own.registers.lazy.compactMap {
            if case .incarnation(let value) = $0.value, value.node == .embedded { value.incarnation } else { nil }
        }.first
        do throws(NodeIncarnationError) {
            let incarnation = try NodeIncarnation.rename(
                from: .embedded, to: node, directory: directory, files: files, atLeast: known ?? Incarnation(0))
            return IncarnationRegister(node: node, incarnation: incarnation)
        } catch {
            throw .incarnation(error)
        }
    }

    private func snapshot(_ store: any ControlPlane) async throws(GrowthError) -> RegisterSnapshot {
        do throws(ControlPlaneError) { return try await store.snapshot() } catch { throw .controlPlane(error) }
    }

    private func put(
        _ values: [(RegisterValue, Revision)], in store: any ControlPlane
    ) async throws(GrowthError) {
        let changes = values.map { ClusterModel.RegisterTransaction.Change.put($0.0, expecting: $0.1) }
        let outcome: ClusterModel.TransactionOutcome
        do throws(ControlPlaneError) {
            outcome = try await store.commit(ClusterModel.RegisterTransaction(changes))
        } catch {
            throw .controlPlane(error)
        }
        if case .conflict(let key) = outcome { throw .contested(path: key.path) }
    }
}

extension RegisterSnapshot {
    fileprivate var cluster: ClusterRegister? {
        registers.lazy.compactMap { if case .cluster(let value) = $0.value { value } else { nil } }.first
    }

    fileprivate var movedTo: String? { cluster?.movedTo }
}

extension [RegisterValue] {
    /// Maps may be large, and go alone: a store bounds the bytes of a transaction.
    fileprivate var inTransactions: [[RegisterValue]] {
        var parts: [[RegisterValue]] = []
        var open: [RegisterValue] = []
        for value in self {
            if case .map = value {
                parts.append([value])
            } else {
                open.append(value)
            }
            if open.count == ClusterModel.RegisterTransaction.changesMax { (parts, open) = (parts + [open], []) }
        }
        return open.isEmpty ? parts : parts + [open]
    }
}
