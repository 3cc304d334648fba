import ClusterModel
package import FaceModel

/// A shard that goes on with less than it had, because an operator has accepted that.
extension FaceIndex {
    private static var askingLimit: Duration { .seconds(10) }
    private static var openingLimit: Duration { .seconds(5) }

    /// Has the shard go on with one copy of it, whatever others held that are gone: with `wanted`, or without that with the
    /// one whose log reaches furthest. Refused while a copy that counts is there and whole. Unless `accepts`, says what
    /// would be done, and changes nothing.
    package func recoverShard(
        _ shard: ShardID, with wanted: ReplicaID?, accepts: Bool, in context: CallContext
    ) async throws(CoordinatorError) -> RecoveryAnswer {
        let found = try await find(shard, context)
        let nodes = try await registeredNodes()
        let answers = await held(shard, on: nodes, until: context.scope.within(Self.askingLimit).deadline)
        let remembered = try await remembered(shard)
        let survivors = Survivors(shard, remembered.shard?.value, answers)
        let chosen = try choose(wanted, of: survivors, isLedger: found.handle == nil)
        let known = Set(remembered.replicas.map(\.value.replica) + survivors.held.map(\.copy.replica))
        guard let register = survivors.successor(chosen, known: known) else {
            preconditionFailure("a copy that is held remembers a register")
        }
        var answer = RecoveryAnswer(
            copies: RecoveryAnswer.Copy.all(survivors, remembered, answers), chosen: chosen, register: register,
            isDone: false)
        guard accepts else { return answer }
        guard try await goOn(with: register, survivors, remembered) else {
            throw .impossibleRecovery(reason: "The shard's registers changed meanwhile; look again what is left")
        }
        noteAccepted(register, chosen, context)
        answer.isDone = true
        await openHeld(register, survivors, in: found, context.scope.within(Self.openingLimit))
        return answer
    }

    private func choose(
        _ wanted: ReplicaID?, of survivors: Survivors, isLedger: Bool
    ) throws(CoordinatorError) -> LocatedCopy {
        if survivors.register == nil || survivors.isForgotten, survivors.heir != nil {
            throw .impossibleRecovery(
                reason: "The control plane has forgotten what copies of the shard know, and a copy that counts is "
                    + "there: 'facectl control rebuild' loses nothing")
        }
        if let whole = survivors.electable {
            throw .impossibleRecovery(
                reason:
                    "The copy on node \(whole.node) counts and is whole, so nothing need be lost: see that the nodes "
                    + "of the others run, or give it others with 'facectl shard rebuild' or 'facectl node drain'")
        }
        guard let wanted else {
            guard let furthest = survivors.furthest else {
                throw .impossibleRecovery(
                    reason: "No node that answers holds a copy of the shard that can be opened: restore one from a "
                        + "backup")
            }
            return try require(furthest, isLedger)
        }
        guard let copy = survivors.held.first(where: { $0.copy.replica == wanted }) else {
            throw .impossibleRecovery(reason: "No node that answers holds the copy \(wanted)")
        }
        return try require(copy, isLedger)
    }

    private func require(_ chosen: LocatedCopy, _ isLedger: Bool) throws(CoordinatorError) -> LocatedCopy {
        switch chosen.copy.condition {
        case .unusable(let reason):
            throw .impossibleRecovery(reason: "The copy on node \(chosen.node) cannot be opened: \(reason)")
        case .lossProven where isLedger:
            throw .impossibleRecovery(
                reason:
                    "The ledger's log on node \(chosen.node) proves a loss, and a ledger without what it has signed "
                    + "is none: restore it from a backup")
        case .whole, .suspect, .lossProven: break
        }
        guard chosen.copy.isRecoverable else {
            throw .impossibleRecovery(reason: "The copy on node \(chosen.node) holds nothing")
        }
        return chosen
    }

    private func noteAccepted(_ register: ShardRegister, _ chosen: LocatedCopy, _ context: CallContext) {
        log.warning(
            "a loss of records is accepted: the shard goes on with one copy",
            metadata: [
                "request": "\(context.request)", "access_key": "\(context.accessKey)", "shard": "\(register.shard)",
                "copy": "\(chosen.copy.replica)", "node": "\(chosen.node)", "log_end": "\(chosen.copy.end)",
                "generation": "\(register.generation.value)",
            ])
    }
}

extension Survivors {
    init(_ shard: ShardID, _ register: ShardRegister?, _ answers: [NodeID: Result<[HeldCopy], NodeError>]) {
        let located = answers.flatMap { node, answer -> [LocatedCopy] in
            guard case .success(let copies) = answer else { return [] }
            return copies.filter { $0.shard == shard }.map { LocatedCopy(node: node, copy: $0) }
        }
        self.init(
            shard: shard, register: register, held: located.sorted { $0.copy.replica < $1.copy.replica })
    }
}

extension RecoveryAnswer.Copy {
    /// Those that the newest register names first, the primary before all.
    fileprivate static func all(
        _ survivors: Survivors, _ remembered: RememberedShard, _ answers: [NodeID: Result<[HeldCopy], NodeError>]
    ) -> [RecoveryAnswer.Copy] {
        var names = survivors.newest.map { [$0.primary] + $0.named } ?? []
        names += survivors.held.map(\.copy.replica)
        var seen: Set<ReplicaID> = []
        return names.filter { seen.insert($0).inserted }.map { name in
            let located = survivors.held.first { $0.copy.replica == name }
            let node = located?.node ?? remembered.replicas.first { $0.value.replica == name }?.value.node
            var silence: String?
            if located == nil {
                if let node, case .failure(let error)? = answers[node] {
                    silence = error.reason
                } else {
                    silence = node == nil ? "nobody knows where it is" : "its node has no files of it"
                }
            }
            return RecoveryAnswer.Copy(
                replica: name, node: node, role: survivors.newest?.role(of: name), held: located?.copy,
                silence: silence)
        }
    }
}

extension ShardRegister {
    fileprivate func role(of replica: ReplicaID) -> ServiceStatus.CopiesStatus.Role? {
        if replica == primary { return .primary }
        if inSync.contains(replica) { return .inSync }
        return learners.contains(replica) ? .learner : nil
    }
}
