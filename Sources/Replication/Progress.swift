import FaceModel

/// What a primary knows of another replica.
struct Progress {
    let replica: ReplicaID
    /// Of the process whose acknowledgements count; nil until one came.
    var incarnation: Incarnation?
    /// Its log is durable and equal to ours as far as this.
    var match: LogIndex = .zero
    /// The newest configuration it is known to know.
    var version: UInt64 = 0
    /// It said that it knows none but from the store.
    var isNew = false
    /// Answered in this epoch.
    var reconciled = false
    /// The next record to send.
    var next: LogIndex
    /// Messages with records that it has not answered.
    var inFlight = 0
    /// It left records unanswered: until it is heard again it gets none.
    var isProbed = false
    var sentAt: Moment
    /// It has been silent about what was sent for as long as this is past.
    var silentSince: Moment
    /// When it last stood where it should.
    var progressAt: Moment
    /// The last round it confirmed.
    var confirmed: UInt64 = 0

    init(_ replica: ReplicaID, next: LogIndex, time: Moment) {
        self.replica = replica
        self.next = next
        (sentAt, silentSince, progressAt) = (time, time, time)
    }
}

/// A change of the register whose end is not known. It is sent again until it is: one that was given up could still be
/// made.
struct PendingChange {
    let transaction: RegisterTransaction
    /// When it was proposed.
    let since: Moment
    var sentAt: Moment

    var isr: [ReplicaID] { transaction.new.isr }
}

struct PendingWrite {
    let number: RequestNumber
    let last: LogIndex
}

/// A round in which the in-sync set confirms that it knows no later epoch.
struct ConfirmRound {
    let number: UInt64
    let startedAt: Moment
    /// When those who have not confirmed were last asked.
    var askedAt: Moment
    let commit: LogIndex
    let reads: [RequestNumber]
}

/// The reign of this replica: what a primary has to remember.
struct Reign {
    /// The place of the epoch's first record.
    let barrier: LogIndex
    /// Everyone the register names but this replica, sorted.
    var others: [Progress]
    var pending: PendingChange?
    /// Who is to leave the in-sync set, and not to be taken in again.
    var retired: [ReplicaID] = []
    /// Enough replicas have said that they know no newer register.
    var registerConfirmed = false
    var writes: [PendingWrite] = []
    var queuedReads: [RequestNumber] = []
    var round: ConfirmRound?
    var rounds: UInt64 = 0
    /// When the last complete round began.
    var confirmedAt: Moment?
    /// When the last record was appended that no later one proves durable.
    var unconfirmedSince: Moment?
    /// When something was last asked of the shard.
    var activeAt: Moment
    /// When the register was last read because this replica could not serve.
    var readAt: Moment
}

/// A read that waits at a replica for its log.
struct WaitingRead {
    enum Level {
        case session(LogIndex)
        case bounded(Int)
    }

    let number: RequestNumber
    let level: Level
    let askedAt: Moment
}

/// The last question of this replica to the primary.
struct Poll {
    let number: RequestNumber
    let askedAt: Moment
    var isAnswered = false

    func next(_ timing: ReplicaTiming) -> Moment {
        askedAt.advanced(by: isAnswered ? timing.pollAgain : timing.resend)
    }
}

/// What the primary answered to a poll: everything acknowledged at `sure` is at or below `commit`.
struct PrimaryView {
    let commit: LogIndex
    /// On this replica's clock, and not later than it truly was.
    let sure: Moment
}

/// The state of a replica that is not the primary.
struct Following {
    /// The log is equal to the primary's as far as this, in this epoch.
    var matched: LogIndex = .zero
    /// As the primary said, in this epoch.
    var primaryCommit: LogIndex = .zero
    var primary: ReplicaID?
    var heardAt: Moment
    var suspectedAt: Moment?
}
