import ClusterModel
import ControlPlane
import FaceModel
import Synchronization
import Testing

/// A reader of changes that checks what the port promises: revisions never fall, and no transaction is told twice.
final class FollowedRegisters: Sendable {
    struct State {
        var registers: [String: Register] = [:]
        var unreadable: [String: UnreadableRegister] = [:]
        /// Revisions of the elements that changed something.
        var told: [Revision] = []
        var revision: Revision
        var quiet = 0
        var ended: ControlPlaneError?
    }

    private let state: Mutex<State>

    var now: State { state.withLock { $0 } }

    private init(after revision: Revision) { state = Mutex(State(revision: revision)) }

    /// Follows while `body` runs.
    static func following(
        _ store: any ControlPlane, after revision: Revision, _ body: (FollowedRegisters) async throws -> Void
    ) async throws {
        let followed = FollowedRegisters(after: revision)
        let task = Task { await followed.run(store.changes(after: revision)) }
        defer { task.cancel() }
        try await body(followed)
        task.cancel()
        await task.value
    }

    private func run(_ changes: AsyncThrowingStream<RegisterChanges, any Error>) async {
        do {
            for try await change in changes { apply(change) }
        } catch {
            state.withLock { $0.ended = error as? ControlPlaneError }
        }
    }

    private func apply(_ change: RegisterChanges) {
        state.withLock { state in
            let changed = !change.put.isEmpty || !change.deleted.isEmpty || !change.unreadable.isEmpty
            #expect(change.revision >= state.revision)
            if changed {
                #expect(change.revision > state.revision)
                state.told.append(change.revision)
            } else {
                state.quiet += 1
            }
            for register in change.put {
                #expect(register.revision <= change.revision && register.revision > state.revision)
                state.registers[register.value.key.path] = register
                state.unreadable[register.value.key.path] = nil
            }
            for register in change.unreadable { state.unreadable[register.path] = register }
            for path in change.deleted {
                state.registers[path] = nil
                state.unreadable[path] = nil
            }
            state.revision = change.revision
        }
    }
}
