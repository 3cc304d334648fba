import ClusterModel
import FaceModel
import Synchronization

/// Whether this coordinator is the one that looks after what nobody waits for: splits that were begun, deletions that
/// some node has yet to finish. It spares the others the same questions; two at a time do no harm.
final class ControllerSeat: Sendable {
    /// It is free so long after its holder fell silent.
    static let seconds = 5

    private let lease = Mutex<LeaseID?>(nil)

    var held: LeaseID? { lease.withLock { $0 } }
    func hold(_ new: LeaseID?) { lease.withLock { $0 = new } }
}

extension FaceIndex {
    /// Keeps the controller's seat, or takes it where it is free; to be called at least every few seconds.
    package func takesSeat() async throws(CoordinatorError) -> Bool {
        if let lease = seat.held {
            if try await plane({ () throws(ControlPlaneError) in try await self.controlPlane.renew(lease) }) {
                return true
            }
            seat.hold(nil)
        }
        guard try await read(.controller) == nil else { return false }
        let lease = try await plane { () throws(ControlPlaneError) in
            try await self.controlPlane.grantLease(seconds: ControllerSeat.seconds)
        }
        var generator = SystemRandomNumberGenerator()
        let register = ControllerRegister(controller: .random(using: &generator), since: now())
        let outcome = try await plane { () throws(ControlPlaneError) in
            try await self.controlPlane.commit(
                RegisterTransaction([.put(.controller(register), expecting: .absent)], under: lease))
        }
        if case .committed = outcome {
            seat.hold(lease)
            return true
        }
        try await plane { () throws(ControlPlaneError) in try await self.controlPlane.end(lease) }
        return false
    }

    private func plane<Value: Sendable>(
        _ body: () async throws(ControlPlaneError) -> Value
    ) async throws(CoordinatorError) -> Value {
        do throws(ControlPlaneError) { return try await body() } catch { throw .controlPlane(error) }
    }
}
