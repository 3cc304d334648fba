import Foundation

/// A pointer that threads share, each writing a place of its own.
// Safe because no two threads write one place.
struct Shared<Value>: @unchecked Sendable {
    let value: UnsafeMutablePointer<Value>
    init(_ value: UnsafeMutablePointer<Value>) { self.value = value }
}

/// One result a thread's task.
// Safe because every index is written by one task and read after all have ended.
final class Results<Value>: @unchecked Sendable {
    private let base: UnsafeMutablePointer<Value>
    private let count: Int

    init(repeating value: Value, count: Int) {
        base = .allocate(capacity: count)
        base.initialize(repeating: value, count: count)
        self.count = count
    }

    deinit {
        base.deinitialize(count: count)
        base.deallocate()
    }

    subscript(index: Int) -> Value {
        get { base[index] }
        set { base[index] = newValue }
    }
}
