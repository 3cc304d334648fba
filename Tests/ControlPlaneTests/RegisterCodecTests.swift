import ClusterModel
import ControlPlane
import FaceModel
import Testing

@Suite struct RegisterCodecTests {
    @Test func everyRegisterSurvivesItsBytes() throws {
        for value in try Samples.everyRegister {
            #expect(try RegisterCodec.decode(RegisterCodec.encode(value), key: value.key) == value)
        }
    }

    @Test func mapsOfTheFirstVersionLieInOneProcess() throws {
        let uid = "00000000-0000-0001-0000-000000000002"
        let shard = "00000000-0000-0005-0000-000000000006"
        let json = #"{"collection":"\#(uid)","version":3,"shards":[{"id":"\#(shard)","roots":[0]}]}"#
        let map = CollectionMap(
            collection: CollectionUID(Bits128(high: 1, low: 2)), version: 3, made: false,
            shards: [.init(id: ShardID(Bits128(high: 5, low: 6)), node: .embedded, roots: [.root])])
        #expect(try RegisterCodec.decode(Array(json.utf8), path: "map/\(uid)") == .map(map))
    }

    @Test(arguments: [
        ("tenant/000000000001", "{", "JSON"), ("tenant/000000000001", "[]", "JSON"),
        ("tenant/000000000001", #"{"tenant":"12"}"#, "tenant"), ("tenant/000000000001", #"{"tenant":3}"#, "tenant"),
        ("tenant/000000000001", #"{"tenant":"000000000002","created_ms":1}"#, "tenant/000000000002"),
        ("nodes/a", #"{"node":"a","host":"h","port":"1"}"#, "port"), ("planet/x", "{}", "kind"),
        (
            "map/00000000-0000-0001-0000-000000000002",
            #"{"collection":"00000000-0000-0001-0000-000000000002","version":-1,"shards":[]}"#, "version"
        ),
        (
            "map/00000000-0000-0001-0000-000000000002",
            #"{"collection":"00000000-0000-0001-0000-000000000002","version":1,"shards":[{"id":3,"roots":[]}]}"#,
            "shards"
        ),
        (
            "map/00000000-0000-0001-0000-000000000002",
            #"""
            {"collection":"00000000-0000-0001-0000-000000000002","version":1,
            "shards":[{"id":"00000000-0000-0005-0000-000000000006","node":"A B","roots":[1]}]}
            """#, "shards"
        ),
    ]) func unreadableRegistersNameTheirPathAndField(_ path: String, _ json: String, _ field: String) {
        #expect {
            try RegisterCodec.decode(Array(json.utf8), path: path)
        } throws: { error in
            guard case .unreadable(path, let reason)? = error as? ControlPlaneError else { return false }
            return reason.contains(field)
        }
    }

    @Test func everyTruncationAndFlippedByteIsAnErrorOrAValue() throws {
        for value in try Samples.everyRegister {
            let bytes = RegisterCodec.encode(value)
            for length in 0..<bytes.count {
                #expect(throws: ControlPlaneError.self) {
                    try RegisterCodec.decode(Array(bytes[..<length]), key: value.key)
                }
            }
            for index in bytes.indices {
                var flipped = bytes
                flipped[index] ^= 0x15
                do throws(ControlPlaneError) {
                    #expect(try RegisterCodec.decode(flipped, key: value.key).key == value.key)
                } catch {
                    guard case .unreadable(value.key.path, _) = error else { return #expect(Bool(false), "\(error)") }
                }
            }
        }
    }
}
