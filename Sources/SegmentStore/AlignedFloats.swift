import VectorSearch

/// A fixed run of floats in aligned memory.
package struct AlignedFloats: Sendable {
    private let memory: AlignedMemory
    package let count: Int

    /// Not initialised.
    init(count: Int) {
        memory = AlignedMemory(bytes: count * MemoryLayout<Float>.stride)
        memory.base.bindMemory(to: Float.self, capacity: count)
        self.count = count
    }

    package var base: UnsafeMutablePointer<Float> { memory.base.assumingMemoryBound(to: Float.self) }
    var bytes: Int { memory.bytes }
}
