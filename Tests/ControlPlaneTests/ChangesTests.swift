import ClusterModel
import ControlPlane
import FaceModel
import Foundation
import Testing

/// `snapshot` and `changes` of every implementation of the port.
@Suite struct ChangesTests {
    @Test(arguments: StoreKind.allCases) func changesBringAReaderToTheStoresState(_ kind: StoreKind) async throws {
        try await kind.with { store in
            let before = try await store.put(Samples.tenant(1), Samples.tenant(2))
            try await FollowedRegisters.following(store, after: before) { followed in
                var last = before
                for number in 3..<40 {
                    last = try await store.put(Samples.tenant(number))
                    if number % 3 == 0 {
                        last = try await store.delete(Samples.tenant(number).key, expecting: last)
                    }
                }
                try await eventually { followed.now.revision >= last }
                let state = followed.now
                #expect(state.registers.count == 24)
                #expect(state.revision == last)
                #expect(state.registers.values.allSatisfy { $0.revision > before })
            }
        }
    }

    @Test(arguments: StoreKind.allCases) func aSnapshotAndItsChangesMissNothing(_ kind: StoreKind) async throws {
        try await kind.with { store in
            async let written = Self.churn(store)
            var snapshots: [RegisterSnapshot] = []
            for _ in 0..<5 { snapshots.append(try await store.snapshot()) }
            let last = try await written
            let expected = try await store.snapshot().byPath
            for snapshot in snapshots {
                try await FollowedRegisters.following(store, after: snapshot.revision) { followed in
                    try await eventually { followed.now.revision >= last || snapshot.revision >= last }
                    let registers = snapshot.byPath.merging(followed.now.registers) { $1 }
                    #expect(expected.allSatisfy { registers[$0.key] == $0.value })
                    #expect(followed.now.registers.allSatisfy { expected[$0.key] == $0.value })
                }
            }
        }
    }

    /// Makes sixty registers and deletes every second of them; the last revision.
    private static func churn(_ store: any ControlPlane) async throws -> Revision {
        var revision = Revision.absent
        for number in 0..<60 {
            revision = try await store.put(Samples.tenant(number))
            if number % 2 == 0 {
                revision = try await store.delete(Samples.tenant(number).key, expecting: revision)
            }
        }
        return revision
    }

    @Test(arguments: StoreKind.allCases) func everyReaderSeesTheSame(_ kind: StoreKind) async throws {
        try await kind.with { store in
            let start = try await store.snapshot().revision
            try await FollowedRegisters.following(store, after: start) { first in
                try await FollowedRegisters.following(store, after: start) { second in
                    let last = try await store.put(Samples.tenant(1), Samples.tenant(2))
                    try await eventually { first.now.revision == last && second.now.revision == last }
                    #expect(first.now.registers == second.now.registers)
                    #expect(first.now.registers.count == 2)
                }
            }
        }
    }

    @Test(arguments: StoreKind.allCases) func silenceIsToldToo(_ kind: StoreKind) async throws {
        try await kind.with { store in
            let revision = try await store.put(Samples.tenant(1))
            try await FollowedRegisters.following(store, after: revision) { followed in
                try await eventually { followed.now.quiet >= 2 }
                #expect(followed.now.told.isEmpty)
                #expect(followed.now.revision == revision)
            }
        }
    }

    @Test func changesOfAnotherProcessOfTheFileAreSeen() async throws {
        try await StoreKind.withFile { path in
            let (reader, writer) = (try SQLiteControlPlane(path: path), try SQLiteControlPlane(path: path))
            try await FollowedRegisters.following(reader, after: .absent) { followed in
                let revision = try await writer.put(Samples.tenant(1))
                let last = try await writer.delete(Samples.tenant(1).key, expecting: revision)
                let again = try await writer.put(Samples.tenant(2))
                try await eventually { followed.now.revision == again }
                #expect(last < again)
                #expect(Set(followed.now.registers.keys) == [try Samples.tenant(2).key.path])
            }
        }
    }

    @Test func aReaderBehindWhatTheFileRemembersIsTold() async throws {
        try await StoreKind.withFile { path in
            let store = try SQLiteControlPlane(path: path)
            let start = try await store.put(Samples.tenant(0))
            for _ in 0..<34 {
                let values = try (1...127).map { try Samples.tenant(Int.random(in: 1...1_000_000_000) * 200 + $0) }
                let made = try await store.commit(RegisterTransaction(values.map { .put($0, expecting: .absent) }))
                guard case .committed(let revision) = made else { return #expect(Bool(false), "\(made)") }
                _ = try await store.commit(
                    RegisterTransaction(values.map { .delete($0.key, expecting: revision) }))
            }
            try await FollowedRegisters.following(store, after: start) { followed in
                try await eventually { followed.now.ended != nil }
                #expect(followed.now.ended?.reason.contains("forgotten") == true)
            }
            let snapshot = try await store.snapshot()
            #expect(snapshot.registers.count == 1)
            try await FollowedRegisters.following(store, after: snapshot.revision) { followed in
                let last = try await store.put(Samples.tenant(1))
                try await eventually { followed.now.revision == last }
            }
        }
    }

    @Test(arguments: StoreKind.stores) func aReaderOfTheFutureIsTold(_ kind: StoreKind) async throws {
        try await kind.with { store in
            let future = Revision(try await store.put(Samples.tenant(1)).value + 1_000_000)
            try await FollowedRegisters.following(store, after: future) { followed in
                try await eventually { followed.now.ended != nil }
                #expect(followed.now.ended?.reason.contains("restored") == true)
            }
        }
    }
}

extension RegisterSnapshot {
    fileprivate var byPath: [String: Register] {
        Dictionary(uniqueKeysWithValues: registers.map { ($0.value.key.path, $0) })
    }
}
