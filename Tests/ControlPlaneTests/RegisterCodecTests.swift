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
        ("incarnation/a", #"{"node":"a","incarnation":-1}"#, "incarnation"),
        ("live/a", #"{"node":"a","incarnation":1,"suspect":["x"],"damaged":[]}"#, "suspect"),
        (Self.shardPath, Self.shard(isr: [1, 1]), "isr"), (Self.shardPath, Self.shard(isr: [2, 1]), "isr"),
        (Self.shardPath, Self.shard(isr: [2]), "primary"), (Self.shardPath, Self.shard(isr: []), "primary"),
        (Self.shardPath, Self.shard(isr: [1, 3]), "learners"), (Self.shardPath, Self.shard(minimum: 0), "min_isr"),
    ]) func unreadableRegistersNameTheirPathAndField(_ path: String, _ json: String, _ field: String) {
        #expect {
            try RegisterCodec.decode(Array(json.utf8), path: path)
        } throws: { error in
            guard case .unreadable(path, let reason)? = error as? ControlPlaneError else { return false }
            return reason.contains(field)
        }
    }

    private static func bits(_ number: Int) -> String { Bits128(high: 0, low: UInt64(number)).text }
    private static let shardPath = "shard/" + bits(9)

    /// Its primary is 1, its learner 3.
    private static func shard(isr: [Int] = [1, 2], minimum: Int = 2) -> String {
        let members = isr.map { "\"\(bits($0))\"" }.joined(separator: ",")
        return #"""
            {"shard":"\#(bits(9))","generation":0,"version":0,"epoch":1,"primary":"\#(bits(1))",
            "primary_incarnation":1,"isr":[\#(members)],
            "learners":["\#(bits(3))"],"min_isr":\#(minimum)}
            """#
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
