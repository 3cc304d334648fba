import Replication
import StorageIO

@testable import ShardEngine

extension ShardNode {
    /// A node that has no cluster.
    convenience init(
        directory: String, files: any FileSystem, pool: ScanPool, capacityBytes: Int = 0, locksMemory: Bool = false,
        mapsPlanes: Bool = false
    ) {
        let registers = LoneRegisters.of(directory)
        self.init(
            directory: directory, files: files, pool: pool,
            surroundings: ReplicaSurroundings(
                node: .embedded, incarnation: registers.raised(), registers: registers, post: NoPost()),
            capacityBytes: capacityBytes, locksMemory: locksMemory, mapsPlanes: mapsPlanes)
    }
}
