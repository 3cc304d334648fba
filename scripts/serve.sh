#!/usr/bin/env bash
# Starts the embedded server in the background, or stops it.
#
#   serve.sh start [--data DIR] [--port PORT]   waits until it is ready; writes DIR.pid, DIR.log and DIR.env
#   serve.sh stop [--data DIR]                  stops the server of DIR, or every one that was started here
#
# DIR.env (mode 0600) holds the endpoint and an access key made on the first start: `source` it, then use boto3,
# the AWS CLI or facectl.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

coordinator=.build/release/coordinator
facectl=.build/release/facectl
ready_seconds=60

die() {
    printf 'serve: %s\n' "$*" >&2
    exit 1
}

# Whether the pid file names a living coordinator: a number may have been given to another program since.
alive() {
    local pid
    pid=$(cat "$1" 2>/dev/null) || return 1
    [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = coordinator ]
}

make_credentials() {
    local json id secret
    if [ ! -s "$data.env" ]; then
        json=$("$facectl" keys create --person "${SUDO_USER:-${USER:-admin}}" --role admin --data "$data" --json)
        id=$(sed -nE 's/.*"AccessKeyId" *: *"([^"]*)".*/\1/p' <<<"$json")
        secret=$(sed -nE 's/.*"SecretAccessKey" *: *"([^"]*)".*/\1/p' <<<"$json" | sed 's#\\/#/#g')
        [ -n "$id" ] && [ -n "$secret" ] || die "facectl keys create printed no key"
    else
        id=$(sed -nE "s/^export AWS_ACCESS_KEY_ID='(.*)'/\1/p" "$data.env")
        secret=$(sed -nE "s/^export AWS_SECRET_ACCESS_KEY='(.*)'/\1/p" "$data.env")
    fi
    (
        umask 077
        cat >"$data.env" <<ENV
export AWS_ACCESS_KEY_ID='$id'
export AWS_SECRET_ACCESS_KEY='$secret'
export AWS_REGION='us-east-1'
export AWS_DEFAULT_REGION='us-east-1'
export AWS_ENDPOINT_URL_REKOGNITION='http://127.0.0.1:$port'
export FACET_ENDPOINT='http://127.0.0.1:$port'
ENV
    )
}

start() {
    [ -x "$coordinator" ] || die "no release build here; run 'make build'"
    mkdir -p "$(dirname "$data")"
    if alive "$data.pid"; then
        printf 'serve: already running as process %s; its log is %s\n' "$(cat "$data.pid")" "$data.log"
        tell
        return
    fi
    make_credentials
    setsid "$coordinator" --embedded --config cluster-configs/embedded.yaml --data "$data" --port "$port" \
        >"$data.log" 2>&1 </dev/null &
    printf '%d\n' "$!" >"$data.pid"
    wait_until_ready "$!"
    tell
}

wait_until_ready() {
    local pid=$1 deadline=$((SECONDS + ready_seconds))
    until grep -qs 'facet: listening on' "$data.log"; do
        if ! kill -0 "$pid" 2>/dev/null; then
            rm -f "$data.pid"
            tail -n 20 "$data.log" >&2
            die "the server ended; its log is $data.log"
        fi
        [ "$SECONDS" -lt "$deadline" ] || die "not ready after $ready_seconds s; its log is $data.log"
        sleep 0.1
    done
}

tell() {
    cat <<TEXT
Facet answers at $(sed -nE "s/^export FACET_ENDPOINT='(.*)'/\1/p" "$data.env")
  data         $data
  log          $data.log
  credentials  source $data.env
  stop         make stop
TEXT
}

stop_one() {
    local pid_file=$1 pid deadline
    if alive "$pid_file"; then
        pid=$(cat "$pid_file")
        kill "$pid"
        deadline=$((SECONDS + ready_seconds))
        while kill -0 "$pid" 2>/dev/null; do
            [ "$SECONDS" -lt "$deadline" ] || die "process $pid does not end; its log is ${pid_file%.pid}.log"
            sleep 0.1
        done
        printf 'serve: stopped process %s (%s)\n' "$pid" "${pid_file%.pid}"
    fi
    rm -f "$pid_file"
}

stop() {
    local pid_file
    if [ -n "$data" ]; then
        stop_one "$data.pid"
        return
    fi
    for pid_file in .facet/*.pid; do
        [ ! -e "$pid_file" ] || stop_one "$pid_file"
    done
}

command=${1:-}
[ $# = 0 ] || shift
data=
port=8900
while [ $# -gt 0 ]; do
    case "$1" in
        --data) data=${2%/} ;;
        --port) port=$2 ;;
        *) die "unknown option '$1'" ;;
    esac
    shift 2
done
case "$command" in
    start)
        data=${data:-.facet/data}
        start
        ;;
    stop) stop ;;
    *) die "say 'start' or 'stop'" ;;
esac
