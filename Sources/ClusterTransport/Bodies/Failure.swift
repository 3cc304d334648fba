import AuditLedger
import ClusterModel
import FaceModel

/// Everything an error frame can say.
enum Failure: Error, Hashable, Sendable {
    /// The node could not read the request.
    case badRequest(BodyError)
    /// The peer's role may not ask this.
    case forbidden(String)
    /// The node does not know or offer the method.
    case unsupported(String)
    /// Too much is being answered; nothing was begun.
    case overloaded(String)
    /// The node ends; nothing was begun.
    case stopping(String)
    /// The answer cannot be sent; what was asked may have happened.
    case unanswerable(String)
    case shard(ShardError)
    case node(String)
    case ledger(LedgerError)

    /// Whether it belongs to normal service; the others tell of a bug or an intruder.
    var isOrdinary: Bool {
        switch self {
        case .badRequest, .forbidden, .unsupported, .unanswerable: false
        case .overloaded, .stopping, .shard, .node, .ledger: true
        }
    }

    /// The metric's value.
    var label: String {
        switch self {
        case .badRequest: "bad_request"
        case .forbidden: "forbidden"
        case .unsupported: "unsupported"
        case .overloaded: "overloaded"
        case .stopping: "stopping"
        case .unanswerable: "unanswerable"
        case .node: "node"
        case .shard(let error): error.label
        case .ledger(let error): error.label
        }
    }
}

extension ShardError {
    fileprivate var label: String {
        switch self {
        case .unknownShard: "unknown_shard"
        case .wrongDimension: "wrong_dimension"
        case .wrongOwner: "wrong_owner"
        case .notPrimary: "not_primary"
        case .notServing: "not_serving"
        case .interrupted: "interrupted"
        case .writesRefused: "writes_refused"
        case .busy: "busy"
        case .damaged: "damaged"
        case .stopped: "stopped"
        case .deadlineExceeded: "deadline_exceeded"
        case .unreachable: "unreachable"
        }
    }
}

extension LedgerError {
    fileprivate var label: String {
        switch self {
        case .refusing: "ledger_refusing"
        case .damaged: "ledger_damaged"
        case .stopped: "ledger_stopped"
        case .unreachable: "ledger_unreachable"
        case .suspended: "ledger_suspended"
        case .keyRevoked: "ledger_key_revoked"
        }
    }
}

extension WireFailure {
    init(_ failure: Failure) {
        self.init()
        switch failure {
        case .badRequest(let error):
            var bad = BadRequest()
            bad.field = FieldBytes.text(error.field)
            bad.problem = FieldBytes.text(error.problem)
            badRequest = bad
        case .forbidden(let reason): forbidden = Text(reason)
        case .unsupported(let reason): unsupported = Text(reason)
        case .overloaded(let reason): overloaded = Text(reason)
        case .stopping(let reason): stopping = Text(reason)
        case .unanswerable(let reason): unanswerable = Text(reason)
        case .node(let reason): node = Text(reason)
        case .shard(let error): set(error)
        case .ledger(let error): set(error)
        }
    }

    private mutating func set(_ error: ShardError) {
        switch error {
        case .unknownShard: unknownShard = Empty()
        case .wrongDimension(let expected, let got):
            var wrong = WrongDimension()
            wrong.expected = UInt32(clamping: expected)
            wrong.got = UInt32(clamping: got)
            wrongDimension = wrong
        case .wrongOwner(_, let owned):
            var wrong = WrongOwner()
            wrong.owned = owned.map(\.value)
            wrongOwner = wrong
        case .notPrimary: notPrimary = Empty()
        case .notServing(_, let reason): notServing = Text(reason)
        case .interrupted: interrupted = Empty()
        case .writesRefused(_, let reason): writesRefused = Text(reason)
        case .busy(_, let reason): busy = Text(reason)
        case .damaged(_, let reason): damaged = Text(reason)
        case .stopped(_, let reason): stopped = Text(reason)
        case .deadlineExceeded: deadlineExceeded = Empty()
        case .unreachable(_, let node, let reason, let outcomeUnknown):
            var beyond = Unreachable()
            beyond.node = node.text
            beyond.reason = FieldBytes.text(reason)
            beyond.outcomeUnknown = outcomeUnknown
            unreachable = beyond
        }
    }

