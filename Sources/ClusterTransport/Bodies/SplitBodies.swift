import ClusterModel
import FaceModel
import Foundation

extension WireSplitHalf {
    init(_ half: SplitPlan.Half) {
        self.init()
        shard = FieldBytes.id(half.shard)
        root = half.root.value
    }
}

extension [WireSplitHalf] {
    init(_ plan: SplitPlan?) { self = plan?.halves.map(WireSplitHalf.init) ?? [] }

    /// Nil where there are none.
    fileprivate func plan() throws(BodyError) -> SplitPlan? {
        guard !isEmpty else { return nil }
        guard count == 2 else { throw BodyError("halves", "\(count); a shard has two") }
        return SplitPlan(first: try half(0), second: try half(1))
    }

    private func half(_ number: Int) throws(BodyError) -> SplitPlan.Half {
        SplitPlan.Half(shard: try Fields.id(self[number].shard, "halves.shard"), root: LeafID(self[number].root))
    }
}

extension WireSplitRequest {
    init(_ step: SplitStep, _ call: WireShardCall) {
        self.init()
        self.call = call
        switch step {
        case .look: self.step = .look
        case .draft(let plan): (self.step, halves) = (.draft, [WireSplitHalf](plan))
        case .begin(let plan): (self.step, halves) = (.begin, [WireSplitHalf](plan))
        case .release: self.step = .release
        case .abort: self.step = .abort
        }
    }

    func domain() throws(BodyError) -> ShardRequest {
        let plan = try halves.plan()
        switch (step, plan) {
        case (.look, nil): return .split(.look)
        case (.draft, let plan?): return .split(.draft(plan))
        case (.begin, let plan?): return .split(.begin(plan))
        case (.release, nil): return .split(.release)
        case (.abort, nil): return .split(.abort)
        default: throw BodyError("step", "with or without halves as it should not be")
        }
    }
}

extension WireSplitAnswer {
    init(_ progress: SplitProgress) {
        self.init()
        stage = UInt32(progress.stage.rawValue)
        hasHalves_p = progress.hasHalves
        hasDraft_p = progress.hasDraft
        halves = [WireSplitHalf](progress.plan)
        end = progress.end.value
        epoch = progress.epoch.value
        if let sides = progress.sides {
            dimension = UInt32(sides.first.dimension)
            self.sides = FieldBytes.vectors([sides.first, sides.second])
        }
        trouble = FieldBytes.text(progress.trouble ?? "")
    }

    func domain() throws(BodyError) -> SplitProgress {
        guard let stage = UInt8(exactly: stage).flatMap(SplitProgress.Stage.init) else {
            throw BodyError("stage", "\(self.stage) is none that is known")
        }
        let plan = try halves.plan()
        guard (plan == nil) == (stage == .whole) else { throw BodyError("halves", "do not fit the stage") }
        var known: SplitProgress.Sides?
        if !sides.isEmpty {
            let vectors = try Fields.vectors(sides, "sides", count: 2, dimension: dimension)
            known = SplitProgress.Sides(first: vectors[0], second: vectors[1])
        }
        let trouble = try Fields.text(trouble, "trouble")
        return SplitProgress(
            stage: stage, hasHalves: hasHalves_p, hasDraft: hasDraft_p, plan: plan,
            end: LogIndex(try Fields.position(end, "end")), epoch: Epoch(try Fields.position(epoch, "epoch")),
            sides: known, trouble: trouble.isEmpty ? nil : trouble)
    }
}
