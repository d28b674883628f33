#!/usr/bin/env python3
"""Compare rnc with ONNX Runtime on whole models:  tests/ort/compare.py [--quick] [--models DIR] [--only NAME...]

Each model is compiled once; its plan runs on random inputs and on photographs, for each instruction set of this machine,
1 and 2 threads, batch 1 and (where the model leaves it open) 3. Every output must be within 1e-4 of its largest
magnitude of ONNX Runtime's. The model that `rnc opt` writes must pass ONNX's checker, and ONNX Runtime must give within 1e-5 the same
for it as for the original. The trained CIFAR-10 network is also run on all 2,000 images: top-1 and top-5 counts must be
ONNX Runtime's.

Prints a table; exit code 1 if anything failed. --quick covers every model with fewer combinations. The models come from
models/fetch.sh, the packages from tests/ort/requirements.txt. Why 1e-4, and what --allow-ill-conditioned is for:
tests/ort/README.md.
"""
import argparse
import json
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx

import images
from models import MODELS
from reference import Outputs, Reference, relative_error
from rnc_cli import ROOT, Rnc, RncError

TOLERANCE = 1e-4
# Between a model and what `rnc opt` made of it, both in ONNX Runtime.
REWRITTEN_TOLERANCE = 1e-5
# With --allow-ill-conditioned, an error may be this many times ONNX Runtime's disagreement with itself.
ILL_CONDITIONED_FACTOR = 4
CIFAR_TOP1, CIFAR_TOP5 = 1627, 1975  # ONNX Runtime 1.32 on the 2,000 images
CIFAR_BATCH = 250


@dataclass
class Row:
    """The result of one model."""

    model: str
    runs: int = 0
    worst: float = 0.0  # largest error, relative to the output's largest magnitude
    bits: set[str] = field(default_factory=set)  # inputs whose outputs' bits depend on instruction set or threads
    notes: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def fail(self, what: str) -> None:
        """Records a failure and shows it at once."""
        self.failures.append(what)
        print(f"FAIL {self.model}: {what}", file=sys.stderr)

    def check(self, found: Outputs, expected: Outputs, where: str, tolerance: float = TOLERANCE, hint: str = "") -> None:
        """Holds one run's outputs against the expected ones."""
        self.runs += 1
        if found.keys() != expected.keys():
            self.fail(f"{where}: outputs {sorted(found)}, expected {sorted(expected)}")
            return
        for name, value in expected.items():
            error = relative_error(found[name], value)
            self.worst = max(self.worst, error)
            if not error <= tolerance:
                got, want = (f"{a.dtype}{list(a.shape)}" for a in (found[name], value))
                shapes = "" if got == want else f": {got}, expected {want}"
                self.fail(f"{where}: output {name} is off by {error:.3g}, allowed {tolerance:.3g}{shapes}{hint}")


