import ClusterModel
import Foundation

/// Paths as etcd's keys, and ranges of them.
extension EtcdControlPlane {
    /// Written by every transaction, so that its revision is that of the last one: one cheap read tells a watch whether
    /// it has missed anything, deletions too.
    static let changedPath = "changed"
    private static let pageAttempts = 3

    func stored(_ path: String) -> Data { Data((prefix + path).utf8) }

    /// The key behind every key that begins with the prefix, which ends in "/": "0" follows in ASCII.
    func end(_ path: String) -> Data { Data((prefix + path).utf8.dropLast()) + Data("0".utf8) }

    /// A key that is no UTF-8 gives a path that belongs to no register.
    func register(_ found: EtcdKeyValue) -> StoredRegister {
        StoredRegister(
            path: String(decoding: found.key.dropFirst(prefix.utf8.count), as: UTF8.self),
            value: [UInt8](found.value ?? Data()), revision: Revision(found.modRevision.value))
    }

    /// Everything below a path, read in pages of one revision. Errors: the revision was compacted between pages, again
    /// and again.
    func all(_ path: String) async throws(ControlPlaneError) -> (registers: [StoredRegister], revision: Revision) {
        var failure = EtcdFailure(kind: .compacted, reason: "", maybeDone: false)
        for _ in 0..<Self.pageAttempts {
            do throws(EtcdFailure) { return try await pages(path) } catch {
                failure = error
                guard error.kind == .compacted else { break }
            }
        }
        throw failure.ofRead
    }

    private func pages(
        _ path: String
    ) async throws(EtcdFailure) -> (registers: [StoredRegister], revision: Revision) {
        var registers: [StoredRegister] = []
        var request = EtcdRangeRequest(
            key: stored(path), rangeEnd: end(path), limit: EtcdNumber(Int64(client.configuration.pageSize)))
        while true {
            let answer: EtcdRangeResponse = try await client.ask("/v3/kv/range", request).answer
            guard let revision = request.revision ?? answer.header.revision else { throw .nonsense("no revision") }
            request.revision = revision
            for found in answer.kvs ?? [] {
                let register = register(found)
                if register.path != Self.changedPath { registers.append(register) }
            }
            guard answer.more == true else { return (registers, Revision(revision.value)) }
            // A page that does not move on would be asked for until memory ends.
            guard let last = answer.kvs?.last?.key, last >= request.key else { throw .nonsense("an empty page") }
            request.key = last + Data([0])
        }
    }
}

extension Data {
    fileprivate static func >= (a: Data, b: Data) -> Bool { !a.lexicographicallyPrecedes(b) }
}
