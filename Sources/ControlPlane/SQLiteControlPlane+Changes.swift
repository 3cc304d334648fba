package import ClusterModel
import Foundation
import GRDB

/// What other processes commit is found by asking for the counter again and again: a read of one row.
extension SQLiteControlPlane {
    /// Deletions remembered; a reader further behind takes a new snapshot.
    static let deletionsMax = 4_096
    private static let pollInterval = Duration.milliseconds(100)
    /// Polls without a change after which the reader is told that there was none.
    private static let quietPolls = 10

    package func snapshot() async throws(ControlPlaneError) -> RegisterSnapshot {
        do {
            try await removeEnded()
            return try await database.read { database in
                let rows = try Row.fetchAll(database, sql: "SELECT path, value, revision FROM register ORDER BY path")
                let decoded = DecodedRegisters(rows.map { StoredRegister($0) })
                return RegisterSnapshot(
                    registers: decoded.readable, unreadable: decoded.unreadable,
                    revision: Revision(try Self.counter(database).revision))
            }
        } catch {
            throw Self.unavailable(error, path: path, outcomeUnknown: false)
        }
    }

    package func changes(after revision: Revision) -> AsyncThrowingStream<RegisterChanges, any Error> {
        ChangeStream.make { await self.follow(revision, into: $0) }
    }

    private enum Step: Sendable {
        case changes(RegisterChanges)
        case gap(reason: String)
    }

    /// A poll that fails is tried again: the reader notices the silence, and nothing is lost by it.
    private func follow(_ start: Revision, into stream: ChangeStream) async {
        var seen = start
        var quiet = 0
        while !Task.isCancelled {
            switch try? await step(after: seen) {
            case .gap(let reason):
                return stream.finish(.unavailable(reason: "\(path): \(reason)", outcomeUnknown: false))
            case .changes(let changes):
                quiet = changes.revision > seen ? 0 : quiet + 1
                if changes.revision > seen || quiet % Self.quietPolls == 1, !stream.yield(changes) { return }
                seen = changes.revision
            case nil:
                break
            }
            guard (try? await Task.sleep(for: Self.pollInterval)) != nil else { break }
        }
        stream.finish(nil)
    }

    private func step(after seen: Revision) async throws -> Step {
        try await removeEnded()
        return try await database.read { try Self.step(after: seen, $0) }
    }

    private static func step(after seen: Revision, _ database: Database) throws -> Step {
        let (revision, horizon) = try counter(database)
        guard revision >= seen.value else {
            return .gap(reason: "the file is at revision \(revision), older than \(seen.value): was it restored?")
        }
        guard horizon <= seen.value else {
            return .gap(reason: "what was deleted before revision \(horizon) is forgotten; \(seen.value) was asked for")
        }
        guard revision > seen.value else { return .changes(RegisterChanges(put: [], deleted: [], revision: seen)) }
        let rows = try Row.fetchAll(
            database, sql: "SELECT path, value, revision FROM register WHERE revision > ? ORDER BY revision, path",
            arguments: [seen.value])
        let decoded = DecodedRegisters(rows.map { StoredRegister($0) })
        let deleted = try String.fetchAll(
            database, sql: "SELECT path FROM deletion WHERE revision > ? ORDER BY revision, path",
            arguments: [seen.value])
        return .changes(
            RegisterChanges(
                put: decoded.readable, unreadable: decoded.unreadable, deleted: deleted, revision: Revision(revision)))
    }

    /// Called in each transaction: keeps `deletion` bounded and says in `horizon` how far back it reaches.
    static func forgetOldDeletions(_ database: Database) throws {
        let oldest = try Int64.fetchOne(
            database, sql: "SELECT revision FROM deletion ORDER BY revision DESC LIMIT 1 OFFSET \(deletionsMax)")
        guard let oldest else { return }
        try database.execute(sql: "DELETE FROM deletion WHERE revision <= ?", arguments: [oldest])
        try database.execute(sql: "UPDATE counter SET horizon = ?", arguments: [oldest])
    }

    private static func counter(_ database: Database) throws -> (revision: Int64, horizon: Int64) {
        guard let row = try Row.fetchOne(database, sql: "SELECT revision, horizon FROM counter") else {
            throw DatabaseError(message: "the revision counter is missing")
        }
        return (row["revision"], row["horizon"])
    }
}

extension StoredRegister {
    /// A row with `path`, `value` and `revision`.
    init(_ row: Row) {
        self.init(path: row["path"], value: [UInt8](row["value"] as Data), revision: Revision(row["revision"]))
    }
}
