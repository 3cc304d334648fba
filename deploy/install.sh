#!/usr/bin/env bash
# Installs a built Facet as a systemd service: binaries and models to /opt/facet, configuration to /etc/facet, data to
# /var/lib/facet. Run `make build` first, then this as root. Running it again upgrades; configuration is left alone.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

die() { printf 'install: %s\n' "$*" >&2; exit 1; }

[ "$(id -u)" = 0 ] || die "must run as root"
for built in .build/release/coordinator .runtime/lib/libonnxruntime.so .runtime/models/sface/manifest.json; do
    [ -e "$built" ] || die "$built is missing; run 'make build' first"
done

getent passwd facet >/dev/null || useradd --system --home-dir /var/lib/facet --shell /usr/sbin/nologin facet
install -d /opt/facet/bin /opt/facet/lib /opt/facet/models/sface /etc/facet
install -m 0755 .build/release/coordinator .build/release/face-extractor .build/release/facectl /opt/facet/bin/
install -m 0644 .runtime/lib/libonnxruntime.so /opt/facet/lib/
install -m 0644 .runtime/models/sface/* /opt/facet/models/sface/
if [ ! -e /etc/facet/embedded.yaml ]; then
    sed -e 's|^data: .*|data: /var/lib/facet|' \
        -e 's|models: .*|models: /opt/facet/models/sface|' \
        -e 's|library: .*|library: /opt/facet/lib/libonnxruntime.so|' \
        cluster-configs/embedded.yaml >/etc/facet/embedded.yaml
fi
install -m 0644 deploy/systemd/facet.service /etc/systemd/system/facet.service

cat <<'TEXT'
Installed. Next, as root:
  systemctl daemon-reload
  sudo -u facet /opt/facet/bin/facectl keys create --person "YOUR NAME" --role admin --data /var/lib/facet
  systemctl enable --now facet
The Swift runtime libraries must be where the binaries were built to find them (see deploy/README.md).
TEXT
