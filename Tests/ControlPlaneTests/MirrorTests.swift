import ClusterModel
import ControlPlane
import FaceModel
import Foundation
import Synchronization
import Testing

/// What a mirror adds to the port. The suites of the port run against mirrors too.
@Suite struct MirrorTests {
    private func withMirror(
        staleAfter: Duration = .seconds(60), _ body: (MirroredControlPlane, ScriptedStore) async throws -> Void
    ) async throws {
        try await StoreKind.withFile { path in
            let store = ScriptedStore(try SQLiteControlPlane(path: path))
            let mirror = MirroredControlPlane(store, staleAfter: staleAfter)
            try await store.put(Samples.tenant(1))
            try await mirror.start()
            try await body(mirror, store)
            await mirror.stop()
        }
    }

    @Test func whatIsKnownCostsNoRoundTrip() async throws {
        try await withMirror { mirror, store async throws in
            let before = store.reads
            for _ in 0..<100 { #expect(try await mirror.read(Samples.tenant(1).key) != nil) }
            #expect(try await mirror.list(.tenants).count == 1)
            #expect(store.reads == before)
        }
    }

    @Test func whatIsNotKnownIsAskedFor() async throws {
        try await withMirror { mirror, store in
            store.isMute = true
            try await store.put(Samples.tenant(2))
            #expect(try await mirror.list(.tenants).count == 1)
            #expect(try await mirror.read(Samples.tenant(2).key) != nil)
            #expect(try await mirror.list(.tenants).count == 2)
        }
    }

    @Test func aWriterSeesWhatItWroteBeforeItsChangeComes() async throws {
        try await withMirror { mirror, store in
            store.isMute = true
            let made = try await mirror.put(Samples.tenant(2))
            #expect(try await mirror.read(Samples.tenant(2).key)?.revision == made)
            let again = try await mirror.put(Samples.tenant(2), expecting: made)
            #expect(try await mirror.list(.tenants).map(\.revision).max() == again)
            try await mirror.delete(Samples.tenant(2).key, expecting: again)
            #expect(try await mirror.list(.tenants).count == 1)
            store.isMute = false
            let last = try await store.put(Samples.tenant(3))
            try await eventually { mirror.status.revision >= last }
            #expect(try await mirror.list(.tenants).map(\.value) == [Samples.tenant(1), Samples.tenant(3)])
        }
    }

    /// Whoever tries again after a conflict must not meet the same old register.
    @Test func aConflictBringsTheRegisterUpToDate() async throws {
        try await withMirror { mirror, store in
            store.isMute = true
            let key = try Samples.tenant(1).key
            let old = try #require(try await mirror.read(key)).revision
            let new = try await store.put(Samples.tenant(1), expecting: old)
            let put = RegisterTransaction([.put(try Samples.tenant(1), expecting: old)])
            #expect(try await mirror.commit(put) == .conflict(key))
            #expect(try await mirror.read(key)?.revision == new)
            try await store.delete(key, expecting: new)
            let late = RegisterTransaction([.put(try Samples.tenant(1), expecting: new)])
            #expect(try await mirror.commit(late) == .conflict(key))
            #expect(try await mirror.list(.tenants).isEmpty)
        }
    }

    @Test func aFreshReadSeesWhatOthersDid() async throws {
        try await withMirror { mirror, store in
            store.isMute = true
            let key = try Samples.tenant(1).key
            let old = try #require(try await mirror.read(key)).revision
            let new = try await store.put(Samples.tenant(1), expecting: old)
            #expect(try await mirror.read(key)?.revision == old)
            #expect(try await mirror.readFresh(key)?.revision == new)
            #expect(try await mirror.read(key)?.revision == new)
        }
    }

    @Test func withoutItsStoreItServesWhatItKnowsAndSaysSo() async throws {
        try await withMirror(staleAfter: .milliseconds(200)) { mirror, store in
            let known = try Samples.tenant(1).key
            #expect(mirror.staleness == nil)
            store.outage = "the switch is on fire"
            try await eventually { mirror.staleness?.reason.contains("on fire") == true }
            #expect(try await mirror.read(known) != nil)
            #expect(try await mirror.list(.tenants).count == 1)
            await #expect {
                try await mirror.read(Samples.tenant(2).key)
            } throws: { error in
                (error as? ControlPlaneError)?.reason.contains("on fire") == true
            }
            await #expect(throws: ControlPlaneError.self) { try await mirror.put(Samples.tenant(2)) }
            store.outage = nil
            try await eventually { mirror.staleness == nil }
            let last = try await mirror.put(Samples.tenant(2))
            try await eventually { mirror.status.revision >= last }
            #expect(mirror.status.registers == 2)
        }
    }

