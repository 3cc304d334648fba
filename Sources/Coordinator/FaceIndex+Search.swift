package import AuditLedger
import ClusterModel
package import FaceModel
import KeyHierarchy
import VectorSearch

extension FaceIndex {
    /// Candidates for the largest face of a photo.
    package func searchFaces(
        byImage image: [UInt8], limit: Int, threshold: SearchThreshold, filter: QualityFilter,
        mode: SearchMode = .exhaustive, collection name: CollectionName, in context: CallContext
    ) async throws(CoordinatorError) -> SearchAnswer {
        let handle = try await handle(name, tenant: context.tenant, context.scope)
        try requireServerModel(handle)
        let request = SearchRequest(
            operation: "SearchFacesByImage", probeDigests: [KeyedHash.sha256(image)], limit: limit,
            threshold: threshold, mode: mode, consistency: context.session.consistency)
        return try await recordedOne(request, in: handle, context) { () async throws(CoordinatorError) -> SearchProbe in
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
        like id: FaceID, limit: Int, threshold: SearchThreshold, mode: SearchMode = .exhaustive,
        collection name: CollectionName, in context: CallContext
    ) async throws(CoordinatorError) -> SearchAnswer {
        let handle = try await handle(name, tenant: context.tenant, context.scope)
        let request = SearchRequest(
            operation: "SearchFaces", probeDigests: [KeyedHash.sha256(Array(id.description.utf8))], limit: limit,
            threshold: threshold, mode: mode, consistency: context.session.consistency)
        return try await recordedOne(request, in: handle, context) { () async throws(CoordinatorError) -> SearchProbe in
            let found = await self.gather(FirstVector(), from: handle, context.scope, reading: true) {
                (_, call) async throws(ShardError) in try await self.shards.vector(id, call)
            }
            if let vector = found.gathered?.vector { return SearchProbe(vector: vector, excluding: id) }
            guard found.missing.isEmpty else { throw await self.incomplete(found, handle) }
            throw .faceNotFound(id)
        }
    }

    /// Candidates for a vector the client computed with the collection's model.
    package func searchFaces(
        byVector vector: Embedding, limit: Int, threshold: SearchThreshold, mode: SearchMode = .exhaustive,
        collection name: CollectionName, in context: CallContext
    ) async throws(CoordinatorError) -> SearchAnswer {
        let handle = try await handle(name, tenant: context.tenant, context.scope)
        let request = SearchRequest(
            operation: "SearchByVector", probeDigests: [Self.digest(of: vector)], limit: limit, threshold: threshold,
            mode: mode, consistency: context.session.consistency)
        return try await recordedOne(request, in: handle, context) { () async throws(CoordinatorError) -> SearchProbe in
            SearchProbe(vector: try self.rotate(vector, at: 0, in: handle))
        }
    }

    /// Candidates for each of 1...`Limits.searchesPerRequestMax` vectors, in their order: searches of their own, found
    /// in one pass. Together they ask for at most `Limits.candidatesPerRequestMax` candidates. A bad vector fails the
    /// request by its index before anything is on record.
    package func searchFaces(
        byVectors vectors: [Embedding], limit: Int, threshold: SearchThreshold, mode: SearchMode = .exhaustive,
        collection name: CollectionName, in context: CallContext
    ) async throws(CoordinatorError) -> [SearchAnswer] {
        precondition((1...Limits.searchesPerRequestMax).contains(vectors.count), "a batch is bounded")
        precondition(vectors.count * limit <= Limits.candidatesPerRequestMax, "a batch's candidates are bounded")
        let handle = try await handle(name, tenant: context.tenant, context.scope)
        var probes: [SearchProbe] = []
        for (index, vector) in vectors.enumerated() {
            probes.append(SearchProbe(vector: try rotate(vector, at: index, in: handle)))
        }
        let request = SearchRequest(
            operation: "SearchByVectors", probeDigests: vectors.map(Self.digest), limit: limit, threshold: threshold,
            mode: mode, consistency: context.session.consistency)
        return try await recorded(request, in: handle, context) {
            [probes] () async throws(CoordinatorError) -> [SearchProbe] in probes
        }
    }

    private static func digest(of vector: Embedding) -> [UInt8] {
        KeyedHash.sha256(vector.values.flatMap { withUnsafeBytes(of: $0.bitPattern.littleEndian, Array.init) })
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

    private func recordedOne(
        _ request: SearchRequest, in handle: CollectionHandle, _ context: CallContext,
        probe: @escaping @Sendable () async throws(CoordinatorError) -> SearchProbe
    ) async throws(CoordinatorError) -> SearchAnswer {
        let answers = try await recorded(request, in: handle, context) {
            () async throws(CoordinatorError) -> [SearchProbe] in [try await probe()]
        }
        return answers[0]
    }

    /// Runs searches, each between its two ledger entries: the intents are appended while the probes are prepared and
    /// the scan runs; no answer and no error about the gallery leaves before all entries are durable.
    private func recorded(
        _ request: SearchRequest, in handle: CollectionHandle, _ context: CallContext,
        probes: @escaping @Sendable () async throws(CoordinatorError) -> [SearchProbe]
    ) async throws(CoordinatorError) -> [SearchAnswer] {
        if case .routed = request.mode, request.consistency != .strong { throw .session(.routedNeedsStrong) }
        let calibration = calibration(of: handle)
        let applied = try AppliedThreshold(
            request.threshold, calibration: calibration, modelVersion: handle.collection.modelVersion)
        var generator = SystemRandomNumberGenerator()
        let searches = request.probeDigests.map { _ in SearchID(.random(using: &generator).stamped(version: 4)) }
        let intents = zip(request.probeDigests, searches).map { probe, search in
            LedgerEntry.intent(intent(of: request, probe: probe, search: search, handle, context))
        }
        async let intentsAppended = append(intents, context.scope)
        let scanned = await scan(request, applied, in: handle, context, probes: probes)
        let waiting = ContinuousClock.now
        try await intentsAppended.get()
        let results = searches.enumerated().map { number, search in
            result(
                of: scanned.map { $0[number] }, to: request, search: search, applied, calibration, handle,
                context)
        }
        try await append(results.map { .result($0) }, context.scope).get()
        measures.ledgerWait(since: waiting)
        switch scanned {
        case .failure(let error):
            for _ in searches { measures.searchFailed() }
            throw error
        case .success(let found):
            return zip(found, results).map { answer($0, $1, applied, calibration, handle) }
        }
    }

    private func answer(
        _ found: Scanned, _ result: SearchResult, _ applied: AppliedThreshold, _ calibration: SimilarityCalibration?,
        _ handle: CollectionHandle
    ) -> SearchAnswer {
        measures.searchAnswered(whole: found.missing.isEmpty)
        measures.searched(found.coverage.mode)
        return SearchAnswer(
            search: result.search, probe: found.probe.detail,
            candidates: found.candidates.map { candidate in
                Candidate(
                    face: StoredFaceSummary(candidate.face), cosine: candidate.score,
                    similarity: calibration?.similarity(cosine: candidate.score))
            },
            modelVersion: handle.collection.modelVersion, cosineApplied: applied.cosine,
            similarityApplied: applied.similarity, expectedStrangers: result.expectedStrangers,
            coverage: found.coverage, missing: found.missing)
    }

    /// All at once, so that they become durable together.
    private func append(_ entries: [LedgerEntry], _ scope: CallScope) async -> Result<Void, CoordinatorError> {
        await withTaskGroup(of: Result<Void, CoordinatorError>.self) { group in
            for entry in entries { group.addTask { await self.append(entry, scope) } }
            for await outcome in group { if case .failure = outcome { return outcome } }
            return .success(())
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

    private func calibration(of handle: CollectionHandle) -> SimilarityCalibration? {
        isServerModel(handle) ? model.calibration : nil
    }

    /// Whether what is known of the server's model holds for the collection's vectors.
    func isServerModel(_ handle: CollectionHandle) -> Bool {
        handle.collection.modelName == model.name && handle.collection.modelVersion == model.version
    }
}

/// The vector of a face that one shard has.
private struct FirstVector: ShardGathering {
    private(set) var vector: RotatedVector?
    var isEnough: Bool { vector != nil }
    mutating func add(_ answer: RotatedVector?, from shard: CollectionMap.Shard) { vector = vector ?? answer }
}
