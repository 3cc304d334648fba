import ClusterModel

/// The writing end of `ControlPlane.changes`: a reader that falls too far behind is cut off, not buffered for.
struct ChangeStream: Sendable {
    private static let elementsMax = 4_096
    private let continuation: AsyncThrowingStream<RegisterChanges, any Error>.Continuation

    /// `follow` runs until it returns or nobody reads any more.
    static func make(
        _ follow: @escaping @Sendable (ChangeStream) async -> Void
    ) -> AsyncThrowingStream<RegisterChanges, any Error> {
        AsyncThrowingStream(bufferingPolicy: .bufferingOldest(elementsMax)) { continuation in
            let task = Task { await follow(ChangeStream(continuation: continuation)) }
            continuation.onTermination = { _ in task.cancel() }
        }
    }

    /// False when nobody reads any more: the writer ends.
    func yield(_ changes: RegisterChanges) -> Bool {
        switch continuation.yield(changes) {
        case .enqueued: return true
        case .dropped:
            finish(.unavailable(reason: "the reader of changes fell too far behind", outcomeUnknown: false))
            return false
        case .terminated: return false
        @unknown default: return false
        }
    }

    /// Nil when nobody reads any more.
    func finish(_ error: ControlPlaneError?) { continuation.finish(throwing: error) }
}
