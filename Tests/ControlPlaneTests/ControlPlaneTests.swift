import ClusterModel
import ControlPlane
import FaceModel
import Testing

/// Transactions and reads: what every implementation of the port must do.
@Suite struct ControlPlaneTests {
    @Test(arguments: StoreKind.allCases) func everyRegisterComesBackAsItWasPut(_ kind: StoreKind) async throws {
        try await kind.with { store in
            for value in try Samples.everyRegister {
                let revision = try await store.put(value)
                #expect(try await store.read(value.key) == Register(value: value, revision: revision))
            }
        }
    }

    @Test(arguments: StoreKind.allCases) func aTransactionHappensWholeOrNotAtAll(_ kind: StoreKind) async throws {
        try await kind.with { store in
            let values = try Samples.everyRegister
            let revision = try await store.put(values[0], values[2])
            let outcome = try await store.commit(
                RegisterTransaction([
                    .put(values[1], expecting: .absent), .delete(values[2].key, expecting: revision),
                    .put(values[0], expecting: .absent),
                ]))
            #expect(outcome == .conflict(values[0].key))
            #expect(try await store.read(values[1].key) == nil)
            #expect(try await store.read(values[2].key)?.revision == revision)
            #expect(try await store.read(values[0].key)?.revision == revision)
        }
    }

