"""Photographs and what each kind of model wants done to them."""
import io
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

import numpy as np
from PIL import Image

IMAGENET_MEAN = np.array([0.485, 0.456, 0.406], np.float32)
IMAGENET_STD = np.array([0.229, 0.224, 0.225], np.float32)


@dataclass(frozen=True)
class Cifar10:
    """The 2,000 test images: classes in alphabetical order, file names sorted within a class."""

    classes: list[str]
    labels: np.ndarray  # class index, [2000]
    pixels: np.ndarray  # RGB bytes, [2000, 32, 32, 3]


def load_cifar10(archive: Path) -> Cifar10:
    """Decodes the archive of `<class>/<number>.jpg`."""
    with tarfile.open(archive) as tar:
        files = {tuple(Path(m.name).parts[-2:]): tar.extractfile(m).read() for m in tar if m.isfile()}
    classes = sorted({label for label, _ in files})
    names = sorted(files)
    pixels = np.stack([np.asarray(Image.open(io.BytesIO(files[name])).convert("RGB")) for name in names])
    return Cifar10(classes, np.array([classes.index(label) for label, _ in names]), pixels)


def _normalise(pixels: np.ndarray) -> np.ndarray:
    x = (pixels.astype(np.float32) / np.float32(255) - IMAGENET_MEAN) / IMAGENET_STD
    return np.ascontiguousarray(x.transpose(0, 3, 1, 2))


def _upscale(pictures: list[np.ndarray]) -> np.ndarray:
    return np.stack([np.asarray(Image.fromarray(p).resize((224, 224), Image.Resampling.BICUBIC)) for p in pictures])


def cifar10(pictures: list[np.ndarray] | np.ndarray) -> np.ndarray:
    """32×32 RGB bytes to NCHW, normalised."""
    return _normalise(np.asarray(pictures))


def imagenet(pictures: list[np.ndarray]) -> np.ndarray:
    """RGB bytes of any size to NCHW of 224×224, normalised."""
    return _normalise(_upscale(pictures))


def nsfw(pictures: list[np.ndarray]) -> np.ndarray:
    """RGB bytes of any size to NHWC of 224×224, BGR less Caffe's mean."""
    return np.ascontiguousarray(_upscale(pictures)[..., ::-1].astype(np.float32) - np.array([104, 117, 123], np.float32))


@dataclass(frozen=True)
class Preprocess:
    """What a kind of model wants."""

    apply: Callable[[list[np.ndarray]], np.ndarray]
    scale: float  # standard deviation of the values that come out, roughly


PREPROCESS = {
    "cifar10": Preprocess(cifar10, 1.0),
    "imagenet": Preprocess(imagenet, 1.0),
    "nsfw": Preprocess(nsfw, 60.0),
}
