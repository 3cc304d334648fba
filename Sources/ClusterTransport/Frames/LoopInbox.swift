import NIOCore
import Synchronization

/// Hands elements from any thread to one event loop, in order, with one wake-up for all that queue meanwhile.
final class LoopInbox<Element: Sendable>: Sendable {
    private let queue = Mutex<[Element]>([])
    private let loop: any EventLoop
    private let drained: @Sendable ([Element]) -> Void

    /// `drained` runs on `loop` with everything that was pushed since it ran last.
    init(loop: any EventLoop, drained: @escaping @Sendable ([Element]) -> Void) {
        self.loop = loop
        self.drained = drained
    }

    func push(_ element: Element) {
        let wasEmpty = queue.withLock { queue in
            queue.append(element)
            return queue.count == 1
        }
        if wasEmpty { loop.execute { [self] in drain() } }
    }

    private func drain() {
        var elements: [Element] = []
        queue.withLock { swap(&$0, &elements) }
        drained(elements)
    }
}
