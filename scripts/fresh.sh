#!/usr/bin/env bash
# `make fresh`: what a newcomer lives through. A minimal Debian in a scratch folder, the Swift toolchain and this
# machine's package configuration bound in, a clean clone of HEAD, `make demo` twice. The log stays in FRESH_DIR.
#
#   FRESH_DIR        scratch folder, not tracked (default .build-fresh)
#   FRESH_TOOLCHAIN  an unpacked Swift toolchain (default: the one that `swift` comes from)
#   FRESH_PORT       port of the rehearsal's server (default 8950)
#   FRESH_COMMAND    what to run in the clone instead of `make demo` twice
#
# Everything is mounted in a mount namespace of its own: however this script ends, no mount outlives it, and nothing
# outside the scratch folder can be removed through one.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
scratch=$(realpath -m "${FRESH_DIR:-$root/.build-fresh}")
system=$scratch/system
log=$scratch/fresh.log
release=bookworm

die() {
    printf 'fresh: %s\n' "$*" >&2
    exit 1
}

step() {
    printf '\n== fresh: %s (%d s)\n' "$*" "$SECONDS"
}

check_needs() {
    [ "$(id -u)" = 0 ] || die "a minimal system can only be made by root; run it with sudo"
    for command in debootstrap unshare swift git apt-get; do
        command -v "$command" >/dev/null || die "'$command' is missing (apt-get install debootstrap util-linux git)"
    done
    git -C "$root" rev-parse --verify --quiet HEAD >/dev/null || die "there is no commit to clone yet"
    [ -z "$(git -C "$root" status --porcelain)" ] || echo "fresh: the clone is of HEAD; changes not committed are not in it"
}

