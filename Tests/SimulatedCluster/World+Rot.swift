import FaceModel
import Replication

/// Records that go bad on the disk, of which nobody knows before they are read: to be sent, to be applied, or at a start.
extension World {
    /// One of the last records, of those that the log still holds.
    func rot(_ node: Int) {
        let disk = nodes[node].disk
        let held = disk.durable - disk.begin + 1
        guard held > 0 else { return }
        let place = disk.durable - random.below(min(held, 12))
        nodes[node].disk.records[place - 1].value ^= 1 << UInt64(random.below(48))
        checker.rotten.insert(disk.replica)
        note("node \(node) rots at \(place)")
    }

    /// Whether the records may be used. Where one is bad the process ends, and the copy is set aside: behind it are
    /// records that were promised.
    func verify(_ records: ArraySlice<SimulatedRecord>, of node: Int) -> Bool {
        if options.mistake == .rotUnseen || records.allSatisfy(\.isIntact) { return true }
        note("node \(node) reads a record that is bad")
        nodes[node].disk.lossProven = true
        crash(node)
        return false
    }

    /// What the scan at a start finds: the log ends before its first bad record. Whether that is proof of loss is for those
    /// behind it to say, or for the state beside the log.
    func scan(_ node: Int) {
        let disk = nodes[node].disk
        guard options.mistake != .rotUnseen,
            let bad = disk.records.indices.dropFirst(disk.begin - 1).first(where: { !disk.records[$0].isIntact })
        else { return }
        let proven = disk.saved > bad || disk.records[bad...].dropFirst().contains { $0.stamp > bad }
        nodes[node].disk.records.removeLast(disk.records.count - bad)
        nodes[node].disk.durable = min(disk.durable, bad)
        nodes[node].disk.lossProven = disk.lossProven || proven
        nodes[node].disk.torn = disk.torn || !proven
        checker.rotten.remove(disk.replica)
        checker.holed.insert(disk.replica)
        note("node \(node) finds rot at \(bad + 1), \(proven ? "proven" : "not proven")")
    }

    /// What was bad may have been removed.
    func forgetRot(_ node: Int) {
        let disk = nodes[node].disk
        if disk.records.dropFirst(disk.begin - 1).allSatisfy(\.isIntact) { checker.rotten.remove(disk.replica) }
    }
}
