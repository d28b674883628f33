"""ONNX Runtime as the reference: a model's inputs, its outputs, and how well those outputs are determined at all."""
from pathlib import Path

import numpy as np
import onnxruntime as ort

import images
from models import Entry, make_input, signature

Outputs = dict[str, np.ndarray]


class Reference:
    """One model in ONNX Runtime. Inputs and outputs are computed once for each batch size and kind of input."""

    def __init__(self, entry: Entry, path: Path, archive: images.Cifar10 | None):
        self.entry, self.path, self.archive = entry, path, archive
        self.signature = signature(path)
        self.batches = [1, 3] if self.signature.dynamic else [self.signature.dims[0]]
        self._session = self._open(ort.GraphOptimizationLevel.ORT_ENABLE_ALL)
        self._known: dict[tuple[int, str], tuple[np.ndarray, Outputs]] = {}

    def case(self, batch: int, kind: str) -> tuple[np.ndarray, Outputs]:
        """An input and the outputs that ONNX Runtime gives for it."""
        if (batch, kind) not in self._known:
            x = make_input(self.entry, self.signature, kind, batch, self.archive)
            self._known[batch, kind] = x, self._run(self._session, x)
        return self._known[batch, kind]

    def of_another(self, path: Path, batch: int, kind: str) -> Outputs:
        """What ONNX Runtime gives for a case with another model, which has the same inputs."""
        x, _ = self.case(batch, kind)
        return self._run(self._open(ort.GraphOptimizationLevel.ORT_ENABLE_ALL, path), x)

    def disagreement(self, batch: int, kind: str) -> float:
        """How far ONNX Runtime is from itself when it does not optimise the graph: both are right, their roundings differ."""
        x, expected = self.case(batch, kind)
        other = self._run(self._open(ort.GraphOptimizationLevel.ORT_DISABLE_ALL), x)
        return max(relative_error(other[name], value) for name, value in expected.items())

    def _open(self, level: ort.GraphOptimizationLevel, path: Path | None = None) -> ort.InferenceSession:
        options = ort.SessionOptions()
        options.intra_op_num_threads = 2
        options.graph_optimization_level = level
        options.log_severity_level = 3
        return ort.InferenceSession(path or self.path, options, providers=["CPUExecutionProvider"])

    def _run(self, session: ort.InferenceSession, x: np.ndarray) -> Outputs:
        names = [output.name for output in session.get_outputs()]
        return dict(zip(names, session.run(names, {self.signature.name: x}), strict=True))


def relative_error(found: np.ndarray, expected: np.ndarray) -> float:
    """Largest difference over the expected values' largest magnitude; infinite if shapes differ or a value is no number."""
    if found.shape != expected.shape or found.dtype != expected.dtype:
        return float("inf")
    difference, magnitude = np.abs(found - expected).max(), np.abs(expected).max()
    if not np.isfinite(difference) or not np.isfinite(magnitude):
        return float("inf")
    return float(difference / magnitude) if magnitude else (float("inf") if difference else 0.0)