    @Test func changesThatBreakOffAreFollowedFromANewSnapshot() async throws {
        try await withMirror { mirror, store in
            for number in 2..<6 {
                store.breakOff()
                let last = try await store.put(Samples.tenant(number))
                try await store.delete(Samples.tenant(number).key, expecting: last)
                let after = try await store.put(Samples.tenant(number + 100))
                try await eventually { mirror.status.revision >= after }
                #expect(try await mirror.list(.tenants).count == number)
            }
        }
    }

    @Test func withoutAStoreItDoesNotStart() async throws {
        try await StoreKind.withFile { path in
            let store = ScriptedStore(try SQLiteControlPlane(path: path))
            store.outage = "away"
            let mirror = MirroredControlPlane(store)
            await #expect(throws: ControlPlaneError.self) { try await mirror.start() }
        }
    }

    /// etcd itself dies and comes back with a mirror before it.
    @Test func aMirrorOutlivesItsEtcd() async throws {
        let etcd = try EtcdProcess()
        try etcd.start()
        let store = try EtcdControlPlane(StoreKind.configuration(of: [etcd.endpoint]))
        try await eventually { try await store.read(.cluster) == nil }
        let mirror = MirroredControlPlane(store, staleAfter: .milliseconds(500))
        try await mirror.start()
        for number in 1..<4 {
            var last = try await mirror.put(Samples.tenant(number))
            try etcd.kill()
            try await eventually { mirror.staleness?.reason.contains("refused") == true }
            #expect(try await mirror.read(Samples.tenant(number).key)?.revision == last)
            #expect(try await mirror.list(.tenants).count == number)
            try etcd.start()
            try await eventually { mirror.staleness == nil }
            last = try await store.put(Samples.tenant(number), expecting: last)
            try await eventually { mirror.status.revision >= last }
            #expect(try await mirror.read(Samples.tenant(number).key)?.revision == last)
        }
        await mirror.stop()
        try await store.shutdown()
        try etcd.kill()
    }

    @Test func anUnreadableRegisterIsAnErrorOfItsOwnOnly() async throws {
        let etcd = try EtcdProcess.running()
        let configuration = StoreKind.configuration(of: [etcd.endpoint])
        let store = try EtcdControlPlane(configuration)
        try await eventually { try await store.read(.cluster) == nil }
        let path = try Samples.tenant(2).key.path
        try await store.put(Samples.tenant(1))
        try await RawEtcd(etcd.endpoint).put("facet/\(configuration.cluster)/\(path)", "rubbish")
        let mirror = MirroredControlPlane(store)
        try await mirror.start()
        #expect(mirror.status.unreadable.map(\.path) == [path])
        #expect(try await mirror.read(Samples.tenant(1).key) != nil)
        await #expect(throws: ControlPlaneError.self) { try await mirror.read(Samples.tenant(2).key) }
        await #expect(throws: ControlPlaneError.self) { try await mirror.list(.tenants) }
        #expect(try await mirror.list(.nodes).isEmpty)
        let bad = try #require(mirror.status.unreadable.first).revision
        try await mirror.put(Samples.tenant(2), expecting: bad)
        #expect(mirror.status.unreadable.isEmpty)
        #expect(try await mirror.list(.tenants).count == 2)
        await mirror.stop()
        try await store.shutdown()
    }
}
