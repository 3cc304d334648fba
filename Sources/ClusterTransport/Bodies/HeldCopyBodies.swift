import ClusterModel
import FaceModel
import Replication

extension WireHeldCopiesRequest {
    init(_ shard: ShardID?, _ call: WireCall) {
        self.init()
        self.call = call
        if let shard { self.shard = FieldBytes.id(shard) }
    }

    func domain() throws(BodyError) -> ShardID? { shard.isEmpty ? nil : try Fields.id(shard, "shard", ShardID.self) }
}

extension WireHeldCopiesAnswer {
    init(_ copies: [HeldCopy]) {
        self.init()
        self.copies = copies.map { WireHeldCopy($0) }
    }

    func domain() throws(BodyError) -> [HeldCopy] {
        guard copies.count <= TransportLimits.heldCopiesMax else {
            throw BodyError("copies", "\(copies.count); \(TransportLimits.heldCopiesMax) at most")
        }
        var read: [HeldCopy] = []
        for copy in copies {
            do throws(BodyError) {
                read.append(try copy.domain())
            } catch {
                throw BodyError("copies[\(read.count)].\(error.field)", error.problem)
            }
        }
        return read
    }
}

extension WireHeldCopy {
    fileprivate init(_ copy: HeldCopy) {
        self.init()
        shard = FieldBytes.id(copy.shard)
        replica = FieldBytes.id(copy.replica)
        register = WireLetter.Register(RegisterState(copy.register, revision: copy.revision))
        epoch = copy.epoch.value
        switch copy.condition {
        case .whole: break
        case .suspect: suspect = true
        case .lossProven(let first): lostFrom = first.value
        case .unusable(let reason): unusable = FieldBytes.text(reason)
        }
        (end, endEpoch) = (copy.end.value, copy.endEpoch.value)
        if let index = copy.committed { committed = index.value }
    }

    fileprivate func domain() throws(BodyError) -> HeldCopy {
        let register = try register.domain()
        return HeldCopy(
            replica: try Fields.id(replica, "replica"),
            register: ShardRegister(register.configuration, of: try Fields.id(shard, "shard")),
            revision: register.revision, epoch: Epoch(try Fields.position(epoch, "epoch")),
            condition: try readCondition(), end: LogIndex(try Fields.position(end, "end")),
            endEpoch: Epoch(try Fields.position(endEpoch, "end_epoch")),
            committed: hasCommitted ? LogIndex(try Fields.position(committed, "committed")) : nil)
    }

    private func readCondition() throws(BodyError) -> HeldCopy.Condition {
        switch condition {
        case nil: .whole
        case .suspect: .suspect
        case .lostFrom(let first): .lossProven(from: LogIndex(try Fields.position(first, "lost_from")))
        case .unusable(let reason): .unusable(reason: try Fields.text(reason, "unusable"))
        }
    }
}

extension RegisterState {
    fileprivate init(_ register: ShardRegister, revision: UInt64) {
        self.init(
            configuration: ShardConfiguration(
                generation: register.generation, version: register.version, epoch: register.epoch,
                primary: register.primary, primaryIncarnation: register.primaryIncarnation, isr: register.inSync,
                learners: register.learners, minISR: register.minInSync),
            revision: revision)
    }
}

extension ShardRegister {
    fileprivate init(_ configuration: ShardConfiguration, of shard: ShardID) {
        self.init(
            shard: shard, generation: configuration.generation, version: configuration.version,
            epoch: configuration.epoch, primary: configuration.primary,
            primaryIncarnation: configuration.primaryIncarnation, inSync: configuration.isr,
            learners: configuration.learners, minInSync: configuration.minISR)
    }
}