    @Test(arguments: StoreKind.allCases) func aConflictNamesTheFirstRegisterThatMoved(_ kind: StoreKind) async throws {
        try await kind.with { store in
            let values = try (1...4).map { try Samples.tenant($0) }
            let first = try await store.put(values[0], values[1])
            let second = try await store.put(values[1], expecting: first)
            for (changes, moved) in [
                ([(values[0], first), (values[1], first)], values[1]),
                ([(values[0], second), (values[1], first)], values[0]),
                ([(values[2], .absent), (values[3], first)], values[3]),
                ([(values[2], .absent), (values[0], .absent)], values[0]),
            ] {
                let outcome = try await store.commit(
                    RegisterTransaction(changes.map { .put($0.0, expecting: $0.1) }))
                #expect(outcome == .conflict(moved.key))
                #expect(
                    try await store.commit(
                        RegisterTransaction(changes.map { .delete($0.0.key, expecting: $0.1) })) == .conflict(moved.key)
                )
            }
        }
    }

    @Test(arguments: StoreKind.allCases) func whatMustNotHaveChangedIsComparedAndNotWritten(
        _ kind: StoreKind
    ) async throws {
        try await kind.with { store in
            let (written, compared, missing) = try (Samples.tenant(1), Samples.tenant(2), Samples.tenant(3))
            var at = try await store.put(written)
            let known = try await store.put(compared)
            func commit(_ compared: Revision, _ missing: Revision) async throws -> TransactionOutcome {
                try await store.commit(
                    RegisterTransaction([
                        .put(written, expecting: at), .unchanged(Samples.tenant(2).key, expecting: compared),
                        .unchanged(Samples.tenant(3).key, expecting: missing),
                    ]))
            }
            let made = try await commit(known, .absent)
            guard case .committed(let revision) = made else { return #expect(Bool(false), "\(made)") }
            #expect(try await store.read(written.key)?.revision == revision)
            #expect(try await store.read(compared.key) == Register(value: compared, revision: known))
            #expect(try await store.read(missing.key) == nil)
            at = revision
            let moved = try await store.put(compared, expecting: known)
            #expect(try await commit(known, .absent) == .conflict(compared.key))
            #expect(try await commit(moved, moved) == .conflict(missing.key))
            let gone = try await store.delete(compared.key, expecting: moved)
            #expect(try await commit(moved, .absent) == .conflict(compared.key))
            #expect(try await store.read(written.key)?.revision == at)
            guard case .committed(let last) = try await commit(.absent, .absent) else {
                return #expect(Bool(false), "absent registers are as they were")
            }
            #expect(last > gone)
            try await store.put(missing)
            #expect(try await commit(.absent, .absent) == .conflict(written.key))
        }
    }

    @Test(arguments: StoreKind.allCases) func comparisonsAloneCommitAndConflict(_ kind: StoreKind) async throws {
        try await kind.with { store in
            let revision = try await store.put(Samples.tenant(1))
            let key = try Samples.tenant(1).key
            let same = try await store.commit(RegisterTransaction([.unchanged(key, expecting: revision)]))
            guard case .committed = same else { return #expect(Bool(false), "\(same)") }
            #expect(
                try await store.commit(RegisterTransaction([.unchanged(key, expecting: .absent)])) == .conflict(key))
            #expect(try await store.read(key)?.revision == revision)
        }
    }

    @Test(arguments: StoreKind.allCases) func onlyOneOfManyWritersAtARevisionWins(_ kind: StoreKind) async throws {
        try await kind.with { store in
            let value = try Samples.tenant(1)
            var revision = Revision.absent
            for _ in 0..<8 {
                let outcomes = try await withThrowingTaskGroup(of: TransactionOutcome.self) { [revision] group in
                    for _ in 0..<16 {
                        group.addTask {
                            try await store.commit(RegisterTransaction([.put(value, expecting: revision)]))
                        }
                    }
                    return try await group.reduce(into: []) { $0.append($1) }
                }
                let won = outcomes.compactMap { if case .committed(let revision) = $0 { revision } else { nil } }
                #expect(won.count == 1)
                #expect(outcomes.filter { $0 == .conflict(value.key) }.count == 15)
                revision = try #require(won.first)
                #expect(try await store.read(value.key)?.revision == revision)
            }
        }
    }

    @Test(arguments: StoreKind.allCases) func manyWritersOfOneCounterLoseNothing(_ kind: StoreKind) async throws {
        try await kind.with { store in
            let key = try Samples.tenant(7).key
            try await store.put(Samples.tenant(7, created: Timestamp(milliseconds: 0)))
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<4 {
                    group.addTask {
                        var left = 20
                        while left > 0 {
                            guard let found = try await store.readFresh(key), case .tenant(var tenant) = found.value
                            else { throw CancellationError() }
                            tenant.created = Timestamp(milliseconds: tenant.created.milliseconds + 1)
                            let put = RegisterTransaction([.put(.tenant(tenant), expecting: found.revision)])
                            if case .committed = try await store.commit(put) { left -= 1 }
                        }
                    }
                }
                try await group.waitForAll()
            }
            #expect(
                try await store.readFresh(key)?.value == Samples.tenant(7, created: Timestamp(milliseconds: 80)))
        }
    }

    @Test(arguments: StoreKind.allCases) func familiesHoldExactlyTheirOwn(_ kind: StoreKind) async throws {
        try await kind.with { store in
            for value in try Samples.everyRegister { try await store.put(value) }
            for (family, count) in [
                (RegisterFamily.tenants, 1), (.accessKeys, 1), (.collections(.embedded), 1),
                (.collections(.cluster), 0), (.allCollections, 1), (.maps, 2), (.nodes, 1),
                (.live, 1), (.allReplicas, 1), (.replicas(ShardID(Bits128(high: .max, low: 1))), 1),
                (.replicas(ShardID(Bits128(high: 0, low: 1))), 0), (.shards, 1), (.splits, 1),
            ] {
                #expect(try await store.list(family).count == count, "\(family)")
            }
        }
    }

    /// More than two of etcd's pages.
    @Test(arguments: StoreKind.allCases) func listsAreWholeAndInTheOrderOfPaths(_ kind: StoreKind) async throws {
        try await kind.with { store in
            let numbers = (0..<600).map { $0 * 37 % 601 }
            for start in stride(from: 0, to: numbers.count, by: 100) {
                let changes = try numbers[start..<start + 100].map {
                    RegisterTransaction.Change.put(try Samples.tenant($0), expecting: .absent)
                }
                _ = try await store.commit(RegisterTransaction(changes))
            }
            let expected = try numbers.sorted().map { try Samples.tenant($0) }
            #expect(try await store.list(.tenants).map(\.value) == expected)
            #expect(try await store.snapshot().registers.map(\.value) == expected)
        }
    }

    @Test(arguments: StoreKind.allCases) func aDeletedRegisterIsGoneAndAbsentAgain(_ kind: StoreKind) async throws {
        try await kind.with { store in
            let value = try Samples.tenant(1)
            let revision = try await store.put(value)
            let deletion = try await store.delete(value.key, expecting: revision)
            #expect(try await store.read(value.key) == nil)
            #expect(try await store.list(.tenants).isEmpty)
            #expect(try await store.put(value) > deletion)
        }
    }

    @Test(arguments: StoreKind.allCases) func aTransactionTakesAsManyChangesAsItSays(_ kind: StoreKind) async throws {
        try await kind.with { store in
            let values = try (1...RegisterTransaction.changesMax).map { try Samples.tenant($0) }
            _ = try await store.commit(RegisterTransaction(values.map { .put($0, expecting: .absent) }))
            #expect(try await store.list(.tenants).count == RegisterTransaction.changesMax)
        }
    }
}
