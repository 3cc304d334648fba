package import AuditLedger
package import FaceModel
import Synchronization

/// A ledger that remembers, and refuses when told to.
package final class FakeLedger: LedgerService {
    private let state = Mutex<(entries: [LedgerEntry], refusing: String?, silence: String?)>(([], nil, nil))

    package var entries: [LedgerEntry] { state.withLock { $0.entries } }
    package func refuse(_ reason: String?) { state.withLock { $0.refusing = reason } }
    /// From now on it does not say who is suspended.
    package func fall(silent reason: String?) { state.withLock { $0.silence = reason } }

    package func append(_ entry: LedgerEntry, _ call: LedgerCall) async throws(LedgerError) -> UInt64 {
        let outcome: Result<UInt64, LedgerError> = state.withLock { state in
            if let reason = state.refusing { return .failure(.refusing(reason: reason)) }
            state.entries.append(entry)
            return .success(UInt64(state.entries.count - 1))
        }
        return try outcome.get()
    }

    package func record(
        of search: SearchID, tenant: TenantID, _ call: LedgerCall
    ) async throws(LedgerError) -> SearchRecord? { nil }

    package func standing(_ call: LedgerCall) async throws(LedgerError) -> Standing {
        let outcome: Result<Standing, LedgerError> = state.withLock { state in
            if let silence = state.silence { return .failure(.unreachable(reason: silence)) }
            var standing = Standing()
            for (index, entry) in state.entries.enumerated() {
                guard case .order(let order) = entry else { continue }
                standing.take(order, at: UInt64(index))
            }
            return .success(standing)
        }
        return try outcome.get()
    }

    package func status(_ call: LedgerCall) async throws(LedgerError) -> LedgerStatus {
        LedgerStatus(treeSize: UInt64(entries.count), rootHash: [], verifierKey: "", refusing: nil)
    }
}
