import AuditLedger
import ClusterModel
package import FaceModel

/// Who may use the service. The ledger decides; here its word is fetched, kept for a second and applied.
extension FaceIndex {
    /// Refuses whoever is suspended, and whose key is revoked; waits a while, within its time, for a ledger that is
    /// silent. To be called before anything is read or written for a client, and again before the answer leaves.
    package func requireStanding(in context: CallContext) async throws(CoordinatorError) {
        let standing: Standing
        do throws(LedgerError) {
            standing = try await standings.fresh(until: patience(context))
        } catch {
            throw .standingUnknown(error)
        }
        if let refusal = standing.refusal(of: context.tenant, key: context.accessKey) { throw .ledger(refusal) }
    }

    /// Where there are copies another takes over soon; of a lone ledger's node nobody knows when it is back.
    private func patience(_ context: CallContext) -> ContinuousClock.Instant {
        settings.replication.copies > 1
            ? context.deadline
            : min(context.deadline, .now + .milliseconds(Limits.standingWaitMilliseconds))
    }

    /// For what operators must be able to do while an account is suspended or the ledger away: refuses only a key that
    /// is known to be revoked.
    package func requireKey(in context: CallContext) throws(CoordinatorError) {
        if standings.known?.standing.isRevoked(context.accessKey) == true { throw .ledger(.keyRevoked) }
    }

    /// To be called every `Limits.standingAskMilliseconds`, so that requests need not wait.
    package func refreshStanding() async { await standings.ask() }

    /// Stops everything of an account on every coordinator, or lets it go on. Durable when it returns; in force
    /// everywhere within `Limits.standingMilliseconds`. An account that is suspended already stays so under the first
    /// order. The order's id names its record in the ledger.
    package func setSuspension(
        of tenant: TenantID, to suspended: Bool, reason: String, in context: CallContext
    ) async throws(CoordinatorError) -> OrderAnswer {
        var generator = SystemRandomNumberGenerator()
        let order = StandingOrder(
            suspended ? .suspend : .resume, of: tenant, id: SearchID(.random(using: &generator).stamped(version: 4)),
            time: now(), accessKey: context.accessKey, person: context.person, reason: reason)
        let answer = OrderAnswer(id: order.id, leaf: try await give(order, context.scope))
        await standings.ask()
        log.notice(
            suspended ? "an account is suspended" : "an account is resumed",
            metadata: [
                "request": "\(context.request)", "tenant": "\(tenant)", "access_key": "\(context.accessKey)",
                "leaf": "\(answer.leaf)",
            ])
        return answer
    }

    /// Puts keys that the registers say are revoked into the ledger, from where coordinators that are cut off from the
    /// registers hear of it; to be called again and again.
    package func carryRevocations() async throws(CoordinatorError) {
        guard let standing = standings.known?.standing else { return }
        for register in try await list(.accessKeys) {
            guard case .accessKey(let key) = register.value, key.revoked != nil, !standing.isRevoked(key.accessKey)
            else { continue }
            let order = StandingOrder(
                .revoke(key.accessKey), of: key.tenant, id: StandingOrder.id(revoking: key.accessKey), time: now(),
                accessKey: nil, person: nil, reason: Self.registerReason)
            _ = try await give(order, ownScope(StandingKeeper.ageMax))
        }
    }

    private static var registerReason: String { "revoked in the registers" }

    private func give(_ order: StandingOrder, _ scope: CallScope) async throws(CoordinatorError) -> UInt64 {
        do throws(LedgerError) {
            return try await ledger.append(.order(order), scope.ledger)
        } catch {
            throw .ledger(error)
        }
    }
}

/// An order that stands in the ledger.
package struct OrderAnswer: Hashable, Sendable {
    package var id: SearchID
    /// The index of the leaf that says so; that of an earlier order where the account was suspended already.
    package var leaf: UInt64
}

extension FaceIndex {
    /// For the status: what is known, fetched where it is too old to answer by.
    func standingStatus(_ scope: CallScope) async -> ServiceStatus.StandingStatus {
        var status = ServiceStatus.StandingStatus()
        do throws(LedgerError) {
            _ = try await standings.fresh(until: scope.deadline)
        } catch {
            status.unknown = error.sentence
        }
        guard let known = standings.known else { return status }
        status.age = known.age
        status.suspended = known.standing.suspended.mapValues(\.since)
        status.revokedKeys = known.standing.revoked.count
        return status
    }
}
