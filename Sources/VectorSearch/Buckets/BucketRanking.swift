import CVectorKernels
package import FaceModel

/// The centroids of many buckets, ranked by how near they are to a query: which buckets a routed search reads first.
package struct BucketRanking: Sendable {
    private let rows: [Float]
    private let dimension: Int
    package let count: Int

    /// All of one dimension; anything else is a programming error.
    package init(centroids: [RotatedVector]) {
        count = centroids.count
        dimension = centroids.first?.dimension ?? 0
        var rows: [Float] = []
        rows.reserveCapacity(count * dimension)
        for centroid in centroids {
            precondition(centroid.dimension == dimension, "centroids of two collections")
            rows += centroid.values
        }
        self.rows = rows
    }

    /// The numbers of the `first` nearest centroids by exact score, nearest first, of equals the smaller number; all of
    /// them where there are no more.
    package func order(_ query: RotatedVector, first: Int) -> [Int] {
        guard count > 0, first > 0 else { return [] }
        precondition(query.dimension == dimension, "a query of another collection")
        var scores = [Float](repeating: 0, count: count)
        facet_score_rows(query.values.map(Double.init), rows, count, dimension, &scores)
        // One integer a centroid that is smaller where it is nearer: the bits of a float in falling order, its number.
        var keys = scores.enumerated().map { UInt64(Self.fallingKey($1)) << 32 | UInt64($0) }
        if first < count { Self.select(first, of: &keys) }
        return keys.prefix(first).sorted().map { Int($0 & 0xFFFF_FFFF) }
    }

    /// Of a number, smaller for greater ones; both zeros are one.
    private static func fallingKey(_ score: Float) -> UInt32 {
        let bits = (score == 0 ? 0 : score).bitPattern
        return bits >> 31 == 1 ? bits : ~bits & 0x7FFF_FFFF
    }

    /// Moves the `count` smallest keys, which are distinct, to the front (Hoare's selection).
    private static func select(_ count: Int, of keys: inout [UInt64]) {
        var (low, high) = (0, keys.count - 1)
        while low < high {
            let pivot = keys[(low + high) / 2]
            var (left, right) = (low, high)
            while left <= right {
                while keys[left] < pivot { left += 1 }
                while keys[right] > pivot { right -= 1 }
                guard left <= right else { break }
                keys.swapAt(left, right)
                left += 1
                right -= 1
            }
            if count <= right { high = right } else if count > left { low = left } else { return }
        }
    }
}
