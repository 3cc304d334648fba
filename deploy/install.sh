#!/usr/bin/env bash
# Installs Facet for systemd: binaries, library and models to /opt/facet, configuration to /etc/facet, data to /var/lib.
# Run it as root, in an unpacked release or after `make build`. Running it again upgrades; configuration is left alone.
#
#   install.sh [ROLE...]   ROLE: embedded (the default), coordinator, shard-node
#
# DESTDIR=DIR puts everything below DIR and makes no user: to look at it, or to make a package of it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
target=${DESTDIR:-}

die() {
    printf 'install: %s\n' "$*" >&2
    exit 1
}

# A release holds bin/, lib/ and models/; a working copy has built them elsewhere.
if [ -x bin/coordinator ]; then
    binaries=bin library=lib/libonnxruntime.so models=models/sface
else
    binaries=.build/release library=.runtime/lib/libonnxruntime.so models=.runtime/models/sface
fi

check_needs() {
    local needed missing
    [ -n "$target" ] || [ "$(id -u)" = 0 ] || die "must run as root"
    for needed in "$binaries"/{coordinator,shard-node,face-extractor,facectl} "$library" "$models/embedder.onnx"; do
        [ -e "$needed" ] || die "$needed is missing; run 'make build' first"
    done
    missing=$(ldd "$binaries"/{coordinator,shard-node,face-extractor,facectl} | awk '/not found/ { print $1 }' | sort -u)
    [ -z "$missing" ] || die "libraries are missing: ${missing//$'\n'/ }; on Debian 12:
  apt-get install liblz4-1 libpng16-16 libsqlite3-0 libstdc++6 libturbojpeg0"
}

# user NAME HOME
user() {
    [ -z "$target" ] || return 0
    getent passwd "$1" >/dev/null || useradd --system --home-dir "$2" --shell /usr/sbin/nologin "$1"
}

install_files() {
    install -d "$target"/opt/facet/{bin,lib,models/sface} "$target/etc/facet" "$target/etc/systemd/system"
    # A running program's file cannot be written, but its name can be given to another file.
    local name
    for name in coordinator shard-node face-extractor facectl; do
        install -m 0755 "$binaries/$name" "$target/opt/facet/bin/$name.new"
        mv "$target/opt/facet/bin/$name.new" "$target/opt/facet/bin/$name"
    done
    install -m 0644 "$library" "$target/opt/facet/lib/libonnxruntime.so.new"
    mv "$target/opt/facet/lib/libonnxruntime.so.new" "$target/opt/facet/lib/libonnxruntime.so"
    install -m 0644 "$models"/* "$target/opt/facet/models/sface/"
}

install_embedded() {
    user facet /var/lib/facet
    if [ ! -e "$target/etc/facet/embedded.yaml" ]; then
        sed -e 's|^data: .*|data: /var/lib/facet|' \
            -e 's|models: .*|models: /opt/facet/models/sface|' \
            -e 's|library: .*|library: /opt/facet/lib/libonnxruntime.so|' \
            cluster-configs/embedded.yaml >"$target/etc/facet/embedded.yaml"
    fi
    install -m 0644 deploy/systemd/facet.service "$target/etc/systemd/system/"
    next+=('facectl keys create --person "YOUR NAME" --role admin --data /var/lib/facet   (as the user facet)'
        'systemctl enable --now facet')
}

# The cluster's file is a start to edit: names, addresses and sizes are yours.
install_member() {
    if [ ! -e "$target/etc/facet/cluster.yaml" ]; then
        install -m 0644 cluster-configs/three-node.yaml "$target/etc/facet/cluster.yaml"
        next+=('edit /etc/facet/cluster.yaml; it must be the same on every machine')
    fi
    install -d "$target/etc/facet/certs"
}

install_coordinator() {
    user facet /var/lib/facet
    install_member
    install -m 0644 deploy/systemd/facet-coordinator@.service "$target/etc/systemd/system/"
    next+=('put the key file at /etc/facet/key: owner facet, mode 0600'
        'put ca.pem, NAME.pem and NAME-key.pem into /etc/facet/certs; the key: owner facet, mode 0600'
        'systemctl enable --now facet-coordinator@NAME')
}

install_shard_node() {
    user facet-node /var/lib/facet-node
    install_member
    install -m 0644 deploy/systemd/facet-shard-node@.service "$target/etc/systemd/system/"
    next+=('put ca.pem, NAME.pem and NAME-key.pem into /etc/facet/certs; the key: owner facet-node, mode 0600'
        'systemctl enable --now facet-shard-node@NAME')
}

[ $# -gt 0 ] || set -- embedded
for role in "$@"; do
    case "$role" in
        embedded | coordinator | shard-node) ;;
        *) die "unknown role '$role'; roles are embedded, coordinator, shard-node" ;;
    esac
done
next=()
check_needs
install_files
for role in "$@"; do "install_${role//-/_}"; done

printf 'Installed for %s. Next, as root:\n  systemctl daemon-reload\n' "$*"
printf '  %s\n' "${next[@]}"
printf 'deploy/README.md has the whole order.\n'
