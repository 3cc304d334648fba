package import AuditLedger
import ClusterModel
package import FaceModel
import KeyHierarchy
import VectorSearch

extension FaceIndex {
    /// Candidates for the largest face of a photo.
    package func searchFaces(
        byImage image: [UInt8], limit: Int, threshold: SearchThreshold, filter: QualityFilter,
        collection name: CollectionName, in context: CallContext
    ) async throws(CoordinatorError) -> SearchAnswer {
        let handle = try await handle(name, tenant: context.tenant, context.scope)
        try requireServerModel(handle)
        let request = SearchRequest(
            operation: "SearchFacesByImage", probeDigest: KeyedHash.sha256(image), limit: limit, threshold: threshold)
        return try await recorded(request, in: handle, context) { () async throws(CoordinatorError) -> SearchProbe in
            let extracted = try await self.extract(image, scope: .largestFace)
            guard let face = extracted.faces.first else { throw .noFaces }
            let floor = QualityFloor(filter)
            guard floor.reasons(against: face.detail, width: extracted.width, height: extracted.height).isEmpty
            else { throw .noFaces }
            return SearchProbe(vector: try self.rotate(face.embedding, at: 0, in: handle), detail: face.detail)
        }
    }

    /// Candidates for an enrolled face, which is not among them.
    package func searchFaces(
        like id: FaceID, limit: Int, threshold: SearchThreshold, collection name: CollectionName,
        in context: CallContext
    ) async throws(CoordinatorError) -> SearchAnswer {
        let handle = try await handle(name, tenant: context.tenant, context.scope)
        let request = SearchRequest(
            operation: "SearchFaces", probeDigest: KeyedHash.sha256(Array(id.description.utf8)), limit: limit,
            threshold: threshold)
        return try await recorded(request, in: handle, context) { () async throws(CoordinatorError) -> SearchProbe in
            let found = await self.gather(FirstVector(), from: handle, context.scope) {
                (_, call) async throws(ShardError) in try await self.shards.vector(id, call)
            }
            if let vector = found.gathered?.vector { return SearchProbe(vector: vector, excluding: id) }
            guard found.missing.isEmpty else { throw await self.incomplete(found, handle) }
            throw .faceNotFound(id)
        }
    }

    /// Candidates for a vector the client computed with the collection's model.
    package func searchFaces(
        byVector vector: Embedding, limit: Int, threshold: SearchThreshold, collection name: CollectionName,
        in context: CallContext
    ) async throws(CoordinatorError) -> SearchAnswer {
        let handle = try await handle(name, tenant: context.tenant, context.scope)
        let bytes = vector.values.flatMap { withUnsafeBytes(of: $0.bitPattern.littleEndian, Array.init) }
        let request = SearchRequest(
            operation: "SearchByVector", probeDigest: KeyedHash.sha256(bytes), limit: limit, threshold: threshold)
        return try await recorded(request, in: handle, context) { () async throws(CoordinatorError) -> SearchProbe in
            SearchProbe(vector: try self.rotate(vector, at: 0, in: handle))
        }
    }

    /// The search as the ledger has it, with proofs; nil when the caller's tenant made no such search.
    package func searchRecord(
        _ search: SearchID, in context: CallContext
    ) async throws(CoordinatorError) -> SearchRecord? {
        do throws(LedgerError) {
            return try await ledger.record(of: search, tenant: context.tenant, context.scope.ledger)
        } catch {
            throw .ledger(error)
        }
    }

