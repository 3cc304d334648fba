import ClusterModel
import FaceModel
import Replication
import ShardEngine
import Synchronization

/// The registers of nodes that have no cluster: every shard has one copy, whose register is made when it is first read.
/// They are one directory's, and outlive its nodes as a control plane does.
final class LoneRegisters: ShardRegisters {
    private struct State {
        var registers: [ShardID: RegisterState] = [:]
        var incarnation = Incarnation(0)

        mutating func register(of shard: ShardID) -> RegisterState {
            if let known = registers[shard] { return known }
            let replica = ReplicaID(shard.bits)
            let made = RegisterState(
                configuration: ShardConfiguration(
                    generation: Generation(0), version: 1, epoch: Epoch(1), primary: replica,
                    primaryIncarnation: Incarnation(0), isr: [replica], learners: [], minISR: 1), revision: 1)
            registers[shard] = made
            return made
        }
    }

    private static let byDirectory = Mutex<[String: LoneRegisters]>([:])
    private let state: Mutex<State>

    init() { state = Mutex(State()) }

    /// As another's are now.
    init(like other: LoneRegisters) { state = Mutex(other.state.withLock { $0 }) }

    static func of(_ directory: String) -> LoneRegisters {
        byDirectory.withLock { all in
            let registers = all[directory] ?? LoneRegisters()
            all[directory] = registers
            return registers
        }
    }

    /// Of a new life of the directory's node.
    func raised() -> Incarnation {
        state.withLock { state in
            state.incarnation = state.incarnation.next
            return state.incarnation
        }
    }

    func read(_ shard: ShardID) async throws(ControlPlaneError) -> RegisterState? {
        state.withLock { $0.register(of: shard) }
    }

    func attempt(
        _ change: Replication.RegisterTransaction, of shard: ShardID
    ) async -> Replication.TransactionOutcome {
        state.withLock { state in
            let known = state.register(of: shard)
            guard change.expected == known.revision else { return .refused(known) }
            state.registers[shard] = RegisterState(configuration: change.new, revision: known.revision + 1)
            return .made(revision: known.revision + 1)
        }
    }

    func processes(of shard: ShardID) async throws(ControlPlaneError) -> [ReplicaID: ReplicaProcess] {
        state.withLock { [ReplicaID(shard.bits): ReplicaProcess(node: .embedded, incarnation: $0.incarnation)] }
    }
}
