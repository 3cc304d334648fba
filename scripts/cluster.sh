#!/usr/bin/env bash
# A cluster on this machine: cluster.sh start|stop|status [--config FILE] [--data DIR]. scripts/cluster.py does it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
[ -x .runtime/venv/bin/python ] || {
    [ "${1:-}" != stop ] || exit 0 # Nothing can have been started here.
    echo "cluster: .runtime/venv is missing; run 'make deps'" >&2
    exit 1
}
exec .runtime/venv/bin/python scripts/cluster.py "$@"
