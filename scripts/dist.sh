#!/usr/bin/env bash
# Release binaries with the Swift runtime inside, packed with models, configuration, units and licences into
# .build-dist/facet-VERSION-ARCH.tar.gz.
#
#   dist.sh [--folder DIR]   DIR: put it there, unpacked, and pack nothing
#
# FACET_VERSION names the version (default: what git says of HEAD).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

scratch=.build-dist
products=(coordinator shard-node face-extractor facectl)
folder=
case "${1:-}" in
    --folder) folder=$2 ;;
    "") ;;
    *) printf "dist: unknown option '%s'\n" "$1" >&2 && exit 1 ;;
esac

die() {
    printf 'dist: %s\n' "$*" >&2
    exit 1
}

build() {
    local product
    for product in "${products[@]}"; do
        FACET_DIST=1 swift build -c release --static-swift-stdlib --scratch-path "$scratch" --product "$product"
    done
}

# Whose files are found at run time: Debian's packages, and nothing of the toolchain.
debian_packages() {
    local library owners
    ldd "${products[@]/#/$stage/bin/}" | awk '/=> \// { print $3 }' | sort -u | while read -r library; do
        # A file is listed with or without /usr; dpkg-query fails when it does not know one of the names.
        owners=$(dpkg-query --search "$(realpath "$library")" "$library" "/usr$library" 2>/dev/null || true)
        [ -n "$owners" ] || die "$library belongs to no Debian package"
        printf '%s\n' "${owners%%:*}"
    done | sort -u
}

copy_licences() {
    local package file
    cp LICENSE NOTICE "$stage/"
    for package in "$scratch"/checkouts/*/; do
        for file in "$package"LICENSE* "$package"NOTICE*; do
            [ -f "$file" ] || continue
            install -D -m 0644 "$file" "$stage/licences/$(basename "$package")/$(basename "$file")"
        done
    done
    install -D -m 0644 "$(dirname "$(dirname "$(realpath "$(command -v swift)")")")/share/swift/LICENSE.txt" \
        "$stage/licences/swift/LICENSE.txt"
    scripts/deps.sh licences "$stage/licences"
}

assemble() {
    local product
    mkdir -p "$stage"/{bin,lib,models/sface,scripts}
    for product in "${products[@]}"; do
        install -m 0755 "$scratch/release/$product" "$stage/bin/$product"
        strip --strip-debug "$stage/bin/$product"
    done
    install -m 0644 .runtime/lib/libonnxruntime.so "$stage/lib/"
    install -m 0644 .runtime/models/sface/* "$stage/models/sface/"
    cp -R cluster-configs deploy "$stage/"
    cp README.md CHANGELOG.md SECURITY.md "$stage/"
    copy_licences
    debian_packages >"$stage/PACKAGES"
    printf '%s\n' "$version" >"$stage/VERSION"
}

version=${FACET_VERSION:-$(git describe --tags --always --dirty)}
name=facet-$version-$(uname -m)
build
stage=${folder:-$scratch/$name}
rm -rf "$scratch/$name"
[ ! -e "$stage" ] || [ -z "$(ls -A "$stage")" ] || die "$stage is not empty"
assemble
if [ -n "$folder" ]; then
    printf 'dist: %s\n' "$folder"
    exit
fi
time=$(git log -1 --format=%ct 2>/dev/null || date +%s)
tar --create --directory "$scratch" --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$time" "$name" |
    gzip -n9 >"$scratch/$name.tar.gz"
rm -rf "$stage"
printf 'dist: %s (%s)\n' "$scratch/$name.tar.gz" "$(du -h "$scratch/$name.tar.gz" | cut -f1)"
sha256sum "$scratch/$name.tar.gz"
