import NIOCore

/// Why a call has no answer.
enum CallFailure: Error, Hashable, Sendable {
    /// `outcomeUnknown`: the request had left.
    case unreachable(reason: String, outcomeUnknown: Bool)
    /// Also when the caller's task was cancelled: nobody waits either way.
    case deadlineExceeded
    /// Too much waits for the node already; the request was not sent.
    case busy(reason: String)
    /// The request is longer than a frame may be; it was not sent.
    case tooLong
    /// The node answered what its method does not answer.
    case malformed(BodyError)
    /// The node's own word.
    case failed(Failure)

    /// The metric's value.
    var label: String {
        switch self {
        case .unreachable: "unreachable"
        case .deadlineExceeded: "deadline_exceeded"
        case .busy: "busy"
        case .tooLong: "too_long"
        case .malformed: "malformed_answer"
        case .failed(let failure): failure.label
        }
    }
}

/// A request as its caller hands it over.
struct CallRequest: Sendable {
    let id: UInt64
    let frame: ByteBuffer
    let deadline: NIODeadline
    let continuation: CheckedContinuation<Result<Frame, CallFailure>, Never>
}

/// A request that somebody waits for, as its link keeps it.
struct PendingCall {
    enum Place {
        /// For a connection.
        case waiting(frame: ByteBuffer)
        case sent(FrameConnection)
    }

    let id: UInt64
    let bytes: Int
    let deadline: NIODeadline
    var place: Place
    private let continuation: CheckedContinuation<Result<Frame, CallFailure>, Never>

    init(_ request: CallRequest) {
        id = request.id
        bytes = request.frame.readableBytes
        deadline = request.deadline
        place = .waiting(frame: request.frame)
        continuation = request.continuation
    }

    func end(_ result: Result<Frame, CallFailure>) { continuation.resume(returning: result) }
}