# The toolchain's folder, which holds usr/bin/swift. One that is the system's own /usr cannot be bound into another
# system without bringing everything else along.
toolchain() {
    local found
    found=${FRESH_TOOLCHAIN:-$(realpath "$(command -v swift)")}
    [ -d "$found" ] || found=${found%/usr/bin/*}
    [ -x "$found/usr/bin/swift" ] || die "no toolchain at '$found'; FRESH_TOOLCHAIN names one that was unpacked"
    case "$found" in
        "" | / | /usr) die "Swift stands in /usr here; unpack a toolchain elsewhere and name it with FRESH_TOOLCHAIN" ;;
    esac
    printf '%s\n' "$found"
}

# The address of this machine's own mirror for the release; another Debian's mirror serves it as well.
mirror() {
    local targets
    targets=$(apt-get indextargets --format '$(CODENAME) $(COMPONENT) $(REPO_URI)' 'Created-By: Packages')
    awk -v release="$release" '$2 == "main" && $1 == release { print $3; found = 1; exit }
        $2 == "main" && $1 !~ /-/ && other == "" { other = $3 }
        END { if (!found && other != "") print other }' <<<"$targets"
}

# Binds a path of this machine at the same place, read only.
bind() {
    local path=$1
    [ -e "$path" ] || return 0
    if [ -d "$path" ]; then
        mkdir -p "$system$path"
    else
        mkdir -p "$system$(dirname "$path")"
        touch "$system$path"
    fi
    mount --bind "$path" "$system$path"
    mount -o remount,bind,ro "$system$path"
}

make_system() {
    local from
    from=$(mirror)
    [ -n "$from" ] || die "apt names no Debian mirror (apt-get indextargets)"
    rm -rf --one-file-system "$system"
    mkdir -p "$system"
    debootstrap --variant=minbase --include=ca-certificates "$release" "$system" "$from" >"$scratch/debootstrap.log" ||
        die "debootstrap failed; see $scratch/debootstrap.log"
    apt-get indextargets --format '$(CODENAME) $(COMPONENT) $(REPO_URI)' 'Created-By: Packages' |
        awk -v release="$release" '$1 ~ "^" release "(-updates|-security)?$" { print "deb", $3, $1, $2 }' |
        sort -u >"$scratch/sources.list"
    [ ! -s "$scratch/sources.list" ] || cp "$scratch/sources.list" "$system/etc/apt/sources.list"
    apt-config dump Acquire | grep -E '^Acquire::(http|https|ftp)::' >"$system/etc/apt/apt.conf.d/90proxy" || true
}

mount_kernel() {
    mount -t proc proc "$system/proc"
    mount --bind /dev "$system/dev"
    mkdir -p "$system/dev/pts" "$system/dev/shm"
    mount -t devpts devpts "$system/dev/pts" 2>/dev/null || true
    mount -t tmpfs tmpfs "$system/dev/shm"
    cp -L /etc/resolv.conf /etc/hosts "$system/etc/"
}

# How this machine reaches its packages: certificates, pip, git and the local folders they name.
carry_configuration() {
    local file path
    if compgen -G '/usr/local/share/ca-certificates/*.crt' >/dev/null; then
        cp /usr/local/share/ca-certificates/*.crt "$system/usr/local/share/ca-certificates/"
        chroot "$system" update-ca-certificates >/dev/null 2>&1
    fi
    for file in /etc/gitconfig /etc/gitignore /etc/pip.conf; do
        [ ! -f "$file" ] || cp "$file" "$system$file"
    done
    for file in "$HOME/.config/pip/pip.conf" "$HOME/.pip/pip.conf"; do
        [ ! -f "$file" ] || install -D "$file" "$system/srv/${file#"$HOME"/}"
    done
    { git config --global --get-regexp '^url\..*\.insteadof$' || true; } | while read -r key value; do
        git config --file "$system/srv/.gitconfig" --add "$key" "$value"
    done
    for path in $(local_package_folders); do
        bind "$path"
    done
}

local_package_folders() {
    { git config --get-regexp '^url\..*\.insteadof$' || true; } | sed -nE 's#^url\.(file://)?(/[^ ]*[^/ ])/?\.insteadof .*#\2#p' | sort -u
    { cat /etc/pip.conf "$HOME/.config/pip/pip.conf" "$HOME/.pip/pip.conf" 2>/dev/null || true; env; } |
        sed -nE 's/^(PIP_FIND_LINKS|find-links) *= *//p' | tr ' ' '\n' | grep '^/' | sort -u || true
}

# Runs a command in the minimal system with nothing of this shell's environment but where packages come from.
inside() {
    local keep=() name
    while IFS='=' read -r name _; do
        case "$name" in
            PIP_* | http_proxy | https_proxy | no_proxy | HTTP_PROXY | HTTPS_PROXY | NO_PROXY) keep+=("$name=${!name}") ;;
            SSL_CERT_FILE | SSL_CERT_DIR | GIT_SSL_CAINFO | CURL_CA_BUNDLE | REQUESTS_CA_BUNDLE) keep+=("$name=${!name}") ;;
        esac
    done < <(env)
    chroot "$system" /usr/bin/env -i HOME=/srv LANG=C.UTF-8 TERM="${TERM:-dumb}" \
        PATH="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:$toolchain/usr/bin" \
        DEBIAN_FRONTEND=noninteractive "${keep[@]}" "$@"
}

rehearse() {
    local first second
    git clone --quiet --no-hardlinks "$root" "$system/srv/facet"
    if [ -n "${FRESH_COMMAND:-}" ]; then
        inside bash -c "cd /srv/facet && $FRESH_COMMAND"
        return
    fi
    step "make demo, the first time"
    first=$SECONDS
    inside make -C /srv/facet demo PORT="${FRESH_PORT:-8950}"
    first=$((SECONDS - first))
    step "make demo, the second time"
    second=$SECONDS
    inside make -C /srv/facet demo PORT="${FRESH_PORT:-8950}"
    second=$((SECONDS - second))
    inside make -C /srv/facet stop
    printf '\nfresh: first make demo %d s (limit 1200), second %d s (limit 30)\n' "$first" "$second"
    [ "$first" -le 1200 ] && [ "$second" -le 30 ] || die "slower than promised"
}

run() {
    toolchain=$(toolchain)
    step "a minimal $release in $system"
    make_system
    mount_kernel
    carry_configuration
    bind "$toolchain"
    step "make and git"
    inside apt-get update -qq
    inside apt-get install -y -qq --no-install-recommends make git >"$scratch/apt.log" 2>&1 || die "see $scratch/apt.log"
    rehearse
    step "done; the log is $log"
}

if [ "${1:-}" != --inside ]; then
    check_needs
    mkdir -p "$scratch"
    exec unshare --mount --propagation private --pid --fork --kill-child \
        bash -c 'set -o pipefail; "$0" --inside 2>&1 | tee "$1"' "${BASH_SOURCE[0]}" "$log"
fi
run
