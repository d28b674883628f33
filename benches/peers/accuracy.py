#!/usr/bin/env python3
"""How far rnc and ONNX Runtime are from float64:  benches/peers/work/venv/bin/python benches/peers/accuracy.py MODEL.onnx [SEED...]

Evaluates a classifier in float64 (PyTorch, which `bench.py` installs for ncnn's converter) on normal random inputs, and prints the largest
difference of each relative to the largest magnitude of the result. Knows the operators of the zoo's and torchvision's ResNets.
"""
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
import torch.nn.functional as F
from onnx import numpy_helper

ROOT = Path(__file__).resolve().parent.parent.parent
Values = list[torch.Tensor]


def padded(x: torch.Tensor, attributes: dict, value: float = 0.0) -> torch.Tensor:
    """Pads as ONNX's `pads` says: above, left, below, right."""
    top, left, bottom, right = attributes.get("pads", [0, 0, 0, 0])
    return F.pad(x, (left, right, top, bottom), value=value)


def conv(i: Values, a: dict) -> torch.Tensor:
    """Conv."""
    sizes = {"stride": a.get("strides", [1, 1]), "dilation": a.get("dilations", [1, 1]), "groups": a.get("group", 1)}
    return F.conv2d(padded(i[0], a), i[1], i[2] if len(i) > 2 else None, **sizes)


def gemm(i: Values, a: dict) -> torch.Tensor:
    """Gemm without factors."""
    return F.linear(i[0], i[1] if a.get("transB") else i[1].T, i[2])


OPERATORS: dict[str, Callable[[Values, dict], torch.Tensor]] = {
    "Add": lambda i, a: i[0] + i[1],
    "BatchNormalization": lambda i, a: F.batch_norm(i[0], i[3], i[4], i[1], i[2], eps=a.get("epsilon", 1e-5)),
    "Conv": conv,
    "Flatten": lambda i, a: i[0].flatten(1),
    "Gemm": gemm,
    "GlobalAveragePool": lambda i, a: i[0].mean((2, 3), keepdim=True),
    "Identity": lambda i, a: i[0],
    "MaxPool": lambda i, a: F.max_pool2d(padded(i[0], a, -1e300), a["kernel_shape"], a["strides"]),
    "Relu": lambda i, a: F.relu(i[0]),
    "Reshape": lambda i, a: i[0].reshape([int(n) or i[0].shape[axis] for axis, n in enumerate(i[1])]),
}


def evaluate(model: onnx.ModelProto, x: np.ndarray) -> np.ndarray:
    """The model's first output in float64."""
    # Shapes become floats, too, which hold them exactly.
    values = {t.name: torch.from_numpy(numpy_helper.to_array(t).copy()).double() for t in model.graph.initializer}
    values[model.graph.input[0].name] = torch.from_numpy(x).double()
    for node in model.graph.node:
        attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        if node.op_type not in OPERATORS:
            raise SystemExit(f"{node.name}: {node.op_type} is not known here, only {', '.join(OPERATORS)}")
        values[node.output[0]] = OPERATORS[node.op_type]([values[name] for name in node.input], attributes)
    return values[model.graph.output[0].name].numpy()


def run_rnc(model: Path, x: Path, folder: Path, switches: list[str]) -> np.ndarray:
    """rnc's first output."""
    rnc, plan, out = ROOT / "target" / "release" / "rnc", folder / "model.plan", folder / "out.npz"
    subprocess.run([rnc, "compile", model, "-o", plan, *switches], capture_output=True, check=True)
    subprocess.run([rnc, "run", plan, "--input", x, "--save", out], capture_output=True, check=True)
    return next(iter(np.load(out).values()))


def main() -> None:
    """A line a seed."""
    path, seeds = Path(sys.argv[1]), [int(seed) for seed in sys.argv[2:]] or [1, 2, 3]
    model = onnx.load(path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for seed in seeds:
            x = np.random.default_rng(seed).standard_normal((1, 3, 224, 224)).astype(np.float32)
            np.save(folder / "x.npy", x)
            exact = evaluate(model, x)
            found = {
                "rnc": run_rnc(path, folder / "x.npy", folder, []),
                "rnc --exact": run_rnc(path, folder / "x.npy", folder, ["--exact"]),
                "ONNX Runtime": session.run(None, {session.get_inputs()[0].name: x})[0],
            }
            errors = {name: np.abs(y - exact).max() / np.abs(exact).max() for name, y in found.items()}
            print(f"seed {seed}: " + ", ".join(f"{name} {error:.1e}" for name, error in errors.items()), flush=True)


if __name__ == "__main__":
    main()