class Comparison:
    """What is the same for all models: the binary, the instruction sets, the images, the options."""

    def __init__(self, args: argparse.Namespace):
        self.rnc, self.quick, self.lenient = Rnc(args.rnc), args.quick, args.allow_ill_conditioned
        supported = self.rnc.isas()
        if unknown := set(args.isa or ()) - set(supported):
            raise RncError(f"this machine has {', '.join(supported)}, not {', '.join(sorted(unknown))}")
        self.isas = [isa for isa in supported if not args.isa or isa in args.isa]
        self.tar = args.models / "cifar10/images.tar"
        self.archive = images.load_cifar10(self.tar) if self.tar.is_file() else None

    def model(self, reference: Reference) -> Row:
        """All runs of one model."""
        row, start = Row(reference.entry.name), time.monotonic()
        try:
            self._rewritten(row, reference)
            plan = self.rnc.compile(reference.path)
            self._grid(row, plan, reference)
            if (data_set := reference.path.with_name(f"{reference.path.stem}_output_0.pb")).is_file():
                self._data_set(row, plan, reference, data_set)
            if row.model == "cifar10-resnet20":
                self._cifar(row, plan, reference)
        except RncError as error:
            row.fail(str(error))
        row.seconds = time.monotonic() - start
        return row

    def _rewritten(self, row: Row, reference: Reference) -> None:
        """What the passes made of the model, written as ONNX, is valid and means the same."""
        path = self.rnc.optimize(reference.path)
        try:
            onnx.checker.check_model(path, full_check=True)
        except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
            row.fail(f"rnc opt wrote an invalid model: {error}")
            return
        batch, kind = reference.batches[0], "real"
        found, (_, expected) = reference.of_another(path, batch, kind), reference.case(batch, kind)
        tolerance, hint = REWRITTEN_TOLERANCE, ""
        if any(relative_error(found[name], value) > tolerance for name, value in expected.items() if name in found):
            # As far as ONNX Runtime's own optimisations move the result, if that is further.
            tolerance = max(tolerance, ILL_CONDITIONED_FACTOR * reference.disagreement(batch, kind))
            hint = " (between the model and what rnc opt made of it)"
        row.check(found, expected, "rewritten by rnc opt", tolerance, hint)

    def _grid(self, row: Row, plan: Path, reference: Reference) -> None:
        """Instruction sets, threads, batch sizes and kinds of input."""
        first: dict[tuple[int, str], Outputs] = {}
        heavy = reference.entry.weight >= 2
        for isa, threads, batch, kind in combinations(self.isas, reference.batches, self.quick, heavy):
            x, expected = reference.case(batch, kind)
            found = self.rnc.run(plan, reference.signature.name, x, isa, threads)
            where = f"{isa}, {threads} threads, batch {batch}, {kind}"
            if found.keys() == expected.keys() and any(relative_error(found[n], expected[n]) > TOLERANCE for n in found):
                tolerance, hint = self._tolerance(row, reference, batch, kind)
                row.check(found, expected, where, tolerance, hint)
            else:
                row.check(found, expected, where)
            if not same_bits(first.setdefault((batch, kind), found), found):
                row.bits.add(f"{kind}×{batch}")

    def _tolerance(self, row: Row, reference: Reference, batch: int, kind: str) -> tuple[float, str]:
        """The tolerance of an input on which rnc is off by more than the usual one, and a hint for the failure's text."""
        own = reference.disagreement(batch, kind)
        allowed = ILL_CONDITIONED_FACTOR * own
        if allowed <= TOLERANCE:
            return TOLERANCE, ""
        known = f"ONNX Runtime with and without optimisations differs by {own:.2g} from itself on {kind}×{batch}"
        if not self.lenient:
            return TOLERANCE, f" ({known}: the model is ill-conditioned, see --allow-ill-conditioned)"
        if (note := f"{known}: allowed {allowed:.2g}") not in row.notes:
            row.notes.append(note)
        return allowed, ""

    def _data_set(self, row: Row, plan: Path, reference: Reference, data_set: Path) -> None:
        """The onnx package's own reference output for a light model, on the input that its test runner makes."""
        shape = reference.signature.shape(1)
        elements = int(np.prod(shape))
        x = (np.arange(elements).reshape(shape) / elements).astype(np.float32)
        expected = onnx.numpy_helper.to_array(onnx.load_tensor(data_set))
        found = self.rnc.run(plan, reference.signature.name, x, self.isas[-1], 2)
        row.check(found, dict.fromkeys(found, expected), "the onnx package's data set")

    def _cifar(self, row: Row, plan: Path, reference: Reference) -> None:
        """All 2,000 images: the same logits and the same numbers of right answers as ONNX Runtime."""
        x, expected = images.cifar10(self.archive.pixels), np.load(reference.path.parent / "logits.npy")
        for isa in self.isas[-1:] if self.quick else self.isas:
            batches = [x[i : i + CIFAR_BATCH] for i in range(0, len(x), CIFAR_BATCH)]
            parts = [self.rnc.run(plan, reference.signature.name, batch, isa, 2) for batch in batches]
            if any(part.keys() != {"logits"} for part in parts):
                row.fail(f"{isa}: outputs {sorted(parts[0])}, expected logits")
                continue
            found = np.concatenate([part["logits"] for part in parts])
            row.check({"logits": found}, {"logits": expected}, f"{isa}, {len(x)} images")
            top1, top5 = right_answers(found, self.archive.labels)
            row.notes.append(f"{isa}: top-1 {top1}, top-5 {top5} of {len(x)}")
            if (top1, top5) != (CIFAR_TOP1, CIFAR_TOP5):
                row.fail(f"{isa}: {top1} images right (top-1) and {top5} (top-5), expected {CIFAR_TOP1} and {CIFAR_TOP5}")
        self._cifar_files(row, plan)

    def _cifar_files(self, row: Row, plan: Path) -> None:
        """The same from the image files, by `rnc eval`: decoding and preprocessing are in it."""
        with tempfile.TemporaryDirectory() as folder:
            with tarfile.open(self.tar) as tar:
                tar.extractall(folder, filter="data")
            options = ["--preprocess", "cifar10", "--labels", "cifar10", "--json"]
            report = json.loads(self.rnc.call("eval", plan, folder, *options))
        found = report["top1"], report["top5"]
        if found != (CIFAR_TOP1, CIFAR_TOP5):
            row.fail(f"rnc eval: {found[0]} images right (top-1) and {found[1]} (top-5), expected {CIFAR_TOP1} and {CIFAR_TOP5}")


