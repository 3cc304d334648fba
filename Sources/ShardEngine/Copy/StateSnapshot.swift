import GRDB

/// `state.sqlite` as it was at one moment; the replica goes on meanwhile.
struct StateSnapshot: Sendable {
    private let snapshot: DatabaseSnapshot

    /// For the writer's thread, between two transactions: what it has applied is what the snapshot shows.
    init(of state: ShardState) throws(ReplicaError) {
        do { snapshot = try state.pool.makeSnapshot() } catch { throw ReplicaError.state(error, path: state.path) }
    }

    /// Writes a database that holds the same to `path`, where there is no file.
    func write(to path: String) throws(ReplicaError) {
        do {
            let copy = try DatabaseQueue(path: path)
            try snapshot.backup(to: copy)
            try copy.close()
        } catch {
            throw ReplicaError.state(error, path: path)
        }
    }
}
