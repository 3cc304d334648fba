import ClusterModel
import FaceModel
import SimulatedDisk

extension EngineModelRun {
    /// Batches at once, which may share a pass over the rows.
    func searchTogether() async throws {
        let batches = try (0..<Int.random(in: 2...6, using: &random)).map { _ in
            try (0..<Int.random(in: 1...3, using: &random)).map { _ in try query() }
        }
        let shard = SendableBox(value: shard)
        let searches = batches.map { batch in Task { try await shard.value.search(batch) } }
        for (search, batch) in zip(searches, batches) {
            let answers = try await search.value
            try require(answers.count == batch.count, "\(answers.count) answers to \(batch.count) searches at once")
            for (answer, query) in zip(answers, batch) {
                if let difference = difference(answer, query, model) { try require(false, "at once: \(difference)") }
                note(answer)
            }
        }
    }

    /// A search that runs while a write does sees all of it or nothing of it.
    func searchBesideWrite() async throws {
        let queries = try (0..<4).map { _ in try query() }
        let isEnrolment = random.next() & 1 == 0
        let faces = isEnrolment ? try newFaces(20) : []
        let ids = isEnrolment ? [] : victims(20)
        guard isEnrolment || !ids.isEmpty else { return }
        let before = model
        let shard = SendableBox(value: shard)
        let searching = Task { try await shard.value.search(queries) }
        if isEnrolment { try await enrol(faces) } else { try await delete(ids) }
        // One batch, one state of the shard.
        let answers = try await searching.value
        try require(answers.count == queries.count, "\(answers.count) answers to \(queries.count) searches")
        let old = zip(answers, queries).compactMap { differenceBeside($0, $1, before) }
        let new = zip(answers, queries).compactMap { differenceBeside($0, $1, model) }
        try require(old.isEmpty || new.isEmpty, "beside a write: \(old), or \(new)")
        for answer in answers { note(answer) }
    }

    /// The position in the log may be the one before the write.
    private func differenceBeside(
        _ answer: ShardSearchAnswer, _ query: EngineModel.Query, _ model: EngineModel
    ) -> String? {
        var answer = answer
        answer.at = ShardPosition(Generation(0), LogIndex(UInt64(Int64.max)))
        return difference(answer, query, model)
    }
}

/// Lets the shard's searches run beside its writes, which it is made for.
// Safe because searches and writes of `EngineModelShard` touch no variable of it.
struct SendableBox<Value>: @unchecked Sendable {
    let value: Value
}