def combinations(isas: list[str], batches: list[int], quick: bool, heavy: bool) -> Iterator[tuple[str, int, int, str]]:
    """What is run: (instruction set, threads, batch, kind of input).

    Quick: one thread sees random inputs at the first batch size, two see photographs at the last; heavy models run on the best
    instruction set only.
    """
    for batch in batches:
        for kind in ("random", "real"):
            for isa in isas:
                for threads in (1, 2):
                    expected = ("random", batches[0]) if threads == 1 else ("real", batches[-1])
                    if quick and ((kind, batch) != expected or (heavy and isa != isas[-1])):
                        continue
                    yield isa, threads, batch, kind


def same_bits(a: Outputs, b: Outputs) -> bool:
    """Whether two runs gave the same bits."""
    return a.keys() == b.keys() and all(a[name].tobytes() == b[name].tobytes() for name in a)


def right_answers(logits: np.ndarray, labels: np.ndarray) -> tuple[int, int]:
    """How many images have their label first, and among the first five."""
    order = np.argsort(-logits, axis=1, kind="stable")
    return int((order[:, 0] == labels).sum()), int((order[:, :5] == labels[:, None]).any(axis=1).sum())


def print_table(rows: list[Row]) -> None:
    """One line a model. `bits`: whether the outputs are the same to the bit on all instruction sets and thread counts."""
    width = max(len(row.model) for row in rows)
    print(f"{'model':<{width}}  result  runs  worst error  bits    seconds")
    for row in rows:
        result, bits = "FAIL" if row.failures else "ok", "differ" if row.bits else "same"
        print(f"{row.model:<{width}}  {result:<6}  {row.runs:>4}  {row.worst:>11.2e}  {bits:<6}  {row.seconds:>7.1f}")
        for note in row.notes:
            print(f"{'':<{width}}  {note}")


def arguments() -> argparse.Namespace:
    """The command line."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--quick", action="store_true", help="fewer combinations of each model")
    p.add_argument("--models", type=Path, default=ROOT / "models/downloaded", help="folder that models/fetch.sh filled")
    p.add_argument("--rnc", type=Path, default=ROOT / "target/release/rnc", help="the binary")
    p.add_argument("--isa", action="append", help="only this instruction set (may be repeated)")
    p.add_argument("--only", nargs="+", choices=[m.name for m in MODELS], help="only these models")
    p.add_argument("--skip-missing", action="store_true", help="leave out models whose files are not there")
    p.add_argument("--same-bits", action="store_true", help="also fail when bits depend on instruction set or threads")
    p.add_argument(
        "--allow-ill-conditioned",
        action="store_true",
        help=f"where ONNX Runtime is far from itself, allow {ILL_CONDITIONED_FACTOR} times that distance; the table says where",
    )
    return p.parse_args()


def main() -> int:
    """Compares the models that were asked for."""
    args = arguments()
    try:
        comparison = Comparison(args)
    except RncError as error:
        print(f"compare.py: {error}", file=sys.stderr)
        return 1
    rows, skipped = [], 0
    for entry in MODELS:
        needed = [args.models / entry.path, args.models / "cifar10/images.tar"]
        missing = [path for path in needed if not path.is_file()]
        if args.only and entry.name not in args.only:
            continue
        if not missing:
            rows.append(comparison.model(Reference(entry, needed[0], comparison.archive)))
            if args.same_bits and rows[-1].bits:
                rows[-1].fail(f"bits depend on instruction set or threads for {', '.join(sorted(rows[-1].bits))}")
        elif args.skip_missing:
            skipped += 1
        else:
            rows.append(Row(entry.name))
            rows[-1].fail(f"{missing[0]} is not there; run models/fetch.sh")
    if not rows:
        print("compare.py: no model was there to compare; run models/fetch.sh", file=sys.stderr)
        return 1
    print_table(rows)
    failed = sum(bool(row.failures) for row in rows)
    print(f"{len(rows) - failed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
