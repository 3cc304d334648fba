import ClusterModel
import FaceModel
import Synchronization

/// The bucket directories of collections in use. One is made when it is first needed, which the search waits for, and
/// made anew beside searches, which go on with the old one.
final class BucketDirectories: Sendable {
    typealias Make = @Sendable () async -> Result<BucketDirectory, CoordinatorError>

    private struct Entry {
        var directory: BucketDirectory?
        var making: Task<Result<BucketDirectory, CoordinatorError>, Never>?
        var used: UInt64 = 0
    }
    private struct State {
        var entries: [CollectionUID: Entry] = [:]
        var uses: UInt64 = 0
    }
    private let state = Mutex(State())

    /// The newest directory there is. One of another map, or that some shards are missing from, is being made anew then.
    func directory(
        of uid: CollectionUID, mapVersion: UInt64, make: @escaping Make
    ) async throws(CoordinatorError) -> BucketDirectory {
        let (ready, making) = state.withLock { state in
            state.uses += 1
            var entry = state.entries[uid] ?? Entry()
            entry.used = state.uses
            let isCurrent = entry.directory.map { $0.mapVersion == mapVersion && $0.isWhole } ?? false
            if !isCurrent, entry.making == nil { entry.making = start(uid, make) }
            state.entries[uid] = entry
            forgetLeastUsed(&state)
            return (entry.directory, entry.making)
        }
        if let ready { return ready }
        guard let making else { preconditionFailure("what is not ready is being made") }
        return try await making.value.get()
    }

    /// Makes the directory anew, unless that is going on.
    func renew(_ uid: CollectionUID, make: @escaping Make) {
        state.withLock { state in
            guard var entry = state.entries[uid], entry.making == nil else { return }
            entry.making = start(uid, make)
            state.entries[uid] = entry
        }
    }

    func forget(_ uid: CollectionUID) { state.withLock { $0.entries[uid] = nil } }

    private func start(
        _ uid: CollectionUID, _ make: @escaping Make
    ) -> Task<Result<BucketDirectory, CoordinatorError>, Never> {
        Task {
            let made = await make()
            state.withLock { state in
                // Forgotten meanwhile: the collection is gone.
                guard var entry = state.entries[uid] else { return }
                entry.making = nil
                if case .success(let directory) = made { entry.directory = directory }
                state.entries[uid] = entry
            }
            return made
        }
    }

    private func forgetLeastUsed(_ state: inout State) {
        while state.entries.count > Limits.bucketDirectoriesMax,
            let least = state.entries.min(by: { $0.value.used < $1.value.used })
        {
            state.entries[least.key] = nil
        }
    }
}
