#!/usr/bin/env bash
# Makes what a cluster of containers needs before it starts, where it is missing: the authority, a certificate for each
# process, the key file. Run once, as root, with the volumes /secrets and /secrets/etcd.
set -euo pipefail
umask 077
certificates=/secrets/certs
facet=10001 etcd=10002

# issue ROLE NAME FOLDER
issue() {
    [ ! -s "$3/$2-key.pem" ] || return 0
    facectl certs issue --out "$certificates" --role "$1" --name "$2" --host "$2" --host localhost
    [ "$3" = "$certificates" ] || mv "$certificates/$2.pem" "$certificates/$2-key.pem" "$3/"
}

[ -s "$certificates/ca.pem" ] || facectl certs init --out "$certificates" --cluster lab
for number in 1 2 3; do issue etcd "etcd-$number" /secrets/etcd; done
for number in 1 2 3 4; do issue shard-node "node-$number" "$certificates"; done
for number in 1 2; do issue coordinator "coordinator-$number" "$certificates"; done
issue operator operator "$certificates"
issue operator etcd-client "$certificates"
[ -s /secrets/key ] || head -c 32 /dev/urandom >/secrets/key
cp "$certificates/ca.pem" /secrets/etcd/

# The authority's own key stays root's.
chown -R "$facet:$facet" /secrets/key "$certificates"
chown root:root "$certificates"/ca-key.pem
chown -R "$etcd:$etcd" /secrets/etcd
chmod 0755 /secrets/etcd
chown "$facet:$facet" /secrets
