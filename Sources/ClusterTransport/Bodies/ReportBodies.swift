import FaceModel
import Replication

extension WireReportRequest {
    init(_ shard: ShardID, _ call: WireCall) {
        self.init()
        self.call = call
        self.shard = FieldBytes.id(shard)
    }

    func domain() throws(BodyError) -> ShardID { try Fields.id(shard, "shard") }
}

extension WireReportAnswer {
    init(_ report: ReplicaReport?) {
        self.init()
        guard let report else { return }
        self.report = .with {
            $0.replica = FieldBytes.id(report.replica)
            $0.incarnation = report.incarnation.value
            $0.clean = report.isClean
            $0.durable = report.durable.index.value
            $0.durableEpoch = report.durable.epoch.value
        }
    }

    func domain() throws(BodyError) -> ReplicaReport? {
        guard hasReport else { return nil }
        return ReplicaReport(
            replica: try Fields.id(report.replica, "report.replica"),
            incarnation: Incarnation(try Fields.position(report.incarnation, "report.incarnation")),
            isClean: report.clean,
            durable: LogPoint(
                epoch: Epoch(try Fields.position(report.durableEpoch, "report.durable_epoch")),
                index: LogIndex(try Fields.position(report.durable, "report.durable"))))
    }
}
