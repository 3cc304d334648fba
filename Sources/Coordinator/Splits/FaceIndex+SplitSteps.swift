import ClusterModel
import FaceModel
import Logging

/// The steps of a split: `drafting`, until the copies have files of both halves but for the newest writes; `dividing`, until
/// enough of them have all; then the shard is released, then the map says so, then the shard's own files go.
extension FaceIndex {
    /// While nothing is written nobody waits for the next step.
    private static let patienceToDivide = Duration.seconds(2)
    private static let pauseToDivide = Duration.milliseconds(20)

    /// Does what is next, and what that makes possible.
    func advance(_ split: RegisteredSplit, _ scope: CallScope) async throws(CoordinatorError) -> SplitReport {
        if split.value.published { return try await remove(split, scope) }
        guard let handle = try await collection(split.value.collection),
            let place = handle.map.shards.first(where: { $0.id == split.value.shard })
        else {
            return SplitReport(.drafting, split.value, trouble: "its collection is being deleted")
        }
        let state = SplitState(
            split: split, at: SplitPlace(shard: place, handle: handle, scope: scope),
            copies: try await registered(place.id))
        // As far as is known.
        var stage = SplitStage.drafting
        do throws(CoordinatorError) {
            guard let primary = state.copies.primary else {
                throw Self.failure(.notPrimary(place.id), place.id, on: place.node)
            }
            let progress = try await step(.look, primary, state.at)
            if progress.stage != .whole { stage = .dividing }
            if split.value.aborting, progress.stage != .released { return try await abort(state, primary) }
            if let begun = progress.plan, begun != split.value.plan { return try await adopt(begun, split) }
            return try await goOn(state, primary, progress)
        } catch {
            // What the shard cannot do now it may do soon; the split waits.
            guard case .incompleteWrite(_, _, let missing) = error, let silent = missing.first else { throw error }
            return SplitReport(stage, split.value, trouble: "\(silent)")
        }
    }

    /// Somebody who was slow has begun it by the plan of a split that had been given up: what the shard's log says is so.
    private func adopt(
        _ plan: SplitPlan, _ split: RegisteredSplit
    ) async throws(CoordinatorError) -> SplitReport {
        var split = split
        split.value.plan = plan
        _ = try await write(&split)
        return SplitReport(.dividing, split.value, trouble: "it was begun by another plan")
    }

    private static func failure(_ error: ShardError, _ shard: ShardID, on node: NodeID) -> CoordinatorError {
        .incompleteWrite(asked: 1, written: 0, missing: [MissingShard(shard: shard, node: node, reason: error)])
    }

    private func goOn(
        _ state: SplitState, _ primary: RegisteredCopy, _ progress: SplitProgress
    ) async throws(CoordinatorError) -> SplitReport {
        let split = state.split.value
        switch progress.stage {
        case .whole:
            let drafts = await draft(state)
            guard drafts.areMade else { return SplitReport(.drafting, split, trouble: drafts.trouble) }
            return try await divide(state, primary, try await begin(state, primary))
        case .dividing, .divided:
            return try await divide(state, primary, progress)
        case .released:
            return try await publish(state, progress)
        }
    }

    /// Begun: waits a little for the halves, which are drafted and need not long.
    private func divide(
        _ state: SplitState, _ primary: RegisteredCopy, _ progress: SplitProgress
    ) async throws(CoordinatorError) -> SplitReport {
        let end = ContinuousClock.now + Self.patienceToDivide
        while true {
            let copies = await look(state, progress.end)
            if copies.mayRelease {
                let released = try await step(.release, primary, state.at)
                return try await publish(state, released)
            }
            let isLate = ContinuousClock.now >= end
            guard !isLate, (try? await Task.sleep(for: Self.pauseToDivide)) != nil else {
                return SplitReport(.dividing, state.split.value, trouble: copies.trouble)
            }
        }
    }

    /// How far the shard itself is, whatever a register says.
    func progress(of place: SplitPlace) async throws(CoordinatorError) -> SplitProgress {
        guard let primary = try await registered(place.shard.id).primary else {
            throw Self.failure(.notPrimary(place.shard.id), place.shard.id, on: place.shard.node)
        }
        return try await step(.look, primary, place)
    }

    /// A split that the shard cannot begin is forgotten: nothing has happened.
    private func begin(
        _ state: SplitState, _ primary: RegisteredCopy
    ) async throws(CoordinatorError) -> SplitProgress {
        do throws(CoordinatorError) {
            return try await step(.begin(state.split.value.plan), primary, state.at)
        } catch {
            guard case .incompleteWrite(_, _, let missing) = error,
                case .writesRefused(_, let reason)? = missing.first?.reason
            else { throw error }
            _ = try await commit([.delete(.split(state.place.id), expecting: state.split.revision)])
            throw .impossibleMove(reason: "The shard cannot be split: \(reason)")
        }
    }

