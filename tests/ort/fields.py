"""Whether ONNX Runtime agrees on every model that differs in one field from a small one:  tests/ort/fields.py FOLDER

FOLDER is what `cargo run --release -p rnc-tests --example changed_models -- FOLDER` wrote: those that rnc takes, with inputs and its outputs. A
model that ONNX Runtime refuses is counted; where both compute, every output must be within 1e-4 of its largest magnitude. Prints what differs;
exit code 1 if anything does.
"""

import sys
from pathlib import Path

import numpy as np
import onnxruntime as ort

TOLERANCE = 1e-4


def outputs(model: Path, inputs: dict) -> list | None:
    """ONNX Runtime's, or None if it refuses the model."""
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    try:
        session = ort.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
        return session.run(None, inputs)
    except Exception:  # noqa: BLE001 - its errors have no common class
        return None


def difference(found: np.ndarray, expected: np.ndarray) -> float:
    """Relative to the largest magnitude; infinite if shapes or what is not finite differ. Where both have NaNs they may spread differently: ONNX
    Runtime's maximum of NaNs alone is the smallest number, rnc's is NaN."""
    if found.shape != expected.shape:
        return np.inf
    numbers = np.full(found.shape, fill_value=True)
    if np.isnan(expected).any():
        numbers = ~(np.isnan(found) | np.isnan(expected))
    found, expected = found[numbers], expected[numbers]
    finite = np.isfinite(expected)
    if (np.isfinite(found) != finite).any():
        return np.inf
    found, expected = found[finite], expected[finite]
    return np.abs(found - expected).max(initial=0.0) / np.abs(expected).max(initial=1.0)


def main() -> int:
    models = sorted(Path(sys.argv[1]).glob("*.onnx"))
    refused, wrong = 0, 0
    for model in models:
        inputs = dict(np.load(model.with_suffix(".in.npz")))
        mine = list(np.load(model.with_suffix(".out.npz")).values())
        theirs = outputs(model, inputs)
        if theirs is None:
            refused += 1
            continue
        worst = max((difference(a, b) for a, b in zip(mine, theirs, strict=True)), default=0.0)
        if not worst <= TOLERANCE:
            wrong += 1
            print(f"{model}: {worst:.1e}")
    print(f"{len(models)} models: {len(models) - refused - wrong} agree, {refused} are refused by ONNX Runtime, {wrong} differ")
    return 1 if wrong or not models else 0


if __name__ == "__main__":
    sys.exit(main())
