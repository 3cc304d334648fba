import FaceModel
import Replication

/// The invariants, checked where something touches them. Numbers are those of the design.
extension World {
    func check(_ node: Int, epochBefore: Epoch) {
        guard let core = nodes[node].core else { return }
        // A log whose end was in doubt counts again once a primary has completed it.
        if core.isClean { checker.holed.remove(core.id) }
        if core.epoch < epochBefore { fail("S2 node \(node) went back from epoch \(epochBefore) to \(core.epoch)") }
        if core.log.last.value != nodes[node].disk.records.count { fail("S3 node \(node): outline and log differ") }
        if Int(core.durable.value) > nodes[node].disk.durable { fail("S4 node \(node) calls durable what is not") }
    }

    func truncate(_ node: Int, after index: Int) {
        let disk = nodes[node].disk
        if index < nodes[node].applied {
            fail("S3 node \(node) removes from \(index + 1), applied to \(nodes[node].applied)")
        }
        for place in stride(from: index + 1, through: disk.records.count, by: 1) {
            guard let committed = checker.committed(at: place) else { break }
            let own = disk.records[place - 1]
            if own.epoch == committed.epoch, counts(node) { fail("S3 node \(node) removes committed \(place)") }
        }
        nodes[node].disk.records.removeLast(disk.records.count - index)
        nodes[node].disk.durable = min(disk.durable, index)
        nodes[node].disk.begin = min(disk.begin, index + 1)
        forgetRot(node)
    }

    /// On a register that a backup brought back a primary may be chosen who lacks what was committed without him; he cannot
    /// serve. A copy that did not count for it either, and has not heard of the newer register, gives him what it holds of it:
    /// nobody relied on that. Whoever counted knows the newer register, and does not follow him.
    private func counts(_ node: Int) -> Bool {
        guard let newest = newestBeforeBackup, !store.state.configuration.isNewer(than: newest) else { return true }
        return newest.isr.contains(nodes[node].disk.replica)
    }

    func apply(_ node: Int, through index: Int) {
        guard let core = nodes[node].core,
            index <= nodes[node].applied || verify(nodes[node].disk.records[nodes[node].applied..<index], of: node)
        else { return }
        for place in stride(from: nodes[node].applied + 1, through: index, by: 1) {
            let record = nodes[node].disk.records[place - 1]
            guard checker.commit(record, at: place) else {
                return fail("S3 node \(node) commits another record at \(place) in epoch \(core.epoch)")
            }
            let point = LogPoint(epoch: record.epoch, index: LogIndex(UInt64(place)))
            nodes[node].table.apply(record.value, at: point, mistake: options.mistake)
            guard checker.digest(after: place) == nodes[node].table.digest else {
                return fail("S9, S12 node \(node) has another state after \(place) than a full replay")
            }
        }
        nodes[node].applied = max(nodes[node].applied, index)
        digest.mix(index)
        attendSplit(node)
        guard core.isPrimary else { return }
        if !checker.commits(core.id, in: core.epoch) { fail("S2 two primaries commit in epoch \(core.epoch)") }
        checkMembers("commit of \(index) by node \(node)")
    }

    /// S4 and S5: every member of the in-sync set holds every committed record durably, but for lost disks.
    func checkMembers(_ occasion: String) {
        let last = checker.committedCount
        guard !isRestored, last > 0, let record = checker.committed(at: last) else { return }
        for member in store.state.configuration.isr where isIntact(member) {
            let disk = nodes[Self.node(of: member)].disk
            guard disk.durable >= last, disk.records[last - 1].epoch == record.epoch else {
                return fail("S5 after \(occasion): member \(member) lacks \(last)")
            }
        }
    }

    func checkRead(_ number: RequestNumber, at index: Int, by node: Int) {
        guard let read = checker.ended(number, at: node) else { return }
        if nodes[node].applied < index {
            fail("S6 node \(node) answers at \(index), applied to \(nodes[node].applied)")
        }
        switch read {
        case .strong(let floor):
            figures.strongReads += 1
            if index < floor { fail("S6 node \(node) reads at \(index), acknowledged was \(floor)") }
        case .session(let floor):
            figures.sessionReads += 1
            if index < floor { fail("S7 session: node \(node) reads at \(index), asked for \(floor)") }
        case .bounded(let bound):
            figures.boundedReads += 1
            let floor = checker.acknowledged(at: now - bound - 1)
            if index < floor { fail("S7 bounded: node \(node) reads at \(index), \(bound) ms ago there was \(floor)") }
        }
    }

    /// S14.
    func checkTransition(from old: ShardConfiguration, to new: ShardConfiguration) {
        let sameMembers = old.isr == new.isr && old.version == new.version
        let isFailover =
            new.epoch == old.epoch.next && sameMembers && old.learners == new.learners && new.isr.contains(new.primary)
        let isMembers =
            new.epoch == old.epoch && new.version == old.version + 1 && new.primary == old.primary
            && new.isr.contains(new.primary) && new.isr.count >= new.minISR && new.named == old.named
        let gone = old.isr.filter { !new.isr.contains($0) }
        let isNaming =
            new.epoch == old.epoch && new.version == old.version && new.primary == old.primary
            && new.minISR >= old.minISR && Set(new.isr).isSubset(of: old.isr)
            && gone.allSatisfy { nodes[Self.node(of: $0)].disk.replica != $0 }
        if !isFailover, !isMembers, !isNaming { fail("S14 from \(old) to \(new)") }
        if new.minISR > old.minISR { figures.raises += 1 }
        if isFailover { figures.reigns += 1 }
        if isMembers {
            if !Set(old.isr).isSubset(of: new.isr) { figures.shrinks += 1 }
            if !Set(new.isr).isSubset(of: old.isr) { figures.expands += 1 }
        }
        checkMembers("a change of the register")
    }

    /// Nobody may be chosen by rule 4: a member lost its disk, and the ends of all others' logs are in doubt.
    private var needsOperator: Bool {
        let members = store.state.configuration.isr
        let clean = members.filter { isIntact($0) && nodes[Self.node(of: $0)].core?.isClean ?? false }
        return checker.acknowledgedAfterFaults == 0 && clean.isEmpty
            && members.contains { nodes[Self.node(of: $0)].disk.replica != $0 }
    }

    func checkEnd() {
        if needsOperator {
            figures.operatorNeeded += 1
        } else if checker.acknowledgedAfterFaults == 0 {
            fail("L1 nothing was acknowledged after the faults; \(store.state.configuration)")
        }
        if options.faults.isEmpty, figures.reigns > 1 { fail("L2 \(figures.reigns) reigns without a fault") }
        for node in nodes.indices {
            guard let core = nodes[node].core, core.isServing, core.isPrimary else { continue }
            let disk = nodes[node].disk
            for index in stride(from: disk.begin, through: checker.acknowledged, by: 1) {
                let record = disk.records.count >= index ? disk.records[index - 1] : nil
                // A bad one is not used: others have it.
                if let record, !record.isIntact { continue }
                let committed = checker.committed(at: index)
                if core.epoch == store.state.configuration.epoch, record?.value != committed?.value {
                    return fail("S1 the primary has lost \(index)")
                }
            }
        }
    }
}