    private func abort(_ state: SplitState, _ primary: RegisteredCopy) async throws(CoordinatorError) -> SplitReport {
        let split = state.split.value
        _ = try await step(.abort, primary, state.at)
        _ = try await commit([.delete(.split(state.place.id), expecting: state.split.revision)])
        log.notice("a split was given up", metadata: ["shard": "\(state.place.id)"])
        return SplitReport(.aborted, split)
    }

    /// One transaction: the halves in the map, their registers, and no more of the shard's.
    private func publish(
        _ state: SplitState, _ progress: SplitProgress
    ) async throws(CoordinatorError) -> SplitReport {
        let copies = await look(state, progress.end)
        let split = state.split.value
        // Another may have been elected since, if only because a node had to open its copy for this.
        var state = state
        state.copies = try await registered(split.shard)
        guard progress.plan == split.plan else { return .contested(split) }
        guard let sides = progress.sides, copies.made.count >= state.copies.register.minInSync else {
            return SplitReport(.publishing, split, trouble: copies.trouble ?? "too few copies of the halves are there")
        }
        guard case .committed = try await commit(state.publication(copies, progress, sides)) else {
            return SplitReport(.publishing, split, trouble: "the registers changed meanwhile")
        }
        cache.forget(split.collection)
        directories.forget(split.collection)
        log.notice(
            "a shard was split",
            metadata: [
                "collection": "\(split.collection)", "shard": "\(split.shard)", "first": "\(split.plan.first.shard)",
                "second": "\(split.plan.second.shard)",
            ])
        guard let published = try await splitRegister(split.shard) else { return SplitReport(.done, split) }
        return try await remove(published, state.at.scope)
    }

    /// How far each copy that counts is with the draft it is asked for.
    private func draft(_ state: SplitState) async -> DraftedCopies {
        var copies = DraftedCopies()
        for (copy, answer) in await ask(.draft(state.split.value.plan), state) { copies.add(copy, answer) }
        return copies
    }

    /// How far each copy that counts is.
    private func look(_ state: SplitState, _ end: LogIndex) async -> DividedCopies {
        var copies = DividedCopies(
            minInSync: state.copies.register.minInSync, plan: state.split.value.plan, end: end)
        for (copy, answer) in await ask(.look, state) { copies.add(copy, answer) }
        return copies
    }

    /// Of each copy that counts, all asked at once.
    private func ask(
        _ step: SplitStep, _ state: SplitState
    ) async -> [(ReplicaRegister, Result<SplitProgress, ShardError>)] {
        let counting = state.copies.replicas.filter {
            state.copies.register.inSync.contains($0.value.replica)
        }
        return await withTaskGroup(of: (ReplicaRegister, Result<SplitProgress, ShardError>).self) { group in
            for copy in counting {
                group.addTask {
                    do throws(ShardError) {
                        return (copy.value, .success(try await self.ask(step, copy, state.at)))
                    } catch {
                        return (copy.value, .failure(error))
                    }
                }
            }
            var answers: [(ReplicaRegister, Result<SplitProgress, ShardError>)] = []
            for await answer in group { answers.append(answer) }
            return answers
        }
    }

    private func step(
        _ step: SplitStep, _ copy: RegisteredCopy, _ place: SplitPlace
    ) async throws(CoordinatorError) -> SplitProgress {
        do throws(ShardError) {
            return try await ask(step, copy, place)
        } catch {
            throw Self.failure(error, place.shard.id, on: copy.value.node)
        }
    }

    /// A copy that its node has not opened since it started is opened first.
    private func ask(
        _ step: SplitStep, _ copy: RegisteredCopy, _ place: SplitPlace
    ) async throws(ShardError) -> SplitProgress {
        let call = place.call(on: copy.value.node)
        do throws(ShardError) {
            return try await shards.split(step, call)
        } catch {
            guard case .unknownShard = error else { throw error }
            try await shards.open(place.handle.descriptor(of: place.shard, copy.value.replica), .existing, call)
            return try await shards.split(step, call)
        }
    }

    /// Nil where it is gone, or going.
    func collection(_ uid: CollectionUID) async throws(CoordinatorError) -> CollectionHandle? {
        for register in try await list(.allCollections) {
            guard case .collection(let collection) = register.value, collection.uid == uid else { continue }
            guard let map = try await readFresh(.map(uid)), case .map(let value) = map.value else { return nil }
            return try handle(collection, value, revision: map.revision)
        }
        return nil
    }
}
