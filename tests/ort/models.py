"""The models of the comparison: where each is, what its images look like, and what its graph says about its inputs."""
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

import images


@dataclass(frozen=True)
class Entry:
    """A model that the comparison covers."""

    name: str
    path: str  # relative to the models folder
    preprocess: str  # a key of images.PREPROCESS
    weight: float  # work of one image, in ResNet-50s: the quick run leaves out repetitions of heavy models


EXPORTS = {
    "resnet18": 0.5, "resnet50": 1, "resnet50_dyn": 1, "resnet50d": 1.1, "resnetv2_50": 1, "resnext50_32x4d": 1.1,
    "seresnet50": 1, "resnet101": 2, "resnet152": 3, "wide_resnet50_2_dyn": 3,
}

# The onnx package's models with constant weights; the seeded ones are made of them by models/seed_light.py.
LIGHT = {
    "bvlc_alexnet": 0.4, "densenet121": 0.8, "inception_v1": 0.4, "inception_v2": 0.5, "resnet50": 1, "shufflenet": 0.1,
    "squeezenet": 0.1, "vgg19": 5, "zfnet512": 0.7,
}

MODELS = [
    Entry("zoo-resnet18", "zoo/resnet18.onnx", "imagenet", 0.5),
    Entry("zoo-resnet50", "zoo/resnet50.onnx", "imagenet", 1),
    Entry("zoo-resnet152", "zoo/resnet152.onnx", "imagenet", 3),
    Entry("open-nsfw", "open-nsfw.onnx", "nsfw", 0.7),
    *(Entry(f"light-{name}", f"light_{name}.onnx", "imagenet", weight) for name, weight in LIGHT.items()),
    *(Entry(f"light-{name}-seeded", f"light_{name}_seeded.onnx", "imagenet", weight) for name, weight in LIGHT.items()),
    Entry("cifar10-resnet20", "cifar10/resnet20.onnx", "cifar10", 0.01),
    *(Entry(f"export-{name}", f"exports/{name}.onnx", "imagenet", weight) for name, weight in EXPORTS.items()),
]


@dataclass(frozen=True)
class Signature:
    """A model's one input, as its file declares it."""

    name: str
    dims: tuple[int | None, ...]  # None is the open batch

    @property
    def dynamic(self) -> bool:
        """Whether the batch size is open."""
        return self.dims[0] is None

    def shape(self, batch: int) -> tuple[int, ...]:
        """The dimensions at a batch size."""
        if not self.dynamic and self.dims[0] != batch:
            raise ValueError(f"input {self.name} has batch size {self.dims[0]}, not {batch}")
        return (batch, *self.dims[1:])


def signature(path: Path) -> Signature:
    """Reads the input of a model that has one (initializers that are listed as inputs do not count)."""
    graph = onnx.load(path, load_external_data=False).graph
    initialized = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in initialized]
    if len(inputs) != 1:
        raise ValueError(f"{path} has {len(inputs)} inputs, expected 1")
    dims = [d.dim_value if d.WhichOneof("value") == "dim_value" else None for d in inputs[0].type.tensor_type.shape.dim]
    if None in dims[1:]:
        raise ValueError(f"{path}: input {inputs[0].name} has an open dimension behind the batch: {dims}")
    return Signature(inputs[0].name, tuple(dims))


def make_input(entry: Entry, sig: Signature, kind: str, batch: int, archive: images.Cifar10 | None) -> np.ndarray:
    """A batch of inputs: `random` is normal with the scale of the model's preprocessed images, `real` shows photographs."""
    shape = sig.shape(batch)
    if kind == "random":
        scale = images.PREPROCESS[entry.preprocess].scale
        return (np.random.default_rng(batch).standard_normal(shape) * scale).astype(np.float32)
    if archive is None:
        raise ValueError("there are no photographs: the CIFAR-10 archive is missing")
    # One image of each class in turn.
    picked = [archive.pixels[(i * 200 + 7 * i) % len(archive.pixels)] for i in range(batch)]
    return images.PREPROCESS[entry.preprocess].apply(picked)
