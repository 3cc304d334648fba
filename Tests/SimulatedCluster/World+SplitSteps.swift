import ClusterModel
import FaceModel
import Replication

/// The steps of a split that a shard is asked for, as its primary decides on them; and how far a copy is.
extension World {
    /// A step with the number under which whoever asks knows it; nobody waits for it after `end`.
    func splitStep(_ number: Int, _ step: SplitStep, at node: Int, until end: Int) {
        guard now < end else { return }
        guard nodes[node].up, let core = nodes[node].core, !core.isStopped else {
            return splitAnswers.append((number, .failure(unreachable(node))))
        }
        guard !isStalled(node, .splitStep(number, step, at: node, until: end)) else { return }
        if case .look = step { return splitAnswers.append((number, .success(splitProgress(node)))) }
        guard core.isPrimary else {
            // The register names it, or did: its node, which follows the register, hears of that.
            request(.read, from: node)
            return splitAnswers.append((number, .failure(.notPrimary(Self.anyShard))))
        }
        guard splitRecordsUnderWay(node).isEmpty else {
            return queue.add(.splitStep(number, step, at: node, until: end), at: now + 5)
        }
        switch decision(on: step, at: node) {
        case .success(let record): propose(record, number, at: node)
        case .failure(let error): splitAnswers.append((number, .failure(error)))
        }
    }

    /// The record that the step comes to; nil where it has happened.
    private func decision(on step: SplitStep, at node: Int) -> Result<SplitRecord?, ShardError> {
        let split = nodes[node].table.split
        if split?.isReleased ?? false { return .failure(.wrongOwner(Self.anyShard, owned: [])) }
        switch (step, split) {
        // Drafts are a copy's own affair, and no step of these rounds.
        case (.look, _), (.draft, _): return .success(nil)
        case (.begin(let plan), nil): return .success(SplitRecord(.begin, plan: number(of: plan)))
        case (.begin(let plan), let begun?):
            let isSame = plans[begun.plan - 1] == plan
            return isSame ? .success(nil) : .failure(refusal("it is being split into other shards"))
        case (.release, nil): return .failure(refusal("it is not being split"))
        case (.release, let begun?): return .success(SplitRecord(.release, plan: begun.plan))
        case (.abort, nil): return .success(nil)
        case (.abort, let begun?): return .success(SplitRecord(.abort, plan: begun.plan))
        }
    }

    private func propose(_ record: SplitRecord?, _ step: Int, at node: Int) {
        let number = number(node)
        nodes[node].splitSteps[number.value] = step
        guard let record else { return self.step(node, .strongRead(number)) }
        note("node \(node) is asked to \(record)")
        if record.step == .begin { dividedCopies = [] }
        nodes[node].values[number.value] = [record.word]
        self.step(node, .write(number, records: 1))
    }

    func answerSplitStep(_ number: RequestNumber, _ answer: ReplicaAnswer, by node: Int) {
        guard let step = nodes[node].splitSteps.removeValue(forKey: number.value) else { return }
        switch answer {
        case .committed, .readable: splitAnswers.append((step, .success(splitProgress(node))))
        case .unknown, .refused:
            let reason = "the copy does not serve"
            splitAnswers.append((step, .failure(.notServing(Self.anyShard, reason: reason))))
        }
    }

    /// Whoever waits for this process waits no more.
    func endSplitSteps(_ node: Int) {
        for number in nodes[node].splitSteps.keys.sorted() {
            nodes[node].splitSteps[number].map { splitAnswers.append(($0, .failure(unreachable(node)))) }
        }
        nodes[node].splitSteps = [:]
    }

    /// By which the log names the plan.
    private func number(of plan: SplitPlan) -> Int {
        if let known = plans.firstIndex(of: plan) { return known + 1 }
        plans.append(plan)
        return plans.count
    }

    /// Who asks knows which.
    private static let anyShard = ShardID(Bits128(high: 0, low: 0))

    private func refusal(_ reason: String) -> ShardError { .writesRefused(Self.anyShard, reason: reason) }
    private func unreachable(_ node: Int) -> ShardError {
        .unreachable(Self.anyShard, node: .embedded, reason: "node \(node) is gone", outcomeUnknown: true)
    }
}
