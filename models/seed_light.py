#!/usr/bin/env python3
"""Give a light model weights that differ:  seed_light.py light_NAME.onnx light_NAME_seeded.onnx [--seed 0]

The onnx package's light models make nearly every tensor by ConstantOfShape with one value, so all classes come out equal
and a comparison sees little. This replaces those tensors by seeded initializers, keeps the rest of the model as it is (IR
version 3, opset 9; Sum, LRN, Reshape, ... as Caffe2's exporter wrote them), and makes the logits before a last Softmax an
output too.
"""
import argparse
import hashlib

import numpy as np
import onnx
from onnx import numpy_helper

# Variance of a ReLU's result for a normal operand of variance 1, roughly.
AFTER_RELU = 0.35


def values(rng: np.random.Generator, role: str, dims: tuple[int, ...]) -> np.ndarray:
    """Values of a tensor by its role. The rows of a weight are its outputs, behind dimensions of 1."""
    if role == "weight":  # Variance 1/AFTER_RELU/fan_in: a convolution's result has variance 1.
        w = rng.standard_normal(dims).reshape(next(d for d in dims if d > 1), -1)
        w /= np.sqrt(AFTER_RELU * w.shape[1])
        return (w - w.mean(axis=1, keepdims=True)).reshape(dims)
    if role == "branch end scale":  # Smaller, so that the sums of many blocks stay in range.
        return 0.3 * rng.uniform(0.8, 1.2, dims)
    if role in ("scale", "var"):
        return rng.uniform(0.8, 1.2, dims)
    if role in ("bias", "mean"):
        return 0.1 * rng.standard_normal(dims)
    raise ValueError(f"unknown role {role}")


def roles(graph: onnx.GraphProto) -> dict[str, str]:
    """What each operand of a Conv, Gemm or BatchNormalization is for, and of the Mul and Add that scale channels."""
    found, branch_ends = {}, {node.input[0] for node in graph.node if node.op_type == "Sum"}
    for node in reversed(graph.node):
        if node.op_type in ("Conv", "Gemm"):
            found[node.input[1]] = "weight"
            found.update({bias: "bias" for bias in node.input[2:]})
        elif node.op_type == "BatchNormalization":
            scale = "branch end scale" if node.output[0] in branch_ends else "scale"
            found.update(zip(node.input[1:], (scale, "bias", "mean", "var"), strict=True))
        elif node.op_type in ("Mul", "Add"):
            found.update(dict.fromkeys(node.input, "scale" if node.op_type == "Mul" else "bias"))
        elif node.op_type in ("Unsqueeze", "Reshape") and node.output[0] in found:
            found[node.input[0]] = found[node.output[0]]
    return found


def seed(model: onnx.ModelProto, seed: int) -> onnx.ModelProto:
    """Replaces every ConstantOfShape by an initializer."""
    graph, role = model.graph, roles(model.graph)
    shapes = {i.name: tuple(int(d) for d in numpy_helper.to_array(i)) for i in graph.initializer if i.name.endswith("__SHAPE")}
    kept = []
    for node in graph.node:
        if node.op_type != "ConstantOfShape":
            kept.append(node)
            continue
        name, dims = node.output[0], shapes[node.input[0]]
        key = int.from_bytes(hashlib.sha256(f"{seed}:{name}".encode()).digest()[:8], "little")
        rng = np.random.Generator(np.random.PCG64(key))
        data = values(rng, role[name], dims)
        graph.initializer.append(numpy_helper.from_array(data.astype(np.float32), name))
        # IR version 3 wants every initializer to be listed as an input.
        graph.input.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, dims))
    del graph.node[:]
    graph.node.extend(kept)
    for kind in (graph.initializer, graph.input):
        for i in reversed([i for i, item in enumerate(kind) if item.name in shapes]):
            del kind[i]
    last = graph.node[-1]
    if last.op_type == "Softmax":  # Its operand has the shape of its result.
        logits = graph.output.add()
        logits.CopyFrom(graph.output[0])
        logits.name = last.input[0]
    return model


if __name__ == "__main__":
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("light")
    p.add_argument("output")
    p.add_argument("--seed", type=int, default=0)
    a = p.parse_args()
    m = seed(onnx.load(a.light), a.seed)
    onnx.checker.check_model(m)
    onnx.save(m, a.output)