    /// Runs a search between its two ledger entries: the intent is appended while the probe is prepared and the scan
    /// runs; no answer and no error about the gallery leaves before both entries are durable.
    private func recorded(
        _ request: SearchRequest, in handle: CollectionHandle, _ context: CallContext,
        probe: @escaping @Sendable () async throws(CoordinatorError) -> SearchProbe
    ) async throws(CoordinatorError) -> SearchAnswer {
        let calibration = calibration(of: handle)
        let applied = try AppliedThreshold(
            request.threshold, calibration: calibration, modelVersion: handle.collection.modelVersion)
        var generator = SystemRandomNumberGenerator()
        let search = SearchID(.random(using: &generator).stamped(version: 4))
        let intent = intent(of: request, search: search, handle, context)
        async let intentAppended = append(.intent(intent), context.scope)
        let scanned = await scan(request, applied, in: handle, context, probe: probe)
        let waiting = ContinuousClock.now
        try await intentAppended.get()
        let result = result(of: scanned, search: search, applied, calibration, handle, context)
        try await append(.result(result), context.scope).get()
        measures.ledgerWait(since: waiting)
        switch scanned {
        case .failure(let error):
            measures.searchFailed()
            throw error
        case .success(let found):
            measures.searchAnswered(whole: found.missing.isEmpty)
            return SearchAnswer(
                search: search, probe: found.probe.detail,
                candidates: found.candidates.map { candidate in
                    Candidate(
                        face: StoredFaceSummary(candidate.face), cosine: candidate.score,
                        similarity: calibration?.similarity(cosine: candidate.score))
                },
                modelVersion: handle.collection.modelVersion, cosineApplied: applied.cosine,
                similarityApplied: applied.similarity, expectedStrangers: result.expectedStrangers,
                coverage: found.coverage, missing: found.missing)
        }
    }

    private func append(_ entry: LedgerEntry, _ scope: CallScope) async -> Result<Void, CoordinatorError> {
        do throws(LedgerError) {
            _ = try await ledger.append(entry, scope.ledger)
            return .success(())
        } catch {
            return .failure(.ledger(error))
        }
    }

    private func scan(
        _ request: SearchRequest, _ applied: AppliedThreshold, in handle: CollectionHandle, _ context: CallContext,
        probe: @Sendable () async throws(CoordinatorError) -> SearchProbe
    ) async -> Result<Scanned, CoordinatorError> {
        do throws(CoordinatorError) {
            let probe = try await probe()
            let started = ContinuousClock.now
            defer { measures.scan(since: started) }
            return .success(try await scan(request, probe, applied, in: handle, context))
        } catch {
            return .failure(error)
        }
    }

    private func scan(
        _ request: SearchRequest, _ probe: SearchProbe, _ applied: AppliedThreshold, in handle: CollectionHandle,
        _ context: CallContext
    ) async throws(CoordinatorError) -> Scanned {
        let search = ShardSearch(
            query: probe.vector, limit: request.limit + (probe.excluding == nil ? 0 : 1), minScore: applied.cosine,
            sigmas: PlaneCode.sigmasDefault)
        let gathering = await gather(
            SearchMerge(limit: search.limit), from: handle,
            context.scope.reserving(.milliseconds(Limits.resultEntryMilliseconds))
        ) { (shard, call) async throws(ShardError) in
            let answers = try await self.shards.search([search], call)
            guard answers.count == 1, let answer = answers.first else {
                throw .unreachable(
                    shard.id, node: shard.node, reason: "it gave \(answers.count) answers to one search",
                    outcomeUnknown: false)
            }
            if let fault = answer.implausibility(as: search) {
                throw .unreachable(
                    shard.id, node: shard.node, reason: "its answer makes no sense: \(fault)", outcomeUnknown: false)
            }
            return answer
        }
        guard let merge = gathering.gathered else { throw await incomplete(gathering, handle) }
        let scanned = Scanned(probe: probe, merge, gathering, limit: request.limit)
        // An empty list would stand for "no match" where only silence is known.
        guard gathering.missing.isEmpty || context.allowsPartial && !scanned.candidates.isEmpty else {
            throw await incomplete(gathering, handle)
        }
        return scanned
    }

    private func calibration(of handle: CollectionHandle) -> SimilarityCalibration? {
        handle.collection.modelName == model.name && handle.collection.modelVersion == model.version
            ? model.calibration : nil
    }
}

/// The vector of a face that one shard has.
private struct FirstVector: ShardGathering {
    private(set) var vector: RotatedVector?
    var isEnough: Bool { vector != nil }
    mutating func add(_ answer: RotatedVector?, from shard: CollectionMap.Shard) { vector = vector ?? answer }
}