    private mutating func set(_ error: LedgerError) {
        switch error {
        case .refusing(let reason): ledgerRefusing = Text(reason)
        case .damaged(let reason): ledgerDamaged = Text(reason)
        case .stopped(let reason): ledgerStopped = Text(reason)
        case .unreachable(let reason): ledgerUnreachable = Text(reason)
        case .suspended(let since):
            var suspended = Suspended()
            suspended.sinceMilliseconds = since.milliseconds
            ledgerSuspended = suspended
        case .keyRevoked: ledgerKeyRevoked = Empty()
        }
    }

    /// Errors of shards are those of `shard`, the one that was asked.
    func domain(shard: ShardID) throws(BodyError) -> Failure {
        switch reason {
        case .badRequest(let bad):
            .badRequest(BodyError(try Fields.text(bad.field, "field"), try Fields.text(bad.problem, "problem")))
        case .forbidden(let text): .forbidden(try text.checked())
        case .unsupported(let text): .unsupported(try text.checked())
        case .overloaded(let text): .overloaded(try text.checked())
        case .stopping(let text): .stopping(try text.checked())
        case .unanswerable(let text): .unanswerable(try text.checked())
        case .node(let text): .node(try text.checked())
        case .ledgerRefusing(let text): .ledger(.refusing(reason: try text.checked()))
        case .ledgerDamaged(let text): .ledger(.damaged(reason: try text.checked()))
        case .ledgerStopped(let text): .ledger(.stopped(reason: try text.checked()))
        case .ledgerUnreachable(let text): .ledger(.unreachable(reason: try text.checked()))
        case .ledgerSuspended(let suspended):
            .ledger(.suspended(since: Timestamp(milliseconds: suspended.sinceMilliseconds)))
        case .ledgerKeyRevoked: .ledger(.keyRevoked)
        case .unknownShard: .shard(.unknownShard(shard))
        case .wrongDimension(let wrong):
            .shard(.wrongDimension(expected: Int(wrong.expected), got: Int(wrong.got)))
        case .wrongOwner(let wrong): .shard(.wrongOwner(shard, owned: try Fields.roots(wrong.owned, "owned")))
        case .notPrimary: .shard(.notPrimary(shard))
        case .notServing(let text): .shard(.notServing(shard, reason: try text.checked()))
        case .interrupted: .shard(.interrupted(shard))
        case .writesRefused(let text): .shard(.writesRefused(shard, reason: try text.checked()))
        case .busy(let text): .shard(.busy(shard, reason: try text.checked()))
        case .damaged(let text): .shard(.damaged(shard, reason: try text.checked()))
        case .stopped(let text): .shard(.stopped(shard, reason: try text.checked()))
        case .deadlineExceeded: .shard(.deadlineExceeded(shard))
        case .unreachable(let beyond): try Self.unreachable(beyond, shard)
        case nil: throw BodyError("reason", "an error this release does not know")
        }
    }

    private static func unreachable(_ beyond: Unreachable, _ shard: ShardID) throws(BodyError) -> Failure {
        guard let node = NodeID(beyond.node) else { throw BodyError("unreachable.node", "no node's name") }
        return .shard(
            .unreachable(
                shard, node: node, reason: try Fields.text(beyond.reason, "unreachable.reason"),
                outcomeUnknown: beyond.outcomeUnknown))
    }
}

extension WireFailure.Text {
    fileprivate init(_ text: String) {
        self.init()
        self.text = FieldBytes.text(text)
    }

    fileprivate func checked() throws(BodyError) -> String { try Fields.text(text, "text") }
}
