import ClusterModel
import FaceModel
import SimulatedDisk

@testable import ShardEngine

extension EngineModelRun {
    // MARK: Reads

    func search(count: Int) async throws {
        let queries = try (0..<count).map { _ in try query() }
        let answers = try await shard.search(queries)
        try require(answers.count == count, "\(answers.count) answers to \(count) searches")
        for (answer, query) in zip(answers, queries) {
            if let difference = difference(answer, query, model) { try require(false, difference) }
            note(answer)
        }
    }

    func note(_ answer: ShardSearchAnswer) {
        tally.searches += 1
        tally.facesCompared += answer.facesScored
        tally.candidates += answer.candidates.count
    }

    func list() async throws {
        let after =
            model.count > 0 && random.next() & 1 == 0
            ? model.faces[Int.random(in: 0..<model.count, using: &random)].id : nil
        let limit = Int.random(in: 1...300, using: &random)
        let page = try await shard.list(after: after, limit: limit)
        let expected = model.list(after: after, limit: limit)
        try require(page.faces == expected.faces && page.more == expected.more, "a page of the list")
    }

    /// Vector and record of some faces, dead ones among them.
    func fetch() async throws {
        let ids = victims(Int.random(in: 1...5, using: &random))
        for id in ids { try require(try await shard.vector(id) == model.vector(id), "a vector") }
        let expected = Set(ids).sorted().compactMap { model.face($0) }
        try require(try await shard.faces(Array(Set(ids))) == expected, "faces asked for by their ids")
    }

    func compareEverything() async throws {
        var listed: [StoredFace] = []
        var more = true
        while more {
            let page = try await shard.list(after: listed.last?.id, limit: 4_096)
            listed += page.faces
            more = page.more
        }
        try require(listed == model.list(after: nil, limit: .max).faces, "the whole list")
        for face in listed.indices.filter({ $0 % 16 == 0 }).map({ listed[$0] }) {
            try require(try await shard.vector(face.id) == model.vector(face.id), "a vector")
        }
        try await noteStatistics()
        try await search(count: 3)
    }

    func noteStatistics() async throws {
        let statistics = try await shard.statistics()
        try require(statistics.faces == model.count, "\(statistics.faces) faces counted instead of \(model.count)")
        try require(statistics.writesRefused == nil, "writes refused: \(statistics.writesRefused ?? "")")
        tally.segmentsMax = max(tally.segmentsMax, statistics.segments)
    }

    // MARK: Writes

    func enrol(_ faces: [NewFace]) async throws {
        let expected = model.enrolment(faces)
        let outcome = try await shard.enrol(faces)
        try require(outcome.faces == expected.ids, "ids of an enrolment")
        try acknowledge(outcome.at.lsn)
        model.apply(expected.changes)
        tally.enrolled += expected.changes.count
        if faces.contains(where: { $0.token != .none }) { asked = Array((asked + [faces]).suffix(30)) }
        try await noteFlush(adding: expected.changes.count)
    }

    /// The answer was lost, and meanwhile some of the faces may have gone.
    func askAgain() async throws {
        guard let faces = asked.randomElement(using: &repeats) else { return }
        let gone = model.enrolment(faces).ids.filter { model.face($0) == nil }
        tally.enrolmentsOfGone += gone.isEmpty ? 0 : 1
        try await enrol(faces)
    }

    func delete(_ ids: [FaceID]) async throws {
        guard !ids.isEmpty else { return }
        let expected = model.deletion(ids)
        let outcome = try await shard.delete(ids)
        try require(outcome.deleted == expected.deleted, "the faces deleted")
        try require(outcome.notFound == expected.missing, "the faces not found")
        try acknowledge(outcome.at.lsn)
        model.apply(expected.changes)
        bury(expected.deleted)
        try await noteFlush(adding: 0)
    }

    private func bury(_ ids: [FaceID]) {
        tally.deleted += ids.count
        buried = Array((buried + ids).suffix(500))
    }

    /// A flush is seen by its emptied buffer, at the latest after the write that follows it.
    private func noteFlush(adding faces: Int) async throws {
        let now = try await shard.statistics().bufferedFaces
        if now < buffered + faces {
            tally.flushes += 1
        }
        buffered = now
    }

