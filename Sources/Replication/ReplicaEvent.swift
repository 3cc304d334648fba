package import FaceModel

/// What happens to a replica; comes with the time.
package enum ReplicaEvent: Sendable {
    /// At `ReplicaCore.nextTick`, or sooner; one too many does no harm.
    case tick
    case message(ReplicaMessage, from: ReplicaID)
    /// A `synchronize` ended.
    case durable(LogPoint)
    /// Records before this one were removed from the beginning of the log.
    case logBegins(LogIndex)
    /// A write or sync inside the log failed.
    case logFailed
    /// The register was read, or a watch delivered it.
    case register(RegisterState)
    /// What became of a sending of a transaction.
    case transaction(RegisterTransaction, TransactionOutcome)
    /// A member is to leave the in-sync set, and not to come back while this replica reigns.
    case retire(ReplicaID)
    /// A client's write of `records` records, at least one.
    case write(RequestNumber, records: Int)
    case strongRead(RequestNumber)
    /// A read of whatever contains `index`, as a session token or a strong read's index names it.
    case sessionRead(RequestNumber, Generation, LogIndex)
    /// A read of everything acknowledged more than `bound` milliseconds ago.
    case boundedRead(RequestNumber, bound: Int)
}

/// What the driver does, in order, each wholly before the next. A crash between two of them is survived.
package enum ReplicaEffect: Hashable, Sendable {
    /// What stands at the places an `append` names.
    package enum Source: Hashable, Sendable {
        /// The records of the message this event brought.
        case message
        case write(RequestNumber)
        case epochStart
        case noop
    }

    /// Write durably, before anything that follows: temporary file, sync, rename, sync of the directory.
    case persist(ReplicaMemory)
    /// Remove every record behind `after`; durable when it returns.
    case truncate(after: LogIndex)
    /// Write records to the log, not necessarily durable.
    case append(first: LogIndex, count: Int, Source)
    /// Make the log durable as far as here, then `durable`. One is out at a time.
    case synchronize(LogPoint)
    case send(ReplicaMessage, to: ReplicaID)
    /// Apply every record not yet applied, as far as here.
    case apply(through: LogIndex)
    case answer(RequestNumber, ReplicaAnswer)
    case transact(RegisterTransaction)
    /// Read the register, then `register`.
    case readRegister
    /// This replica lacks records that `source` no longer has in its log: build it anew from that one's files, in the
    /// background, and start it again. Said again for as long as it is so.
    case fetchCopy(from: ReplicaID)
    /// Tell the controllers that the primary of this epoch seems gone.
    case suspectPrimary(Epoch)
    /// This copy is of no further use as it is; nothing follows.
    case stop(StopReason)
}

package enum ReplicaAnswer: Hashable, Sendable {
    /// The write's last record stands here and is committed.
    case committed(LogIndex)
    /// The write may or may not be committed: this primary's reign ended.
    case unknown
    /// Read any replica that has applied this; the one that answers has.
    case readable(LogIndex)
    /// Nothing was done.
    case refused(Refusal)

    package enum Refusal: Hashable, Sendable {
        /// Another replica is the primary, if the register's last reading is right.
        case notPrimary(ReplicaID?)
        /// The primary, but not yet or no longer able to serve.
        case notServing
        case busy
        case otherGeneration
        /// The level asked for could not be had in time.
        case late
    }
}

package enum StopReason: Hashable, Sendable {
    /// The log has proof of loss: this copy is set aside, and a new one built.
    case lossProven
    case logFailed
    /// The primary's log differs below what this replica knows to be committed.
    case conflictBelowCommit(LogIndex)
    /// The register is older than what this replica knows: it was restored from a backup.
    case registerIsOlder
    /// An operator accepted a loss; this copy is of the time before.
    case generationPassed
}

/// What a replica keeps beside its log, and never forgets.
package struct ReplicaMemory: Hashable, Sendable {
    /// No message of a lower epoch is accepted.
    package var epoch: Epoch
    /// The newest register it has seen.
    package var register: RegisterState
    /// The log's end was in doubt, and no primary has completed it since. The driver sets it before it cuts a torn tail
    /// off: the next scan would find nothing.
    package var isSuspect: Bool
    /// Begun from empty, never in sync since, and told by no primary whose register was confirmed: all it knows of the
    /// register is what the store said, which may have been restored from a backup.
    package var isNew: Bool

    package init(epoch: Epoch, register: RegisterState, isSuspect: Bool = false, isNew: Bool = false) {
        self.epoch = epoch
        self.register = register
        self.isSuspect = isSuspect
        self.isNew = isNew
    }

    /// What a copy without files begins with.
    package init(begin replica: ReplicaID, register: RegisterState) {
        self.init(
            epoch: register.configuration.epoch, register: register,
            isNew: !register.configuration.isr.contains(replica))
    }
}

/// What the scan of a replica's log found at its start; everything in `outline` is durable.
package struct ScannedLog: Hashable, Sendable {
    package enum Tail: Hashable, Sendable {
        case clean
        /// A torn tail without proof of loss.
        case suspect
        case lossProven
    }

    package var outline: LogOutline
    package var tail: Tail

    package init(outline: LogOutline, tail: Tail) {
        self.outline = outline
        self.tail = tail
    }
}
