#!/usr/bin/env bash
# Makes the pictures of the book anew: docs/pictures/make.sh CIFAR, a folder with resnet20.onnx and images.tar (see models/README.md).
# Needs Chromium, and Python with Pillow.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
cifar=${1:?the folder with resnet20.onnx and images.tar}
rnc=$root/target/release/rnc
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT

shot() { # PAGE WIDTH HEIGHT OUT
  chromium --headless --no-sandbox --disable-gpu --hide-scrollbars --window-size="$2,$3" --screenshot="$work/shot.png" "file://$1" 2> /dev/null
  # A palette: pages have few colours.
  python3 -c 'import sys; from PIL import Image; Image.open(sys.argv[1]).convert("RGB").quantize(128).save(sys.argv[2], optimize=True)' "$work/shot.png" "$root/docs/pictures/$4"
}

mkdir "$work/images"
tar -xf "$cifar/images.tar" -C "$work/images"
"$rnc" compile "$cifar/resnet20.onnx" -o "$work/cifar.plan" --preprocess cifar10 --labels cifar10
"$rnc" eval "$work/cifar.plan" "$work/images" --html "$work/eval.html" --worst 0
shot "$work/eval.html" 1180 720 eval.png

python3 "$root/docs/pictures/draw.py" "$work/ship.png"
"$rnc" explain "$work/cifar.plan" "$work/ship.png" -o "$root/docs/pictures/explain.png" --class ship

"$rnc" zoo resnet50 -o "$work/resnet50.onnx"
"$rnc" compile "$work/resnet50.onnx" -o "$work/resnet50.plan"
"$rnc" profile "$work/resnet50.plan" --threads 2 --html "$work/profile.html"
shot "$work/profile.html" 1180 640 profile.png
"$rnc" inspect "$work/resnet50.onnx" --html "$work/report.html"
shot "$work/report.html" 1280 720 report.png