    /// Up to a flush and beyond; all of a kind or a mixture.
    func enrolMany(_ count: Int) async throws {
        let isPlain = random.next() & 1 == 0
        for start in stride(from: 0, to: count, by: 500) {
            var faces = try newFaces(min(500, count - start))
            if isPlain { for at in faces.indices { faces[at].vector = vectors.stranger(&random) } }
            try await enrol(faces)
        }
        try await noteStatistics()
    }

    /// The same vector again and again, each time under another name.
    func enrolEqual(_ count: Int) async throws {
        let vector = vectors.stranger(&random)
        for start in stride(from: 0, to: count, by: 500) {
            let faces = (start..<min(start + 500, count)).map { number in
                NewFace(
                    vector: vector, externalImageID: ExternalImageID("equal:\(number)"),
                    record: FaceRecord(imageID: nil, detail: nil), token: .none)
            }
            try await enrol(faces)
        }
    }

    /// A third of everything, so that segments wear out and are merged.
    func deleteMany() async throws {
        let (step, first) = (3, Int.random(in: 0..<3, using: &random))
        let ids = stride(from: first, to: model.count, by: step).map { model.faces[$0].id }
        for start in stride(from: 0, to: ids.count, by: 1_000) {
            try await delete(Array(ids[start..<min(start + 1_000, ids.count)]))
        }
        try await noteStatistics()
    }

    // MARK: Ends and beginnings

    private func noteOpening() async throws {
        buffered = try await shard.statistics().bufferedFaces
        try require(try shard.countsItself(), "the digest of the state is not that of its rows")
    }

    /// After a write that changes nothing no flush is due or under way.
    private func settle() async throws { try await delete([FaceID(Bits128(high: 0, low: 0))]) }

    func reopen() async throws {
        try await shard.reopen()
        try await noteOpening()
        tally.reopenings += 1
        try await noteStatistics()
    }

    /// Everything acknowledged is there.
    func losePower() async throws {
        let (seed, forgetting) = (random.next(), random.next() & 1 == 0)
        try await settle()
        try await shard.losePower(seed: seed, forgettingState: forgetting)
        try await noteOpening()
        tally.powerLosses += 1
        try await noteStatistics()
        try await search(count: 2)
    }

    /// The write that was interrupted is there as far as it reached the disk: a beginning of its changes, in order.
    func losePowerWhileWriting() async throws {
        try await settle()
        // Small writes, or so large ones that a flush may be what is interrupted.
        let isLarge = Int.random(in: 0..<4, using: &random) == 0
        shard.failDisk(afterChanges: Int.random(in: 1...(isLarge ? 60 : 12), using: &random))
        let interrupted = try await writeUntilFailure(faces: isLarge ? 400 : 5)
        let (seed, forgetting) = (random.next(), random.next() & 1 == 0)
        try await noteFlush(adding: 0)
        try await shard.losePower(seed: seed, forgettingState: forgetting)
        try await noteOpening()
        tally.powerLosses += 1
        let reached = abs(try await shard.statistics().faces - model.count)
        try require(reached <= interrupted.count, "\(reached) changes of an interrupted write of \(interrupted.count)")
        model.apply(interrupted.prefix(reached))
        if reached > 0 { tally.interrupted += 1 }
        tally.enrolled += isLarge ? reached : 0
        try await compareEverything()
    }

    /// Writes until the disk fails one; its changes. The disk may have failed between two of them.
    private func writeUntilFailure(faces count: Int) async throws -> [EngineModel.Change] {
        for _ in 0..<12 {
            let isEnrolment = count > 5 || random.next() & 1 == 0
            let (faces, ids) = (try newFaces(count), victims(5))
            guard isEnrolment || !ids.isEmpty else { continue }
            do throws(ShardError) {
                if isEnrolment {
                    let expected = model.enrolment(faces)
                    _ = try await shard.enrol(faces)
                    model.apply(expected.changes)
                    tally.enrolled += expected.changes.count
                } else {
                    let expected = model.deletion(ids)
                    _ = try await shard.delete(ids)
                    model.apply(expected.changes)
                }
            } catch {
                guard case .stopped = error else { throw error }
                return isEnrolment ? model.enrolment(faces).changes : model.deletion(ids).changes
            }
        }
        return []
    }
}
