package import FaceModel

/// What a controller knows of a replica: what its node wrote under its lease after the scan of its log.
package struct ReplicaReport: Hashable, Sendable {
    package let replica: ReplicaID
    /// Of the process that reports.
    package let incarnation: Incarnation
    package let isClean: Bool
    /// As far as its log is durable.
    package let durable: LogPoint

    package init(replica: ReplicaID, incarnation: Incarnation, isClean: Bool, durable: LogPoint) {
        self.replica = replica
        self.incarnation = incarnation
        self.isClean = isClean
        self.durable = durable
    }
}

/// The controller's decision: who follows a primary that is suspected.
package enum Election {
    /// The register to propose, or nil when nobody may be chosen. `reports` are of live replicas, at most one of each;
    /// `incarnations` is the control plane's word on which process of a replica is the current one.
    ///
    /// A live, clean, current member of the in-sync set with the most durable records; another than the present primary
    /// if there is one. Where no member is clean, every member must have reported: then the highest (epoch, lsn) wins.
    package static func successor(
        of configuration: ShardConfiguration, reports: [ReplicaReport], incarnations: [ReplicaID: Incarnation],
        mutant: Mutant? = nil
    ) -> ShardConfiguration? {
        var members = reports.filter {
            configuration.isr.contains($0.replica) && incarnations[$0.replica] == $0.incarnation
        }
        if mutant == .uncleanElection { members = reports }
        let clean = members.filter { mutant == .electSuspectFirst ? !$0.isClean : $0.isClean }
        let electable = !clean.isEmpty ? clean : members.count >= configuration.isr.count ? members : []
        let others = clean.filter { $0.replica != configuration.primary }
        let best = (others.isEmpty ? electable : others).max { ($0.durable, $0.replica) < ($1.durable, $1.replica) }
        return best.map { configuration.reign(of: $0.replica, as: $0.incarnation) }
    }
}
