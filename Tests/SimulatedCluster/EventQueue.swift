/// What happens when, in the order of time and then of being planned: a binary heap.
struct EventQueue<Happening> {
    private struct Entry {
        let time: Int
        let number: Int
        let happening: Happening

        func precedes(_ other: Entry) -> Bool { (time, number) < (other.time, other.number) }
    }

    private var heap: [Entry] = []
    private var planned = 0

    mutating func add(_ happening: Happening, at time: Int) {
        planned += 1
        heap.append(Entry(time: time, number: planned, happening: happening))
        var child = heap.count - 1
        while child > 0, heap[child].precedes(heap[(child - 1) / 2]) {
            heap.swapAt(child, (child - 1) / 2)
            child = (child - 1) / 2
        }
    }

    var nextTime: Int? { heap.first?.time }

    mutating func next() -> (time: Int, happening: Happening)? {
        guard !heap.isEmpty else { return nil }
        heap.swapAt(0, heap.count - 1)
        let entry = heap.removeLast()
        var parent = 0
        while true {
            var least = parent
            for child in [2 * parent + 1, 2 * parent + 2] where child < heap.count && heap[child].precedes(heap[least])
            {
                least = child
            }
            if least == parent { return (entry.time, entry.happening) }
            heap.swapAt(parent, least)
            parent = least
        }
    }
}
