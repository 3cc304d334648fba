import CVectorKernels
package import FaceModel

/// Divides the faces of a bucket that has grown too large into two of similar faces.
package enum BucketDivision {
    /// A bucket with more faces is divided.
    package static let facesMax = 500
    /// Faces that a division looks at; of more the caller gives so many, taken evenly.
    package static let sampleMax = 512
    /// Each child must get at least one face in so many of those looked at.
    package static let leastShare = 8
    /// Rounds of 2-means; it has most often come to rest before.
    private static let rounds = 10
    /// Rounds that turn the axis towards where the faces vary most.
    private static let axisRounds = 4

    /// The directions of the two halves of `vectors`, unit vectors, by spherical 2-means; nil when the vectors cannot be
    /// divided: all (but a few) are equal, or one side would get too little.
    ///
    /// It begins with the halves on either side of the median along the axis of greatest variance (power iteration), so
    /// that the vectors alone decide. Where 2-means then leaves too little on one side, as it does when some faces of
    /// one person stand among those of many, these first halves stay.
    package static func divide(_ vectors: [RotatedVector]) -> (RotatedVector, RotatedVector)? {
        guard let dimension = vectors.first?.dimension, vectors.count >= leastShare else { return nil }
        var sample = Sample(vectors, dimension: dimension)
        guard let axis = sample.axis(rounds: axisRounds) else { return nil }
        let first = sample.halves(along: axis)
        guard var centroids = sample.centroids(of: first) else { return nil }
        let beginning = centroids
        var sides = sample.sides(centroids)
        for _ in 0..<rounds {
            guard let next = sample.centroids(of: sides) else { break }
            let moved = sample.sides(next)
            centroids = next
            if moved == sides { break }
            sides = moved
        }
        for pair in [centroids, beginning] where sample.isEven(pair) {
            return (RotatedVector(rotated: pair.0), RotatedVector(rotated: pair.1))
        }
        return nil
    }
}

/// The vectors of a division, one after another.
private struct Sample {
    let rows: [Float]
    let dimension: Int
    let count: Int
    private var scores: [Float]

    init(_ vectors: [RotatedVector], dimension: Int) {
        self.dimension = dimension
        count = vectors.count
        var rows: [Float] = []
        rows.reserveCapacity(count * dimension)
        for vector in vectors {
            precondition(vector.dimension == dimension, "vectors of two collections")
            rows += vector.values
        }
        self.rows = rows
        scores = [Float](repeating: 0, count: count)
    }

    /// The direction in which the vectors vary most, about; nil where they hardly vary at all.
    mutating func axis(rounds: Int) -> [Float]? {
        let mean = sum(weights: [Float](repeating: 1 / Float(count), count: count))
        // The first row that is not the mean is a direction in which they vary.
        var axis: [Float]?
        for row in 0..<count where axis == nil {
            axis = unit(zip(rows[row * dimension..<(row + 1) * dimension], mean).map { $0 - $1 })
        }
        for _ in 0..<rounds {
            guard let last = axis else { return nil }
            score(last)
            let centre = scores.reduce(0, +) / Float(count)
            axis = unit(sum(weights: scores.map { $0 - centre }))
        }
        return axis
    }

    /// Whether each vector stands above the median along the axis.
    mutating func halves(along axis: [Float]) -> [Bool] {
        score(axis)
        let median = scores.sorted()[count / 2]
        return scores.map { $0 >= median }
    }

    /// Whether each vector is nearer to the second centroid; of equals to the first.
    mutating func sides(_ centroids: ([Float], [Float])) -> [Bool] {
        score(centroids.0)
        let first = scores
        score(centroids.1)
        return zip(first, scores).map { $1 > $0 }
    }

    /// The unit means of both sides; nil where one is empty or has no direction.
    func centroids(of sides: [Bool]) -> ([Float], [Float])? {
        guard let first = unit(sum(weights: sides.map { $0 ? 0 : 1 })),
            let second = unit(sum(weights: sides.map { $0 ? 1 : 0 }))
        else { return nil }
        return (first, second)
    }

    mutating func isEven(_ centroids: ([Float], [Float])) -> Bool {
        let second = sides(centroids).count { $0 }
        return min(second, count - second) * BucketDivision.leastShare >= count
    }

    private mutating func score(_ direction: [Float]) {
        facet_score_rows(direction.map(Double.init), rows, count, dimension, &scores)
    }

    private func sum(weights: [Float]) -> [Float] {
        var sum = [Float](repeating: 0, count: dimension)
        sum.withUnsafeMutableBufferPointer { sum in
            rows.withUnsafeBufferPointer { rows in
                for (row, weight) in weights.enumerated() where weight != 0 {
                    let start = row * dimension
                    for index in 0..<dimension { sum[index] += weight * rows[start + index] }
                }
            }
        }
        return sum
    }

    /// Nil for what is too short to have a direction that means something.
    private func unit(_ values: [Float]) -> [Float]? {
        let length = values.reduce(0) { $0 + Double($1) * Double($1) }.squareRoot()
        return length > 1e-4 ? values.map { Float(Double($0) / length) } : nil
    }
}
