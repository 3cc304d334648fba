import ClusterModel
import ControlPlane
import FaceModel
import Foundation
import Testing

/// What every adapter of the port must do; SQLite is the first.
@Suite struct ControlPlaneTests {
    private func withStore(_ body: (SQLiteControlPlane, String) async throws -> Void) async throws {
        let path = NSTemporaryDirectory() + "facet-control-\(ProcessInfo.processInfo.globallyUniqueString).sqlite"
        defer {
            for suffix in ["", "-wal", "-shm"] { _ = try? FileManager.default.removeItem(atPath: path + suffix) }
        }
        try await body(try SQLiteControlPlane(path: path), path)
    }

    private let time = Timestamp(milliseconds: 1_763_000_000_123)

    private var everyRegister: [RegisterValue] {
        get throws {
            let name = try #require(CollectionName("mugshots.2026"))
            let key = try #require(AccessKeyID("FCTABCDEFGHIJKLMNOPQ"))
            let uid = CollectionUID(Bits128(high: 1, low: 2))
            return [
                .cluster(ClusterRegister(id: Bits128(high: 3, low: 4), formatVersion: 1)),
                .tenant(TenantRegister(tenant: .embedded, created: time)),
                .accessKey(
                    AccessKeyRegister(
                        accessKey: key, tenant: .embedded, person: "Ada \"L\" Ö", roles: ["admin", "searcher"],
                        sealedSecret: [0, 255, 7], created: time, revoked: time)),
                .collection(
                    CollectionRegister(
                        tenant: .embedded, name: name, uid: uid, modelName: "m", modelVersion: "1.0", dimension: 128,
                        sealedKey: [9, 8], tags: ["a": "b", "": "ü"], created: time)),
                .map(
                    CollectionMap(
                        collection: uid, version: 3,
                        shards: [.init(id: ShardID(Bits128(high: 5, low: .max)), roots: [.root, LeafID(7)])])),
            ]
        }
    }

    @Test func everyRegisterComesBackAsItWasPut() async throws {
        try await withStore { store, path in
            for value in try everyRegister {
                let outcome = try await store.commit(RegisterTransaction([.put(value, expecting: .absent)]))
                guard case .committed(let revision) = outcome else { return #expect(Bool(false), "\(outcome)") }
                let again = try SQLiteControlPlane(path: path)
                #expect(try await again.read(value.key) == Register(value: value, revision: revision))
            }
        }
    }

    @Test func aTransactionHappensWholeOrNotAtAll() async throws {
        try await withStore { store, _ in
            let values = try everyRegister
            _ = try await store.commit(RegisterTransaction([.put(values[0], expecting: .absent)]))
            let outcome = try await store.commit(
                RegisterTransaction([.put(values[1], expecting: .absent), .put(values[0], expecting: .absent)]))
            #expect(outcome == .conflict(values[0].key))
            #expect(try await store.read(values[1].key) == nil)
        }
    }

    @Test func onlyOneOfTwoWritersAtTheSameRevisionWins() async throws {
        try await withStore { store, _ in
            let value = try everyRegister[0]
            guard
                case .committed(let revision) = try await store.commit(
                    RegisterTransaction([.put(value, expecting: .absent)]))
            else { return #expect(Bool(false)) }
            let outcomes = try await withThrowingTaskGroup(of: TransactionOutcome.self) { group in
                for _ in 0..<8 {
                    group.addTask { try await store.commit(RegisterTransaction([.put(value, expecting: revision)])) }
                }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            let winners = outcomes.filter { if case .committed = $0 { true } else { false } }
            #expect(winners.count == 1)
        }
    }

    @Test func familiesHoldExactlyTheirOwn() async throws {
        try await withStore { store, _ in
            for value in try everyRegister {
                _ = try await store.commit(RegisterTransaction([.put(value, expecting: .absent)]))
            }
            for (family, count) in [
                (RegisterFamily.tenants, 1), (.accessKeys, 1), (.collections(.embedded), 1),
                (.collections(.cluster), 0), (.allCollections, 1), (.maps, 1),
            ] {
                #expect(try await store.list(family).count == count, "\(family)")
            }
        }
    }

    @Test func aDeletedRegisterIsGoneAndAbsentAgain() async throws {
        try await withStore { store, _ in
            let value = try everyRegister[1]
            guard
                case .committed(let revision) = try await store.commit(
                    RegisterTransaction([.put(value, expecting: .absent)]))
            else { return #expect(Bool(false)) }
            _ = try await store.commit(RegisterTransaction([.delete(value.key, expecting: revision)]))
            #expect(try await store.read(value.key) == nil)
            guard
                case .committed(let later) = try await store.commit(
                    RegisterTransaction([.put(value, expecting: .absent)]))
            else { return #expect(Bool(false)) }
            #expect(later > revision)
        }
    }

    @Test func unreadableRegistersNameTheirPathAndField() {
        for (json, field) in [
            ("{", "JSON"), ("[]", "JSON"), ("{\"tenant\":\"12\"}", "tenant"), ("{\"tenant\":3}", "tenant"),
        ] {
            #expect {
                try RegisterCodec.decode(Array(json.utf8), key: .tenant(.embedded))
            } throws: { error in
                guard case .unreadable(let path, let reason)? = error as? ControlPlaneError else { return false }
                return path == "tenant/000000000001" && reason.contains(field)
            }
        }
    }
}
