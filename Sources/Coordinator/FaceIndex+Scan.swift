import ClusterModel
import FaceModel

/// What a request's searches do between their ledger entries: prepare probes, choose buckets, ask each shard once.
extension FaceIndex {
    /// The probes' candidates from the shards, or why there are none.
    func scan(
        _ request: SearchRequest, _ applied: AppliedThreshold, in handle: CollectionHandle, _ context: CallContext,
        probes: @Sendable () async throws(CoordinatorError) -> [SearchProbe]
    ) async -> Result<[Scanned], CoordinatorError> {
        do throws(CoordinatorError) {
            let probes = try await probes()
            let directory: BucketDirectory? =
                if case .routed = request.mode { try await directory(of: handle) } else { nil }
            let started = ContinuousClock.now
            defer { measures.scan(since: started) }
            return .success(try await scan(request, probes, applied, by: directory, in: handle, context))
        } catch {
            return .failure(error)
        }
    }

    private func scan(
        _ request: SearchRequest, _ probes: [SearchProbe], _ applied: AppliedThreshold,
        by directory: BucketDirectory?, in handle: CollectionHandle, _ context: CallContext
    ) async throws(CoordinatorError) -> [Scanned] {
        let plan = plan(request, probes, applied, by: directory)
        let gathering = await gather(
            BatchMerge(plan), from: handle,
            context.scope.reserving(.milliseconds(Limits.resultEntryMilliseconds)),
            choosing: { map in map.shards.filter { plan.asks($0) } },
            againMax: context.allowsPartial ? AskingAgain.mostForPart : AskingAgain.most, reading: true,
            ask: { (shard, call) async throws(ShardError) in
                try await self.answers(
                    of: shard, to: plan.searches(of: shard), call, directory, handle, context.session)
            })
        guard let merges = gathering.gathered?.merges else { throw await incomplete(gathering, handle) }
        let scanned = zip(probes, merges).enumerated().map { number, found in
            Scanned(probe: found.0, number: number, of: plan, found.1, gathering, request)
        }
        // An empty list would stand for "no match" where only silence is known.
        let isSaid = context.allowsPartial && scanned.allSatisfy { !$0.candidates.isEmpty }
        guard gathering.missing.isEmpty || isSaid else { throw await incomplete(gathering, handle) }
        return scanned
    }

    private func plan(
        _ request: SearchRequest, _ probes: [SearchProbe], _ applied: AppliedThreshold, by directory: BucketDirectory?
    ) -> SearchPlan {
        let searches = probes.map { probe in
            ShardSearch(
                query: probe.vector, limit: request.limit + (probe.excluding == nil ? 0 : 1), minScore: applied.cosine,
                sigmas: request.mode.sigmas)
        }
        guard let directory, case .routed(let coverage) = request.mode else { return SearchPlan(searches) }
        return SearchPlan(searches, routes: probes.map { directory.route($0.vector, coverage: coverage) })
    }

    private func answers(
        of shard: CollectionMap.Shard, to searches: [ShardSearch], _ call: ShardCall, _ directory: BucketDirectory?,
        _ handle: CollectionHandle, _ session: ReadSession
    ) async throws(ShardError) -> [ShardSearchAnswer] {
        let answers = try await shards.search(searches, call)
        let fault =
            answers.count == searches.count
            ? zip(answers, searches).lazy.compactMap { $0.implausibility(as: $1) }.first
            : "\(answers.count) answers to \(searches.count) searches"
        if let fault {
            throw .damaged(shard.id, reason: "its answer makes no sense: \(fault)")
        }
        for answer in answers { session.saw(shard.id, answer.at, of: handle.collection.uid) }
        if let directory, zip(answers, searches).contains(where: { directory.isOutgrown(by: $0, to: $1, of: shard.id) })
        {
            renewDirectory(of: handle)
        }
        return answers
    }
}
