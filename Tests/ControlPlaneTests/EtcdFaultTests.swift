import ClusterModel
import ControlPlane
import FaceModel
import Foundation
import Testing

/// etcd that dies, hangs, loses answers, forgets and lies.
@Suite struct EtcdFaultTests {
    /// A free port may become another test's; nobody listens on the multiplexer's.
    private static let deadPort = 1

    /// Through a wire that the test cuts, to an etcd of its own that it may kill.
    private func withWire(
        _ body: (EtcdControlPlane, TCPProxy, EtcdProcess) async throws -> Void
    ) async throws {
        let etcd = try EtcdProcess()
        try etcd.start()
        let proxy = try await TCPProxy(to: etcd.clientPort)
        let store = try EtcdControlPlane(StoreKind.configuration(of: [proxy.endpoint]))
        try await eventually { try await store.read(.cluster) == nil }
        try await body(store, proxy, etcd)
        try await store.shutdown()
        try await proxy.close()
        try etcd.kill()
    }

    @Test func aWatchMissesNothingWhileEtcdIsKilledAndTheWireIsCut() async throws {
        try await withWire { store, proxy, etcd in
            try await FollowedRegisters.following(store, after: .absent) { followed in
                var committed: [Revision] = []
                var last = Revision.absent
                for round in 0..<6 {
                    for number in 0..<5 {
                        try await eventually {
                            let value = try Samples.tenant(round * 5 + number)
                            // An attempt before may have happened although its answer was lost.
                            if let found = try await store.read(value.key) {
                                last = found.revision
                            } else {
                                last = try await store.put(value)
                            }
                            return true
                        }
                        committed.append(last)
                    }
                    if round % 2 == 0 {
                        try etcd.kill()
                        try etcd.start()
                    } else {
                        proxy.mode = round % 3 == 0 ? .swallow : .cut
                        await #expect(throws: ControlPlaneError.self) { try await store.read(.cluster) }
                        proxy.mode = .pass
                    }
                }
                try await eventually { followed.now.revision >= last }
                #expect(followed.now.told == committed)
                #expect(followed.now.registers.count == 30)
                #expect(followed.now.ended == nil)
            }
        }
    }

    /// The watch's own connection is half open, and another connection works: only the comparison can tell.
    @Test func aWatchThatDiedInSilenceIsNoticed() async throws {
        let etcd = try EtcdProcess()
        try etcd.start()
        let proxy = try await TCPProxy(to: etcd.clientPort)
        var configuration = StoreKind.configuration(of: [proxy.endpoint, etcd.endpoint])
        configuration.attemptTimeout = .milliseconds(300)
        let store = try EtcdControlPlane(configuration)
        try await eventually { try await store.read(.cluster) == nil }
        try await FollowedRegisters.following(store, after: .absent) { followed in
            let first = try await store.put(Samples.tenant(1))
            try await eventually { followed.now.revision >= first }
            proxy.mode = .swallow
            let writer = try EtcdControlPlane(configuration)
            let second = try await eventuallyPut(writer, try Samples.tenant(2))
            try await eventually { followed.now.revision >= second }
            #expect(followed.now.told == [first, second])
            try await writer.shutdown()
        }
        try await store.shutdown()
        try await proxy.close()
    }

    private func eventuallyPut(_ store: EtcdControlPlane, _ value: RegisterValue) async throws -> Revision {
        try await eventually {
            if try await store.read(value.key) == nil { try await store.put(value) }
            return true
        }
        return try #require(try await store.read(value.key)).revision
    }

    @Test func anotherEndpointAnswersForTheDead() async throws {
        let etcd = try EtcdProcess.running()
        let dead = Self.deadPort
        let proxy = try await TCPProxy(to: etcd.clientPort)
        proxy.mode = .cut
        let store = try EtcdControlPlane(
            StoreKind.configuration(of: ["http://127.0.0.1:\(dead)", "http://localhost:\(dead)", etcd.endpoint]))
        try await eventually { try await store.read(.cluster) == nil }
        // Nobody listens there, so nothing can have happened there: a transaction may go on to the next.
        for number in 0..<20 { try await store.put(Samples.tenant(number)) }
        #expect(try await store.list(.tenants).count == 20)
        try await store.shutdown()
        try await proxy.close()
    }

