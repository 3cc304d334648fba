package import ClusterModel
import Foundation
package import Logging

/// The control plane of a cluster: etcd through its v3 JSON gateway.
///
/// Every read is linearizable and every transaction durable on a majority of etcd's members when it returns. Safe to
/// use from many tasks. `shutdown` before letting go of it.
package final class EtcdControlPlane: ControlPlane {
    let client: EtcdClient
    let prefix: String

    /// Reads the certificate files; asks nothing of etcd yet.
    package init(
        _ configuration: EtcdConfiguration, log: Logger = Logger(label: "control-plane")
    ) throws(ControlPlaneError) {
        client = try EtcdClient(configuration, log: log)
        prefix = "facet/\(configuration.cluster)/"
    }

    /// Closes every connection. What is under way fails.
    package func shutdown() async throws(ControlPlaneError) { try await client.shutdown() }

    package func read(_ key: RegisterKey) async throws(ControlPlaneError) -> Register? {
        let answer: EtcdRangeResponse
        do throws(EtcdFailure) {
            answer = try await client.ask("/v3/kv/range", EtcdRangeRequest(key: stored(key.path))).answer
        } catch {
            throw error.ofRead
        }
        return try answer.kvs?.first.map { found throws(ControlPlaneError) in try register(found).decoded() }
    }

    package func list(_ family: RegisterFamily) async throws(ControlPlaneError) -> [Register] {
        var registers: [Register] = []
        for register in try await all(family.prefix).registers { registers.append(try register.decoded()) }
        return registers
    }

    package func snapshot() async throws(ControlPlaneError) -> RegisterSnapshot {
        let (stored, revision) = try await all("")
        let decoded = DecodedRegisters(stored)
        return RegisterSnapshot(registers: decoded.readable, unreadable: decoded.unreadable, revision: revision)
    }

    package func changes(after revision: Revision) -> AsyncThrowingStream<RegisterChanges, any Error> {
        ChangeStream.make { await EtcdWatch(self, after: revision, into: $0).run() }
    }

    /// A transaction whose answer was lost is sent again: it compares revisions, so that it cannot be done twice. When
    /// the registers then hold what it would have written, it was done.
    package func commit(_ transaction: RegisterTransaction) async throws(ControlPlaneError) -> TransactionOutcome {
        transaction.checkBounds()
        do throws(EtcdFailure) {
            let answered: EtcdClient.Answered<EtcdTransactionResponse> = try await client.ask(
                "/v3/kv/txn", request(for: transaction))
            let answer = answered.answer
            guard let revision = answer.header.revision else { throw EtcdFailure.nonsense("no revision") }
            if answer.succeeded == true { return .committed(Revision(revision.value)) }
            let found = try registers(of: transaction, in: answer)
            if answered.afterUnsure, Self.isDone(transaction, found) { return .committed(Revision(revision.value)) }
            return .conflict(try moved(transaction, found))
        } catch {
            guard error.kind != .leaseEnded else { return .leaseEnded }
            throw error.ofTransaction
        }
    }

    /// Compares every register's revision; the branch of failure reads what they are.
    private func request(for transaction: RegisterTransaction) -> EtcdTransactionRequest {
        var request = EtcdTransactionRequest(compare: [], success: [], failure: [])
        for change in transaction.changes {
            let (target, expecting) = change.target
            let key = stored(target.path)
            request.compare.append(EtcdCompare(key: key, modRevision: EtcdNumber(expecting.value)))
            request.failure.append(EtcdOperation(requestRange: EtcdRangeRequest(key: key)))
            switch change {
            case .put(let value, _):
                let put = EtcdOperation.Put(
                    key: key, value: Data(RegisterCodec.encode(value)),
                    lease: transaction.lease.map { EtcdNumber($0.value) })
                request.success.append(EtcdOperation(requestPut: put))
            case .delete:
                request.success.append(EtcdOperation(requestDeleteRange: .init(key: key)))
            case .unchanged: break
            }
        }
        request.success.append(EtcdOperation(requestPut: .init(key: stored(Self.changedPath), value: Data())))
        return request
    }

    /// What a transaction that failed found in place of each register, nil where there is none.
    private func registers(
        of transaction: RegisterTransaction, in answer: EtcdTransactionResponse
    ) throws(EtcdFailure) -> [EtcdKeyValue?] {
        let found = answer.responses ?? []
        guard found.count == transaction.changes.count else {
            throw EtcdFailure(kind: .endpoint, reason: "a conflict without its registers", maybeDone: false)
        }
        return found.map { $0.responseRange?.kvs?.first }
    }

    /// Whether all that the transaction writes is there, written at one revision. What it only compares may have moved
    /// since; a transaction that writes nothing leaves no trace, and so counts as not done.
    private static func isDone(_ transaction: RegisterTransaction, _ found: [EtcdKeyValue?]) -> Bool {
        var revisions: Set<Int64> = []
        var writes = false
        for (change, register) in zip(transaction.changes, found) {
            switch change {
            case .put(let value, _):
                guard let register, register.value == Data(RegisterCodec.encode(value)) else { return false }
                revisions.insert(register.modRevision.value)
                writes = true
            case .delete:
                guard register == nil else { return false }
                writes = true
            case .unchanged: break
            }
        }
        return writes && revisions.count <= 1
    }

    private func moved(
        _ transaction: RegisterTransaction, _ found: [EtcdKeyValue?]
    ) throws(EtcdFailure) -> RegisterKey {
        for (change, register) in zip(transaction.changes, found)
        where (register?.modRevision.value ?? 0) != change.target.expecting.value {
            return change.target.key
        }
        throw EtcdFailure(kind: .endpoint, reason: "a conflict in which no register has moved", maybeDone: false)
    }
}
