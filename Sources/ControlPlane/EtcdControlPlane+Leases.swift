package import ClusterModel

/// Leases are etcd's own. Its gateway writes their ids and durations in capitals, which no key strategy makes.
extension EtcdControlPlane {
    private struct Granted: EtcdAnswer {
        var header: EtcdHeader
        var id: EtcdNumber?
        var error: String?

        enum CodingKeys: String, CodingKey {
            case header, error
            case id = "ID"
        }
    }

    private struct Renewed: EtcdAnswer {
        struct Result: Decodable {
            var header: EtcdHeader
            /// Seconds left; missing when the lease has ended.
            var ttl: EtcdNumber?

            enum CodingKeys: String, CodingKey {
                case header
                case ttl = "TTL"
            }
        }
        var result: Result
        var header: EtcdHeader { result.header }
    }

    private struct Ended: EtcdAnswer {
        var header: EtcdHeader
    }

    /// A grant whose answer was lost is asked for again; the first then ends by itself.
    package func grantLease(seconds: Int) async throws(ControlPlaneError) -> LeaseID {
        precondition(LeaseID.seconds.contains(seconds), "a lease lasts \(LeaseID.seconds) seconds")
        do throws(EtcdFailure) {
            let granted: Granted = try await client.ask("/v3/lease/grant", ["TTL": "\(seconds)"]).answer
            guard let id = granted.id else { throw .nonsense(granted.error ?? "a lease without an id") }
            return LeaseID(id.value)
        } catch {
            throw error.ofRead
        }
    }

    package func renew(_ lease: LeaseID) async throws(ControlPlaneError) -> Bool {
        do throws(EtcdFailure) {
            let renewed: Renewed = try await client.ask("/v3/lease/keepalive", ["ID": "\(lease.value)"]).answer
            return (renewed.result.ttl?.value ?? 0) > 0
        } catch {
            throw error.ofRead
        }
    }

    package func end(_ lease: LeaseID) async throws(ControlPlaneError) {
        do throws(EtcdFailure) {
            let _: Ended = try await client.ask("/v3/lease/revoke", ["ID": "\(lease.value)"]).answer
        } catch {
            guard error.kind == .leaseEnded else { throw error.ofRead }
        }
    }
}
