package import FaceModel

/// A copy of a shard as its node finds it on its disk, whatever the registers say of it.
package struct HeldCopy: Hashable, Sendable {
    package enum Condition: Hashable, Sendable {
        case whole
        /// The log's end was in doubt, and no primary has completed it since.
        case suspect
        /// The first record that is lost, though it was durable; the copy's end is before it.
        case lossProven(from: LogIndex)
        /// It cannot be opened, for another reason than a loss in its log.
        case unusable(reason: String)
    }

    package var replica: ReplicaID
    /// The newest register that it has seen, and that register's revision.
    package var register: ShardRegister
    package var revision: UInt64
    /// It accepts no message of a lower one.
    package var epoch: Epoch
    package var condition: Condition
    /// The last whole record of its log, and that record's epoch.
    package var end: LogIndex
    package var endEpoch: Epoch
    /// As far as it knows the log to be committed; nil where it is not open.
    package var committed: LogIndex?

    package init(
        replica: ReplicaID, register: ShardRegister, revision: UInt64, epoch: Epoch, condition: Condition,
        end: LogIndex, endEpoch: Epoch, committed: LogIndex? = nil
    ) {
        self.replica = replica
        self.register = register
        self.revision = revision
        self.epoch = epoch
        self.condition = condition
        self.end = end
        self.endEpoch = endEpoch
        self.committed = committed
    }

    package var shard: ShardID { register.shard }
}
