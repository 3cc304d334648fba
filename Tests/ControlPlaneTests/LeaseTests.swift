import ClusterModel
import ControlPlane
import FaceModel
import Synchronization
import Testing

/// Leases of every implementation of the port. Some end by themselves here, which takes seconds.
@Suite struct LeaseTests {
    @Test(arguments: StoreKind.allCases) func whatALeaseHoldsGoesWhenNobodyRenewsIt(_ kind: StoreKind) async throws {
        try await kind.with { store in
            let (held, kept) = (try Samples.tenant(1), try Samples.tenant(2))
            let start = try await store.put(kept)
            try await FollowedRegisters.following(store, after: start) { followed in
                let (lease, revision) = try await Self.put(held, under: 1, in: store)
                try await eventually { followed.now.revision > revision && followed.now.registers.isEmpty }
                try await eventually { try await store.read(held.key) == nil }
                #expect(try await store.list(.tenants).map(\.value) == [kept])
                #expect(try await store.snapshot().registers.map(\.value) == [kept])
                #expect(try await store.renew(lease) == false)
                let late = RegisterTransaction([.put(held, expecting: .absent)], under: lease)
                #expect(try await store.commit(late) == .leaseEnded)
                #expect(try await store.readFresh(held.key) == nil)
                let wrong = RegisterTransaction([.put(kept, expecting: .absent)], under: lease)
                #expect(try await store.commit(wrong) == .conflict(kept.key))
            }
        }
    }

    /// A machine that is busy may be too slow to put anything before a short lease ends: then again.
    private static func put(
        _ value: RegisterValue, under seconds: Int, in store: any ControlPlane
    ) async throws -> (LeaseID, Revision) {
        while true {
            let lease = try await store.grantLease(seconds: seconds)
            let outcome = try await store.commit(RegisterTransaction([.put(value, expecting: .absent)], under: lease))
            switch outcome {
            case .committed(let revision): return (lease, revision)
            case .leaseEnded: continue
            case .conflict: try await Task.sleep(for: .milliseconds(100))
            }
        }
    }

    @Test(arguments: StoreKind.allCases) func aLeaseThatIsRenewedHolds(_ kind: StoreKind) async throws {
        try await kind.with { store in
            try await eventually("this machine never renewed in time") {
                try await Self.holdsWhileRenewed(store, seconds: 2) == true
            }
        }
    }

    /// Renews for twice the lease's time. Nil when this process was too slow between two renewals to tell.
    private static func holdsWhileRenewed(_ store: any ControlPlane, seconds: Int) async throws -> Bool? {
        let held = try Samples.tenant(1)
        let start = ContinuousClock.now
        var last = start
        let (lease, _) = try await put(held, under: seconds, in: store)
        while ContinuousClock.now < start + .seconds(2 * seconds) {
            let began = ContinuousClock.now
            let isOpen = try await store.renew(lease)
            guard ContinuousClock.now < last + .seconds(seconds) else { return nil }
            #expect(isOpen)
            last = began
            try await Task.sleep(for: .milliseconds(200))
        }
        let found = try await store.readFresh(held.key)
        guard ContinuousClock.now < last + .seconds(seconds) else { return nil }
        #expect(found != nil)
        try await store.end(lease)
        return true
    }

    @Test(arguments: StoreKind.allCases) func aLeaseEndsAtOnceWhenItsHolderSaysSo(_ kind: StoreKind) async throws {
        try await kind.with { store in
            let (held, other) = (try Samples.tenant(1), try Samples.tenant(2))
            let (lease, stays) = (try await store.grantLease(seconds: 600), try await store.grantLease(seconds: 600))
            #expect(lease != stays)
            _ = try await store.commit(RegisterTransaction([.put(held, expecting: .absent)], under: lease))
            _ = try await store.commit(RegisterTransaction([.put(other, expecting: .absent)], under: stays))
            try await store.end(lease)
            try await store.end(lease)
            #expect(try await store.readFresh(held.key) == nil)
            #expect(try await store.readFresh(other.key) != nil)
            #expect(try await store.put(held) > .absent)
            #expect(try await store.renew(stays))
        }
    }

    @Test(arguments: StoreKind.allCases) func whatIsPutAgainWithoutALeaseStays(_ kind: StoreKind) async throws {
        try await kind.with { store in
            let held = try Samples.tenant(1)
            let lease = try await store.grantLease(seconds: 600)
            let put = try await store.commit(RegisterTransaction([.put(held, expecting: .absent)], under: lease))
            guard case .committed(let revision) = put else {
                Issue.record("\(put)")
                return
            }
            let last = try await store.put(held, expecting: revision)
            try await store.end(lease)
            #expect(try await store.readFresh(held.key)?.revision == last)
        }
    }

    @Test func aClockThatIsSetFarBackEndsLeases() async throws {
        try await StoreKind.withFile { path in
            let clock = Mutex(Timestamp(milliseconds: 1_000_000))
            let store = try SQLiteControlPlane(path: path) { clock.withLock { $0 } }
            let lease = try await store.grantLease(seconds: 10)
            let held = try Samples.tenant(1)
            _ = try await store.commit(RegisterTransaction([.put(held, expecting: .absent)], under: lease))
            for time in [1_009_999, 999_999, 990_000] as [Int64] {
                clock.withLock { $0 = Timestamp(milliseconds: time) }
                #expect(try await store.read(held.key) != nil, "at \(time)")
            }
            clock.withLock { $0 = Timestamp(milliseconds: 900_000) }
            #expect(try await store.read(held.key) == nil)
            #expect(try await store.renew(lease) == false)
        }
    }
}
