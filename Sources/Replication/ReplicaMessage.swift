package import FaceModel

/// What replicas of one shard say to each other. May be lost, repeated, delayed and reordered.
package struct ReplicaMessage: Hashable, Sendable {
    package enum Body: Hashable, Sendable {
        /// From the primary: records (none: a heartbeat). The driver adds their payloads; where not all fit a frame it
        /// may send a beginning of them.
        case append(Append)
        /// This log is durable and equal to the primary's as far as `match`; `version` is of the newest configuration
        /// it knows, and 0 of a new copy, which knows the store's word only.
        case appended(match: LogIndex, version: UInt64)
        /// The logs do not agree at the place before the records; they may at `hint`.
        case mismatch(hint: LogIndex)
        /// From the primary: its log begins at `first` and does not reach back to what the receiver lacks.
        case copyNeeded(first: LogIndex)
        /// The message had an older epoch than this one's.
        case fenced
        case confirm(round: UInt64)
        case confirmed(round: UInt64)
        /// From a follower that serves a bounded read: how far is it, and how sure are you?
        case poll(RequestNumber)
        /// `age`: milliseconds since the whole in-sync set last confirmed the primary.
        case polled(RequestNumber, commit: LogIndex, age: Int)
    }

    package struct Append: Hashable, Sendable {
        package var range: LogRange
        /// Zero while the primary's register is not confirmed.
        package var commit: LogIndex
        package var register: RegisterState
        /// The receiver's process, if the primary knows that its log holds all that is committed. A receiver cannot
        /// tell that by itself: the message may be late, and speak of a commit of long ago.
        package var complete: Incarnation?

        package init(range: LogRange, commit: LogIndex, register: RegisterState, complete: Incarnation? = nil) {
            self.range = range
            self.commit = commit
            self.register = register
            self.complete = complete
        }
    }

    package var generation: Generation
    /// The sender's epoch.
    package var epoch: Epoch
    /// The sender's incarnation.
    package var incarnation: Incarnation
    package var body: Body

    package init(generation: Generation, epoch: Epoch, incarnation: Incarnation, body: Body) {
        self.generation = generation
        self.epoch = epoch
        self.incarnation = incarnation
        self.body = body
    }
}
