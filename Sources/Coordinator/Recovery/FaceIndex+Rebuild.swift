import ClusterModel
package import FaceModel

/// Registers of shards that the control plane has lost, made anew from what the nodes remember.
extension FaceIndex {
    private static var askingLimit: Duration { .seconds(20) }
    private static var openingLimit: Duration { .seconds(5) }

    /// Makes the registers anew of each shard whose copies know a newer one than the control plane has, the ledger's among
    /// them; others are left alone, so that it may be done again. Every node must answer but those that are named as lost
    /// for good: one that is silent may hold what is newest. Unless `applies`, says what would be done.
    package func rebuildRegisters(
        without lost: [NodeID], applies: Bool, in context: CallContext
    ) async throws(CoordinatorError) -> RebuildAnswer {
        let nodes = try await registeredNodes().filter { !lost.contains($0) }
        let answers = await held(nil, on: nodes, until: context.scope.within(Self.askingLimit).deadline)
        try requireAll(answers)
        var answer = RebuildAnswer(shards: [], without: lost, isDone: applies)
        let known = try await knownShards()
        for shard in known {
            let outcome = try await rebuild(shard, answers, applies: applies, context)
            answer.shards.append(
                RebuildAnswer.Shard(
                    shard: shard.place.id, collection: shard.handle?.collection.name,
                    tenant: shard.handle?.collection.tenant, isLedger: shard.handle == nil, outcome: outcome))
        }
        answer.shards += Self.strangers(among: answers, but: Set(known.map(\.place.id)))
        return answer
    }

    private func requireAll(_ answers: [NodeID: Result<[HeldCopy], NodeError>]) throws(CoordinatorError) {
        let silent = answers.compactMap { node, answer -> String? in
            guard case .failure(let error) = answer else { return nil }
            return "\(node) (\(error.reason))"
        }
        guard !silent.isEmpty else { return }
        throw .impossibleRecovery(
            reason: "Nodes that may hold what is newest do not answer: \(silent.sorted().joined(separator: "; ")). "
                + "Start them, or name those that are lost for good with '--without'")
    }

    /// Those of every collection that is made, and the ledger.
    private func knownShards() async throws(CoordinatorError) -> [MovedShard] {
        var shards: [MovedShard] = []
        if case .cluster(let cluster)? = try await readOrReadFresh(.cluster)?.value {
            let place = CollectionMap.Shard(id: ShardID(cluster.id), node: .embedded, roots: [])
            shards.append(MovedShard(place: place, handle: nil))
        }
        for register in try await list(.allCollections) {
            guard case .collection(let collection) = register.value,
                let map = try await readFresh(.map(collection.uid)), case .map(let value) = map.value, value.made
            else { continue }
            let handle = try handle(collection, value, revision: map.revision)
            shards += value.shards.map { MovedShard(place: $0, handle: handle) }
        }
        return shards
    }

    private func rebuild(
        _ shard: MovedShard, _ answers: [NodeID: Result<[HeldCopy], NodeError>], applies: Bool, _ context: CallContext
    ) async throws(CoordinatorError) -> RebuildAnswer.Outcome {
        let remembered = try await remembered(shard.place.id)
        let survivors = Survivors(shard.place.id, remembered.shard?.value, answers)
        guard !survivors.held.isEmpty else { return .heldByNobody }
        guard survivors.isForgotten else { return .current }
        let known = Set(remembered.replicas.map(\.value.replica) + survivors.held.map(\.copy.replica))
        guard let heir = survivors.heir, let register = survivors.successor(heir, known: known) else {
            return .noMemberLeft
        }
        let outcome = RebuildAnswer.Outcome.rebuilt(
            on: heir.node, learners: register.learners.count, generation: register.generation)
        guard applies else { return outcome }
        guard try await goOn(with: register, survivors, remembered) else { return .contested }
        log.warning(
            "a shard's registers are made anew",
            metadata: [
                "request": "\(context.request)", "access_key": "\(context.accessKey)", "shard": "\(register.shard)",
                "node": "\(heir.node)", "generation": "\(register.generation.value)",
            ])
        await openHeld(register, survivors, in: shard, context.scope.within(Self.openingLimit))
        return outcome
    }

    private static func strangers(
        among answers: [NodeID: Result<[HeldCopy], NodeError>], but known: Set<ShardID>
    ) -> [RebuildAnswer.Shard] {
        var nodes: [ShardID: [NodeID]] = [:]
        for (node, answer) in answers {
            guard case .success(let copies) = answer else { continue }
            for copy in copies where !known.contains(copy.shard) { nodes[copy.shard, default: []].append(node) }
        }
        return nodes.sorted { $0.key < $1.key }.map { shard, nodes in
            RebuildAnswer.Shard(
                shard: shard, collection: nil, tenant: nil, isLedger: false,
                outcome: .inNoMap(on: nodes.sorted { $0.text < $1.text }))
        }
    }
}
