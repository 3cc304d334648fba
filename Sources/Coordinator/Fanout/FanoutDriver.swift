import ClusterModel
import FaceModel

/// Turns a fan-out's effects into calls: each a child task, all in parallel, none outliving the fan-out.
///
/// It ends when the machine finishes, at the latest at the deadline: the port's calls end at their deadline and when
/// they are cancelled, and so does everything here.
struct FanoutDriver<Gathered: ShardGathering>: Sendable {
    typealias Machine = ShardFanout<Gathered>

    let deadline: ContinuousClock.Instant
    let ask: @Sendable (CollectionMap.Shard) async throws(ShardError) -> Gathered.Answer
    let open: @Sendable (CollectionMap.Shard) async throws(ShardError) -> Void
    /// Nil when it cannot be read, or is gone.
    let readMap: @Sendable () async -> CollectionMap?

    /// How one map's asks ended: the whole fan-out with them, or with the effects that begin a newer map's.
    private enum Turn {
        case finished(Machine.Outcome)
        case newerMap([Machine.Effect])
    }

    /// Also returns the map that the outcome stands on.
    func run(_ machine: Machine) async -> (outcome: Machine.Outcome, map: CollectionMap, asked: Int) {
        var machine = machine
        var effects = machine.start()
        while true {
            switch await turn(&machine, effects) {
            case .finished(let outcome): return (outcome, machine.map, machine.askedCount)
            case .newerMap(let next): effects = next
            }
        }
    }

    /// Runs until the machine finishes or cancels: it cancels only for a newer map, and then everything.
    private func turn(_ machine: inout Machine, _ start: [Machine.Effect]) async -> Turn {
        await withTaskGroup(of: Machine.Event.self) { group in
            group.addTask { await waitForDeadline() }
            var effects = start
            while true {
                if case .finish(let outcome)? = effects.last {
                    group.cancelAll()
                    return .finished(outcome)
                }
                let next = effects.filter { if case .cancel = $0 { false } else { true } }
                guard next.count == effects.count else {
                    group.cancelAll()
                    return .newerMap(next)
                }
                for effect in effects { group.addTask { await perform(effect) } }
                guard let event = await group.next() else { preconditionFailure("the deadline is always waited for") }
                effects = machine.step(event)
            }
        }
    }

    private func perform(_ effect: Machine.Effect) async -> Machine.Event {
        switch effect {
        case .ask(let ask):
            do throws(ShardError) {
                return .answered(ask, try await self.ask(ask.shard))
            } catch {
                return .failed(ask, error)
            }
        case .open(let ask):
            do throws(ShardError) {
                try await open(ask.shard)
                return .opened(ask)
            } catch {
                return .failed(ask, error)
            }
        case .readMap(let earlier):
            await pause(before: earlier)
            return await readMap().map { .mapRead($0) } ?? .mapUnread
        case .cancel, .finish:
            preconditionFailure("the turn ends before these")
        }
    }

    /// The first read is made at once, later ones after 4, 8, 16 ... milliseconds.
    private func pause(before earlier: Int) async {
        guard earlier > 0 else { return }
        let milliseconds = min(Limits.mapReadPauseMillisecondsMax, 2 << min(earlier, 16))
        await Self.wait(until: .now + .milliseconds(milliseconds))
    }

    private func waitForDeadline() async -> Machine.Event {
        await Self.wait(until: deadline)
        return .deadline
    }

    /// Returns early when the task is cancelled: nobody waits any more.
    private static func wait(until instant: ContinuousClock.Instant) async {
        do {
            try await Task.sleep(until: instant, clock: .continuous)
        } catch {
            return
        }
    }
}
