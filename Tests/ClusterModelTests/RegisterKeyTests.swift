import ClusterModel
import FaceModel
import Testing

/// The paths of registers are format: every store keeps them, docs/formats/registers.md lists them.
@Suite struct RegisterKeyTests {
    @Test func pathsAreAsTheFormatSays() throws {
        let name = try #require(CollectionName("mugshots"))
        let key = try #require(AccessKeyID("FCTABCDEFGHIJKLMNOPQ"))
        let uid = CollectionUID(Bits128(high: 0, low: 1))
        #expect(RegisterKey.cluster.path == "cluster")
        #expect(RegisterKey.tenant(.embedded).path == "tenant/000000000001")
        #expect(RegisterKey.accessKey(key).path == "key/FCTABCDEFGHIJKLMNOPQ")
        #expect(RegisterKey.collection(.embedded, name).path == "collection/000000000001/mugshots")
        #expect(RegisterKey.map(uid).path == "map/00000000-0000-0000-0000-000000000001")
    }

    @Test func aFamilyHoldsItsKeysAndNoOthers() throws {
        let name = try #require(CollectionName("c"))
        let mine = RegisterKey.collection(.embedded, name).path
        #expect(mine.hasPrefix(RegisterFamily.collections(.embedded).prefix))
        #expect(mine.hasPrefix(RegisterFamily.allCollections.prefix))
        #expect(!mine.hasPrefix(RegisterFamily.collections(.cluster).prefix))
        for family in [RegisterFamily.tenants, .accessKeys, .maps] { #expect(!mine.hasPrefix(family.prefix)) }
    }
}
