import ClusterModel
import FaceModel

/// Turns a fan-out's effects into calls: all in parallel, none outliving the fan-out.
///
/// It ends when the machine finishes, at the latest at the deadline: the port's calls end at their deadline and when
/// they are cancelled, and so does everything here.
struct FanoutDriver<Gathered: ShardGathering>: Sendable {
    typealias Machine = ShardFanout<Gathered>

    let deadline: ContinuousClock.Instant
    /// Whether shards may move while they are asked.
    let looks: Bool
    let ask: @Sendable (CollectionMap.Shard) async throws(ShardError) -> Gathered.Answer
    let open: @Sendable (CollectionMap.Shard) async throws(ShardError) -> Void
    /// Where the shard is now; the node it has where nothing better is known.
    let locate: @Sendable (CollectionMap.Shard) async -> ShardHolder
    /// Nil when it cannot be read, or is gone.
    let readMap: @Sendable () async -> CollectionMap?

    private enum Wake: Sendable {
        case event(Machine.Event)
        /// It is time to see where the shards are that are waited for.
        case look
    }
    private typealias Call = Task<Machine.Event, Never>

    /// Also returns the map that the outcome stands on.
    func run(_ machine: Machine) async -> (outcome: Machine.Outcome, map: CollectionMap, asked: Int) {
        await withTaskGroup(of: Wake.self) { group in
            var machine = machine
            // So that one can be cancelled while the others go on.
            var calls: [Machine.Ask: Call] = [:]
            group.addTask { .event(await waitForDeadline()) }
            if looks { group.addTask { await waitForLook() } }
            var effects = machine.start()
            while true {
                for effect in effects {
                    switch effect {
                    case .ask(let ask): calls[ask] = add(Call { await self.answer(to: ask) }, &group)
                    case .open(let ask): calls[ask] = add(Call { await self.opening(ask) }, &group)
                    case .locate(let ask, let earlier): group.addTask { .event(await location(of: ask, earlier)) }
                    case .readMap(let earlier): group.addTask { .event(await newerMap(earlier)) }
                    case .cancel(let ask): calls.removeValue(forKey: ask)?.cancel()
                    case .finish(let outcome):
                        group.cancelAll()
                        return (outcome, machine.map, machine.askedCount)
                    }
                }
                let event = await nextEvent(&group, machine)
                switch event {
                case .answered(let ask, _), .failed(let ask, _), .opened(let ask): calls[ask] = nil
                case .located, .held, .mapRead, .mapUnread, .deadline: break
                }
                effects = machine.step(event)
            }
        }
    }

    private func nextEvent(_ group: inout TaskGroup<Wake>, _ machine: Machine) async -> Machine.Event {
        while let wake = await group.next() {
            switch wake {
            case .event(let event):
                if case .held = event { group.addTask { await waitForLook() } }
                return event
            case .look:
                let shards = machine.waitedFor
                group.addTask { .event(await places(of: shards)) }
            }
        }
        preconditionFailure("the deadline is always waited for")
    }

    /// The call is the group's: it is cancelled with it, and waited for.
    private func add(_ call: Call, _ group: inout TaskGroup<Wake>) -> Call {
        group.addTask {
            .event(
                await withTaskCancellationHandler {
                    await call.value
                } onCancel: {
                    call.cancel()
                })
        }
        return call
    }

    private func answer(to ask: Machine.Ask) async -> Machine.Event {
        do throws(ShardError) {
            return .answered(ask, try await self.ask(ask.shard))
        } catch {
            return .failed(ask, error)
        }
    }

    private func opening(_ ask: Machine.Ask) async -> Machine.Event {
        do throws(ShardError) {
            try await open(ask.shard)
            return .opened(ask)
        } catch {
            return .failed(ask, error)
        }
    }

    private func location(of ask: Machine.Ask, _ earlier: Int) async -> Machine.Event {
        await Self.wait(until: .now + AskingAgain.pause(after: earlier))
        return .located(ask, await locate(ask.shard))
    }

    private func places(of shards: [CollectionMap.Shard]) async -> Machine.Event {
        var nodes: [ShardID: NodeID] = [:]
        for shard in shards { nodes[shard.id] = await locate(shard).node }
        return .held(nodes)
    }

    /// The first read is made at once, later ones after 4, 8, 16 ... milliseconds.
    private func newerMap(_ earlier: Int) async -> Machine.Event {
        if earlier > 0 {
            let milliseconds = min(Limits.mapReadPauseMillisecondsMax, 2 << min(earlier, 16))
            await Self.wait(until: .now + .milliseconds(milliseconds))
        }
        return await readMap().map { .mapRead($0) } ?? .mapUnread
    }

    private func waitForDeadline() async -> Machine.Event {
        await Self.wait(until: deadline)
        return .deadline
    }

    private func waitForLook() async -> Wake {
        await Self.wait(until: .now + AskingAgain.lookInterval)
        return .look
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
