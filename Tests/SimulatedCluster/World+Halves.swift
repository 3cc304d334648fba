import ClusterModel
import FaceModel
import Replication

/// How the world of a half begins: on the machines of the shard that was split, with the files that its copies made.
extension World {
    /// `register` is what was published of the half; `number` is 0 or 1.
    convenience init(
        half number: Int, of parent: World, by plan: Int, _ register: ShardRegister, end: LogPoint, seed: UInt64,
        at time: Int
    ) {
        self.init(seed: seed, options: parent.options, keepsTrail: parent.keepsTrail)
        (half, side, now) = (register.shard, .half(number), time)
        (faultsOn, trail) = (parent.faultsOn, parent.trail)
        let configuration = ShardConfiguration(register)
        store = SimulatedStore(state: RegisterState(configuration: configuration, revision: 1))
        checker = Checker(side, of: parent.checker, behind: end)
        nodes = parent.nodes.indices.map { SimulatedNode(disk: disk($0, parent, plan, end), up: parent.nodes[$0].up) }
        for node in nodes.indices { nodes[node].copies = parent.nodes[node].copies }
        for node in nodes.indices where lacksFiles(node, parent) { makeEmpty(node) }
        move = parent.move
        checkMembers("the publication of a half")
    }

    /// The name of the machine's copy, and of what it made.
    func name(_ node: Int, copy: Int) -> ReplicaID {
        let name = Self.replica(node, copy: copy)
        return half.map { name.half($0) } ?? name
    }

    private func disk(_ node: Int, _ parent: World, _ plan: Int, _ end: LogPoint) -> SimulatedDisk {
        let old = parent.nodes[node].disk
        var new = SimulatedDisk(replica: old.replica.half(half ?? ShardID(old.replica.bits)))
        // Files that were made too late to count are where a copy that learns begins.
        guard store.state.configuration.named.contains(new.replica), let halves = old.halves, halves.plan == plan,
            halves.end == end
        else { return new }
        new.records = SimulatedRecord.unknown(through: end)
        (new.durable, new.saved, new.begin) = (new.records.count, new.records.count, new.records.count + 1)
        new.table = halves.table.half(side, mistake: options.mistake)
        return new
    }

    /// The copy is named in sync, and has lost with its disk what it had made.
    private func lacksFiles(_ node: Int, _ parent: World) -> Bool {
        let disk = nodes[node].disk
        return store.state.configuration.isr.contains(disk.replica) && disk.records.isEmpty
            && !parent.isIntact(parent.nodes[node].disk.replica)
    }
}

extension ShardConfiguration {
    init(_ register: ShardRegister) {
        self.init(
            generation: register.generation, version: register.version, epoch: register.epoch,
            primary: register.primary, primaryIncarnation: register.primaryIncarnation, isr: register.inSync,
            learners: register.learners, minISR: register.minInSync)
    }

    func register(of shard: ShardID) -> ShardRegister {
        ShardRegister(
            shard: shard, generation: generation, version: version, epoch: epoch, primary: primary,
            primaryIncarnation: primaryIncarnation, inSync: isr, learners: learners, minInSync: minISR)
    }
}
