/// Which endpoint to ask next: those that answered in the order configured, then those that failed lately.
struct EtcdEndpoints: Sendable {
    private struct Endpoint {
        var address: String
        /// Failures since it last answered, and until when they count.
        var failures = 0
        var avoidedUntil: ContinuousClock.Instant?
    }

    private var endpoints: [Endpoint]
    private let avoidance: Duration
    private let avoidanceMax: Duration
    /// The id of the cluster that answered first. An endpoint of another cluster is a mistake in the configuration
    /// that would show two worlds to one coordinator.
    private var clusterID: String?

    init(_ addresses: [String], avoidance: Duration, avoidanceMax: Duration) {
        endpoints = addresses.map { Endpoint(address: $0) }
        self.avoidance = avoidance
        self.avoidanceMax = avoidanceMax
    }

    func candidates(at now: ContinuousClock.Instant) -> [String] {
        let avoided = endpoints.filter { ($0.avoidedUntil ?? now) > now }
            .sorted { ($0.avoidedUntil ?? now) < ($1.avoidedUntil ?? now) }
        return endpoints.filter { ($0.avoidedUntil ?? now) <= now }.map(\.address) + avoided.map(\.address)
    }

    /// False when it is of another cluster than the first that answered.
    mutating func answered(_ address: String, clusterID id: String) -> Bool {
        guard clusterID == nil || clusterID == id else { return false }
        clusterID = id
        update(address) {
            $0.failures = 0
            $0.avoidedUntil = nil
        }
        return true
    }

    /// True for the first failure since it last answered.
    mutating func failed(_ address: String, at now: ContinuousClock.Instant) -> Bool {
        let (step, most) = (avoidance, avoidanceMax)
        let isFirst = endpoints.contains { $0.address == address && $0.failures == 0 }
        update(address) {
            $0.avoidedUntil = now + min(step * (1 << min($0.failures, 8)), most)
            $0.failures += 1
        }
        return isFirst
    }

    private mutating func update(_ address: String, _ change: (inout Endpoint) -> Void) {
        for index in endpoints.indices where endpoints[index].address == address { change(&endpoints[index]) }
    }
}
