import CVectorKernels

/// What rows may score at most by all of their planes, for a bound that was in force when these were read. A row whose
/// ceiling lies below a later, higher bound does not reach that either: `PlaneQuery.limit` allows for less then.
struct PlaneCeiling {
    private let planes: PlaneBlock
    private let limit: facet_plane_limit
    private let centre: Int32
    private let stage: Int

    /// `isHasty` as `PlaneQuery.limit` takes it.
    init(_ planes: PlaneBlock, _ query: PlaneQuery, bound: Float, isHasty: Bool) {
        self.planes = planes
        stage = planes.code.later.count
        let read = planes.code.prefix(stages: stage)
        limit = query.bounds.limit(bound, planes: read, isHasty: isHasty)
        centre = (1 << Int32(read) - 1) * query.total
    }

    /// `row` counts within the block of planes; `sum` is what its planes sum up to. Infinite for a row that is not
    /// estimated. Operation for operation what the kernels compute.
    func of(_ row: Int, sum: Int32) -> Float {
        let (factor, radius) = planes.factors(stage, row: row)
        let estimate = Float(2 * sum - centre) * factor * limit.scale
        return estimate + radius * limit.reach + limit.slack
    }
}
