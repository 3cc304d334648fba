import ClusterModel
import FaceModel
import Replication
import StorageIO

/// A shard that is being replaced by two, as its log says. None of this stands where it is whole.
struct ShardSplitState: Equatable, Sendable {
    enum Stage: UInt8 {
        /// Nothing is enrolled or deleted any more, so what the halves are made of stays as it is.
        case dividing = 1
        /// The halves answer; this shard does not.
        case released = 2
    }

    private static let version: UInt8 = 1

    var plan: SplitPlan
    var stage: Stage
    /// The record that began it: the halves' logs begin behind it.
    var end: LogPoint

    init(_ plan: SplitPlan, stage: Stage = .dividing, end: LogPoint) {
        self.plan = plan
        self.stage = stage
        self.end = end
    }

    /// As `state.sqlite` keeps it: docs/formats/state.md.
    var bytes: [UInt8] {
        var writer = ByteWriter()
        writer.put(Self.version)
        writer.put(stage.rawValue)
        writer.put(plan)
        writer.put(end.epoch.value)
        writer.put(end.index.value)
        return writer.bytes
    }

    /// Nil unless `bytes` are what was written.
    init?(bytes: [UInt8]) {
        var reader = ByteReader(bytes)
        do {
            guard try reader.u8() == Self.version, let stage = Stage(rawValue: try reader.u8()) else { return nil }
            self.stage = stage
            plan = try reader.plan()
            end = LogPoint(epoch: Epoch(try reader.u64()), index: LogIndex(try reader.u64()))
            guard reader.remaining == 0 else { return nil }
        } catch {
            return nil
        }
    }
}

/// Payload of a `ShardSplit` record: which two shards take this one's place.
struct ShardSplitRecord: Equatable {
    static let version: UInt8 = 1

    var plan: SplitPlan

    var payload: [UInt8] {
        var writer = ByteWriter()
        writer.put(Self.version)
        writer.put(plan)
        return writer.bytes
    }

    init(plan: SplitPlan) { self.plan = plan }

    init(payload: [UInt8], at index: LogIndex) throws(ReplicaError) {
        do {
            var reader = ByteReader(payload)
            guard try reader.u8() == Self.version else {
                throw ReplicaError.record(index, reason: "ShardSplit of a version this program does not know")
            }
            plan = try reader.plan()
        } catch let error as ReplicaError {
            throw error
        } catch {
            throw .record(index, reason: "ShardSplit cannot be read: \(error)")
        }
    }
}

extension ByteWriter {
    fileprivate mutating func put(_ plan: SplitPlan) {
        for half in plan.halves {
            put(bytes: half.shard.bits.bytes)
            put(half.root.value)
        }
    }
}

extension ByteReader {
    fileprivate mutating func plan() throws(ByteReadError) -> SplitPlan {
        SplitPlan(first: try half(), second: try half())
    }

    private mutating func half() throws(ByteReadError) -> SplitPlan.Half {
        SplitPlan.Half(shard: ShardID(Bits128(bigEndian: try bytes(16))), root: LeafID(try u32()))
    }
}
