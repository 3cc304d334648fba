import FaceModel
import Foundation
import GRDB
import VectorSearch

/// `state.sqlite` as it was at one moment; the replica goes on meanwhile.
struct StateSnapshot: Sendable {
    private let snapshot: DatabaseSnapshot
    let path: String

    /// For the writer's thread, between two transactions: what it has applied is what the snapshot shows.
    init(of state: ShardState) throws(ReplicaError) {
        path = state.path
        do { snapshot = try state.pool.makeSnapshot() } catch { throw ReplicaError.state(error, path: state.path) }
    }

    func read<Value>(_ body: (Database) throws -> Value) throws -> Value { try snapshot.read(body) }

    /// Rows of segments that live faces stand in, by segment.
    func places() throws(ReplicaError) -> [UInt64: RowBitmap] {
        do {
            return try snapshot.read { database in
                var places: [UInt64: RowBitmap] = [:]
                let rows = try Row.fetchCursor(
                    database, sql: "SELECT segment, row FROM face WHERE segment IS NOT NULL")
                while let row = try rows.next() {
                    places[UInt64(row[0] as Int64), default: RowBitmap()].insert(Int(row[1] as UInt32))
                }
                return places
            }
        } catch {
            throw ReplicaError.state(error, path: path)
        }
    }

    /// The same of these faces alone.
    func places(of faces: Set<FaceID>) throws(ReplicaError) -> [UInt64: RowBitmap] {
        do {
            return try snapshot.read { database in
                var places: [UInt64: RowBitmap] = [:]
                let statement = try database.cachedStatement(
                    sql: "SELECT segment, row FROM face WHERE id = ? AND segment IS NOT NULL")
                for id in faces.sorted() {
                    guard let row = try Row.fetchOne(statement, arguments: [Data(id.bits.bytes)]) else { continue }
                    places[UInt64(row[0] as Int64), default: RowBitmap()].insert(Int(row[1] as UInt32))
                }
                return places
            }
        } catch {
            throw ReplicaError.state(error, path: path)
        }
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
