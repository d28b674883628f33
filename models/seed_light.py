#!/usr/bin/env python3
"""Give light_resnet50.onnx weights that differ:  seed_light.py light_resnet50.onnx light_resnet50_seeded.onnx [--seed 0]

The onnx package's light_resnet50.onnx makes nearly every tensor by ConstantOfShape with the one value 0.02, so all its
classes come out equal and a comparison sees little. This replaces those tensors by seeded initializers, keeps the rest of
the model as it is (IR version 3, opset 9, Sum, AveragePool, Reshape), and makes the logits before the Softmax an output too.
"""
import argparse
import hashlib

import numpy as np
import onnx
from onnx import numpy_helper

# Variance of a ReLU's result for a normal operand of variance 1, roughly.
AFTER_RELU = 0.35


def values(rng: np.random.Generator, role: str, dims: tuple[int, ...], fan_in: int) -> np.ndarray:
    """Values of a tensor by its role; `fan_in` is that of the convolution before a batch normalisation."""
    if role == "weight":  # Variance 1/AFTER_RELU/fan_in: a convolution's result has variance 1.
        w = rng.standard_normal(dims) / np.sqrt(AFTER_RELU * fan_in)
        return w - w.mean(axis=tuple(range(1, len(dims))), keepdims=True)
    if role == "branch end scale":  # Smaller, so that the sums of many blocks stay in range.
        return 0.3 * rng.uniform(0.8, 1.2, dims)
    if role in ("scale", "var"):
        return rng.uniform(0.8, 1.2, dims)
    if role in ("bias", "mean"):
        return 0.1 * rng.standard_normal(dims)
    raise ValueError(f"unknown role {role}")


def roles(graph: onnx.GraphProto) -> dict[str, str]:
    """What each operand of a Conv, Gemm or BatchNormalization is for."""
    found = {}
    for node in graph.node:
        if node.op_type in ("Conv", "Gemm"):
            found[node.input[1]] = "weight"
            found.update({bias: "bias" for bias in node.input[2:]})
        elif node.op_type == "BatchNormalization":
            scale = "branch end scale" if "branch2c" in node.input[1] else "scale"
            found.update(zip(node.input[1:], (scale, "bias", "mean", "var"), strict=True))
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
        data = values(rng, role[name], dims, int(np.prod(dims[1:])))
        graph.initializer.append(numpy_helper.from_array(data.astype(np.float32), name))
        # IR version 3 wants every initializer to be listed as an input.
        graph.input.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, dims))
    del graph.node[:]
    graph.node.extend(kept)
    for kind in (graph.initializer, graph.input):
        for i in reversed([i for i, item in enumerate(kind) if item.name in shapes]):
            del kind[i]
    softmax = graph.node[-1]
    assert softmax.op_type == "Softmax", softmax.op_type
    graph.output.append(onnx.helper.make_tensor_value_info(softmax.input[0], onnx.TensorProto.FLOAT, (1, 1000)))
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
