#!/usr/bin/env bash
# Makes Sources/ClusterTransport/Generated from Protos/ and writes the digests that TidyTests compare. Run it after every
# change below Protos/ and commit what it writes. Needs protoc; its Swift plugin is built from the swift-protobuf
# release that Package.swift names.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
out=$root/Sources/ClusterTransport/Generated
checkout=$root/.build/checkouts/swift-protobuf

fail() {
    printf 'protos: %s\n' "$*" >&2
    exit 1
}

command -v protoc >/dev/null || fail "protoc is missing; install the package protobuf-compiler"
plugin=${PROTOC_GEN_SWIFT:-}
if [[ -z $plugin ]]; then
    [[ -d $checkout ]] || fail "$checkout is missing; run 'swift package resolve' first"
    swift build -c release --package-path "$checkout" --scratch-path "$root/.build/protoc-gen-swift" \
        --product protoc-gen-swift >&2
    plugin=$root/.build/protoc-gen-swift/release/protoc-gen-swift
fi

mkdir -p "$out"
rm -f "$out"/*.pb.swift
protoc --plugin=protoc-gen-swift="$plugin" --proto_path="$root/Protos" \
    --swift_opt=Visibility=Internal --swift_opt=UseAccessLevelOnImports=true --swift_out="$out" \
    "$root"/Protos/*.proto
# Sources and results, so that a test finds either changed without the other.
(cd "$root" && LC_ALL=C sha256sum -- Protos/*.proto Sources/ClusterTransport/Generated/*.swift) >"$root/Protos/generated.sha256"