    @Test func aTransactionWhoseAnswerIsLostIsUnknownAndMayHaveHappened() async throws {
        try await withWire { store, proxy, _ in
            try await store.put(Samples.tenant(1))
            proxy.mode = .swallowAnswers
            let value = try Samples.tenant(2)
            await #expect {
                try await store.commit(RegisterTransaction([.put(value, expecting: .absent)]))
            } throws: { error in
                guard case .unavailable(_, outcomeUnknown: true)? = error as? ControlPlaneError else { return false }
                return true
            }
            proxy.mode = .pass
            try await eventually { try await store.read(value.key)?.value == value }
        }
    }

    /// Two ways to one etcd, of which the first can lose answers.
    private func withTwoWires(_ body: (EtcdControlPlane, TCPProxy) async throws -> Void) async throws {
        let etcd = try EtcdProcess.running()
        let proxy = try await TCPProxy(to: etcd.clientPort)
        let store = try EtcdControlPlane(StoreKind.configuration(of: [proxy.endpoint, etcd.endpoint]))
        try await eventually { try await store.read(.cluster) == nil }
        try await body(store, proxy)
        try await store.shutdown()
        try await proxy.close()
    }

    @Test func aTransactionWhoseAnswerIsLostIsSentAgainAndDoneOnce() async throws {
        try await withTwoWires { store, proxy in
            let value = try Samples.tenant(2)
            proxy.mode = .swallowAnswers
            let outcome = try await store.commit(RegisterTransaction([.put(value, expecting: .absent)]))
            guard case .committed(let revision) = outcome else {
                Issue.record("it was done, and called \(outcome)")
                return
            }
            let register = try #require(try await store.read(value.key))
            #expect(register.value == value && register.revision <= revision)
        }
    }

    @Test func aTransactionWhoseAnswerIsLostDoesNotTakeAnothersForItsOwn() async throws {
        try await withTwoWires { store, proxy in
            let others = try Samples.tenant(2)
            try await store.put(others)
            proxy.mode = .swallowAnswers
            let ours = try Samples.tenant(2, created: Timestamp(milliseconds: 1))
            let outcome = try await store.commit(RegisterTransaction([.put(ours, expecting: .absent)]))
            guard case .conflict(ours.key) = outcome else {
                Issue.record("another's register was called ours: \(outcome)")
                return
            }
            #expect(try await store.read(ours.key)?.value == others)
        }
    }

    /// It leaves nothing behind from which it could be known to have been made.
    @Test func aComparisonWhoseAnswerIsLostIsNotTakenForMade() async throws {
        try await withTwoWires { store, proxy in
            let value = try Samples.tenant(2)
            let revision = try await store.put(value)
            proxy.mode = .swallowAnswers
            let wrong = RegisterTransaction([.unchanged(value.key, expecting: .absent)])
            #expect(try await store.commit(wrong) == .conflict(value.key))
            let write = RegisterTransaction([
                .unchanged(value.key, expecting: revision), .put(try Samples.tenant(3), expecting: .absent),
            ])
            guard case .committed = try await store.commit(write) else {
                return #expect(Bool(false), "the comparison holds")
            }
        }
    }

    @Test func aTransactionThatNeverLeftIsKnownNotToHaveHappened() async throws {
        let dead = Self.deadPort
        let store = try EtcdControlPlane(StoreKind.configuration(of: ["http://127.0.0.1:\(dead)"]))
        let value = try Samples.tenant(2)
        await #expect {
            try await store.commit(RegisterTransaction([.put(value, expecting: .absent)]))
        } throws: { error in
            guard case .unavailable(let reason, outcomeUnknown: false)? = error as? ControlPlaneError else {
                return false
            }
            return reason.contains("127.0.0.1:\(dead)") && reason.contains("refused")
        }
        try await store.shutdown()
    }

    @Test func compactionEndsAWatchThatCannotGoOn() async throws {
        try await withWire { store, proxy, _ in
            let start = try await store.put(Samples.tenant(1))
            var last = try await store.put(Samples.tenant(1), expecting: start)
            last = try await store.put(Samples.tenant(1), expecting: last)
            try await RawEtcd(proxy.endpoint).post("/v3/kv/compaction", #"{"revision":"\#(last.value)"}"#)
            try await FollowedRegisters.following(store, after: start) { followed in
                try await eventually { followed.now.ended != nil }
                #expect(followed.now.ended?.reason.contains("compacted") == true)
            }
            let snapshot = try await store.snapshot()
            try await FollowedRegisters.following(store, after: snapshot.revision) { followed in
                last = try await store.put(Samples.tenant(1), expecting: last)
                try await eventually { followed.now.revision == last }
            }
        }
    }

    @Test(arguments: [
        "", "{", "[]", "null", "nonsense", #"{"header":3}"#, #"{"header":{"cluster_id":"1"}}"#,
        #"{"header":{"cluster_id":"1","revision":"x"}}"#, #"{"header":{"cluster_id":"1","revision":7}}"#,
        #"{"header":{"cluster_id":"1","revision":"7"},"kvs":[{"key":"!","mod_revision":"1"}]}"#,
        #"{"header":{"cluster_id":"1","revision":"7"},"more":true}"#,
        #"{"header":{"cluster_id":"1","revision":"7"},"kvs":[{"key":"YQ==","mod_revision":"1"}],"more":true}"#,
    ]) func nonsenseIsAnErrorAndNeverAnAnswer(_ body: String) async throws {
        for text in [StrangeServer.http(200, body), StrangeServer.http(500, body), body] {
            let server = try await StrangeServer { _ in text }
            let store = try EtcdControlPlane(StoreKind.configuration(of: [server.endpoint], patience: .zero))
            await #expect(throws: ControlPlaneError.self) { try await store.snapshot() }
            let transaction = RegisterTransaction([.put(try Samples.tenant(1), expecting: .absent)])
            await #expect(throws: ControlPlaneError.self) { try await store.commit(transaction) }
            try await store.shutdown()
            try await server.close()
        }
    }

    @Test func nonsenseInAWatchOpensItAgain() async throws {
        let etcd = try EtcdProcess()
        try etcd.start()
        let server = try await StrangeServer { _ in
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"re\n\r\n3\r\n{}\n\r\n0\r\n\r\n"
        }
        var configuration = StoreKind.configuration(of: [server.endpoint, etcd.endpoint])
        // Over before the pause between two connections is.
        (configuration.avoidance, configuration.avoidanceMax) = (.microseconds(1), .microseconds(1))
        let store = try EtcdControlPlane(configuration)
        try await FollowedRegisters.following(store, after: .absent) { followed in
            let last = try await eventuallyPut(store, try Samples.tenant(1))
            try await eventually { followed.now.revision >= last || followed.now.ended != nil }
            #expect(followed.now.ended == nil)
        }
        try await store.shutdown()
        try await server.close()
        try etcd.kill()
    }

    @Test func truncatedAnswersAreErrors() async throws {
        let whole = StrangeServer.http(
            200, #"{"header":{"cluster_id":"1","revision":"7"},"kvs":[{"key":"YQ==","mod_revision":"1"}],"count":"1"}"#)
        for length in stride(from: 0, to: whole.utf8.count, by: 7) {
            let server = try await StrangeServer { _ in String(whole.prefix(length)) }
            let store = try EtcdControlPlane(StoreKind.configuration(of: [server.endpoint], patience: .zero))
            await #expect(throws: ControlPlaneError.self) { try await store.read(.cluster) }
            try await store.shutdown()
            try await server.close()
        }
    }

    @Test func anEndpointOfAnotherClusterIsNotBelieved() async throws {
        let other = try EtcdProcess()
        try other.start()
        let proxy = try await TCPProxy(to: EtcdProcess.running().clientPort)
        let store = try EtcdControlPlane(StoreKind.configuration(of: [proxy.endpoint, other.endpoint]))
        try await eventually { try await store.read(.cluster) == nil }
        let tenant = try Samples.tenant(1)
        try await store.put(tenant)
        proxy.mode = .cut
        // An answer of neither in time says nothing yet.
        try await eventually {
            do throws(ControlPlaneError) {
                _ = try await store.read(tenant.key)
                Issue.record("an answer of another cluster was believed")
                return true
            } catch {
                return error.reason.contains("belongs to etcd cluster")
            }
        }
        try await store.shutdown()
        try await proxy.close()
        try other.kill()
    }

    @Test func anAnswerBeyondTheBoundIsRefused() async throws {
        let etcd = try EtcdProcess.running()
        var configuration = StoreKind.configuration(of: [etcd.endpoint])
        let writer = try EtcdControlPlane(configuration)
        for number in 0..<50 { _ = try await eventuallyPut(writer, try Samples.tenant(number)) }
        configuration.answerBytesMax = 2_000
        let store = try EtcdControlPlane(configuration)
        await #expect {
            try await store.snapshot()
        } throws: { error in
            (error as? ControlPlaneError)?.reason.contains("more than 2000 bytes") == true
        }
        #expect(try await store.read(Samples.tenant(1).key) != nil)
        try await store.shutdown()
        try await writer.shutdown()
    }

    /// The register itself is an error, the others and their changes go on.
    @Test func anUnreadableRegisterHidesNoOther() async throws {
        let etcd = try EtcdProcess.running()
        let configuration = StoreKind.configuration(of: [etcd.endpoint])
        let store = try EtcdControlPlane(configuration)
        try await eventually { try await store.read(.cluster) == nil }
        let prefix = "facet/\(configuration.cluster)/"
        let raw = RawEtcd(etcd.endpoint)
        let start = try await store.put(Samples.tenant(1))
        try await FollowedRegisters.following(store, after: .absent) { followed in
            try await raw.put(prefix + Samples.tenant(2).key.path, "rubbish")
            try await raw.put(prefix + "planet/mars", "{}")
            let last = try await store.put(Samples.tenant(3))
            try await eventually { followed.now.revision >= last }
            #expect(Set(followed.now.unreadable.keys) == [try Samples.tenant(2).key.path, "planet/mars"])
            #expect(followed.now.registers.count == 2)
        }
        let snapshot = try await store.snapshot()
        #expect(snapshot.registers.count == 2)
        #expect(snapshot.unreadable.map(\.path) == ["planet/mars", try Samples.tenant(2).key.path])
        #expect(snapshot.revision > start)
        await #expect {
            try await store.read(Samples.tenant(2).key)
        } throws: { error in
            if case .unreadable? = error as? ControlPlaneError { true } else { false }
        }
        try await store.shutdown()
    }

    @Test func aWrongConfigurationNamesWhatIsWrong() throws {
        for (configuration, word) in [
            (EtcdConfiguration(endpoints: [], cluster: "c"), "endpoint"),
            (EtcdConfiguration(endpoints: ["localhost:2379"], cluster: "c"), "localhost:2379"),
            (EtcdConfiguration(endpoints: ["http://a:1"], cluster: "a/b"), "a/b"),
            (
                EtcdConfiguration(
                    endpoints: ["http://a:1"], cluster: "c",
                    tls: .init(authorities: "ca.pem", certificate: "a.pem", key: "a-key.pem")), "http://a:1"
            ),
            (
                EtcdConfiguration(
                    endpoints: ["https://a:1"], cluster: "c",
                    tls: .init(authorities: "/nowhere/ca.pem", certificate: "a.pem", key: "a-key.pem")),
                "/nowhere/ca.pem"
            ),
        ] {
            #expect {
                try EtcdControlPlane(configuration)
            } throws: { error in
                (error as? ControlPlaneError)?.reason.contains(word) == true
            }
        }
    }
}
