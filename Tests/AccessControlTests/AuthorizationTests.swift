import AccessControl
import FaceModel
import Testing

@Suite struct AuthorizationTests {
    private static let tenant = TenantID.embedded

    private func principal(_ roles: Set<Role>) throws -> Principal {
        Principal(
            tenant: Self.tenant, accessKey: try #require(AccessKeyID("AKIDEXAMPLE00000")), person: "p", roles: roles)
    }

    /// The whole table, by hand.
    private static let expected: [Action: Set<Role>] = [
        .createCollection: [.admin, .enroller], .deleteCollection: [.admin, .enroller],
        .tagCollection: [.admin, .enroller], .indexFaces: [.admin, .enroller], .deleteFaces: [.admin, .enroller],
        .describeCollection: Set(Role.allCases), .listCollections: Set(Role.allCases),
        .listFaces: Set(Role.allCases), .readLedger: Set(Role.allCases), .readStatus: Set(Role.allCases),
        .manageCopies: [.admin],
        .searchFaces: [.admin, .searcher], .compareFaces: [.admin, .searcher],
        .detectFaces: [.admin, .enroller, .searcher], .readSearchRecord: [.admin, .searcher, .auditor],
        .suspendTenant: [.admin], .resumeTenant: [],
    ]

    @Test(arguments: Action.allCases) func theTableIsThisOne(_ action: Action) throws {
        let roles = try #require(Self.expected[action])
        for role in Role.allCases {
            let decision = Authorization.decide(try principal([role]), action)
            #expect((decision == .allow) == roles.contains(role), "\(role) \(action)")
        }
    }

    @Test func rolesAddUp() throws {
        #expect(Authorization.decide(try principal([.enroller, .auditor]), .readSearchRecord) == .allow)
        #expect(Authorization.decide(try principal([.enroller, .auditor]), .searchFaces) != .allow)
    }

    @Test func nobodyActsForAnotherTenantNorWithoutARole() throws {
        let other = try #require(TenantID("000000000002"))
        for action in Action.allCases {
            #expect(Authorization.decide(try principal(Set(Role.allCases)), action, owner: other) != .allow)
            #expect(Authorization.decide(try principal([]), action) != .allow)
        }
    }

    @Test func onlyOperatorsResume() throws {
        for (tenant, role, allowed) in [
            (TenantID.cluster, Role.admin, true), (.cluster, .auditor, false), (.embedded, .admin, false),
        ] {
            var principal = try principal([role])
            principal.tenant = tenant
            #expect((Authorization.decide(principal, .resumeTenant) == .allow) == allowed)
        }
        let forOperators = Action.allCases.filter(\.isOfOperators)
        #expect(
            Set(forOperators) == [
                .readSearchRecord, .readLedger, .readStatus, .manageCopies, .suspendTenant, .resumeTenant,
            ])
    }

    @Test func aDenialNamesActionAndRoles() throws {
        #expect(
            Authorization.decide(try principal([.auditor]), .indexFaces)
                == .deny(reason: "indexFaces needs one of the roles admin, enroller; the access key has auditor."))
    }

    @Test func theRawValuesOfRolesAreFormat() {
        #expect(Role.allCases.map(\.rawValue) == ["admin", "enroller", "searcher", "auditor"])
    }
}
