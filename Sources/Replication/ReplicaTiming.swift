import FaceModel

/// How long a replica waits for what, in milliseconds, and how much it has under way.
package struct ReplicaTiming: Hashable, Sendable {
    /// A primary is heard at least this often.
    package var heartbeat = 50
    /// The same while the shard is idle: every member matches, and nothing was asked of it for `idleAfter`.
    package var idleHeartbeat = 250
    package var idleAfter = 5_000
    /// An in-sync member without progress for so long is shrunk away.
    package var progress = 1_000
    /// A primary unheard for so long is suspected.
    package var suspicion = 1_500
    /// A last batch is confirmed by a Noop after so long.
    package var idleConfirm = 40
    /// A transaction without an answer is sent again after so long.
    package var transactionRetry = 300
    /// What was sent and not answered for so long is sent again.
    package var resend = 200
    /// A question for a bounded read that was answered too late for it is put again after so long.
    package var pollAgain = 20
    /// A read at a follower waits at most so long.
    package var readWait = 2_000
    /// Messages with records to one replica at a time, and records of one.
    package var appendsInFlight = 4
    package var recordsPerAppend = 1_024
    /// Requests that wait in one replica.
    package var waitingMax = Limits.logInboxMax
    /// Copies a shard has at least, where they are more than those of which its minimum is a majority.
    package var replicas: Int

    package init(replicas: Int = 1) { self.replicas = replicas }
}
