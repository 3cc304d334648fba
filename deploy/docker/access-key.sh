#!/usr/bin/env bash
# Makes the first access key and prints it, once.
set -euo pipefail
umask 077
config=/opt/facet/deploy/docker/cluster.yaml
[ ! -e /secrets/access-key.made ] || exit 0
facectl keys create --config "$config" --person admin --role admin
touch /secrets/access-key.made
