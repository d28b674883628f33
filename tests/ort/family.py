#!/usr/bin/env python3
"""Every member of the family against ONNX Runtime:  tests/ort/family.py [--quick] [--only NAME...] [--markdown FILE]

Each model of `rnc zoo --list` is built with seeded weights, compiled and run: on every instruction set of this machine, with 1 and 2 threads,
batches of 1 and 3, on images that are not square. Every output must be within 1e-4 of its largest magnitude of ONNX Runtime's, and of one
model all runs of a batch must give the same bits. --quick takes small images and leaves out what only is deeper or wider than another.
--markdown writes the table of docs/family.md. Exit code 1 if anything failed.
"""
import argparse
import sys
import time
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort

from reference import relative_error
from rnc_cli import ROOT, Rnc, RncError

TOLERANCE = 1e-4
BATCHES = (1, 3)
# Height and width: not square, not a multiple of the strides.
SIZE, QUICK_SIZE, CIFAR_SIZE = (224, 197), (97, 72), (32, 32)
# Deeper or wider than another member, and otherwise the same.
LARGER = ("34", "101", "152", "32_cifar", "44_cifar", "56_cifar", "110_cifar")


def is_larger(name: str) -> bool:
    return any(part in name for part in LARGER)


def check(rnc: Rnc, name: str, quick: bool) -> dict:
    """Builds, compiles and runs one model; returns its row."""
    height, width = CIFAR_SIZE if "cifar" in name else QUICK_SIZE if quick else SIZE
    model = rnc.folder / f"{name}.onnx"
    rnc.call("zoo", name, "-o", model, "--size", f"{height}x{width}")
    onnx.checker.check_model(model, full_check=True)
    options = ort.SessionOptions()
    options.intra_op_num_threads = 2
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    plan = rnc.compile(model)
    worst, runs, problems = 0.0, 0, []
    for batch in BATCHES:
        x = np.random.default_rng(batch).standard_normal((batch, 3, height, width)).astype(np.float32)
        expected = dict(zip(names, session.run(names, {"input": x}), strict=True))
        first = None
        for isa in rnc.isas():
            for threads in (1, 2):
                found = rnc.run(plan, "input", x, isa, threads)
                runs += 1
                first = first or found
                if any(found[name].tobytes() != first[name].tobytes() for name in names):
                    problems.append(f"other bits with {isa}, {threads} threads, batch {batch}")
                worst = max(worst, *(relative_error(found[name], expected[name]) for name in names))
    if worst > TOLERANCE:
        problems.append(f"off by {worst:.1e}")
    steps = rnc.ask("inspect", plan, "--json")["plan"]
    parameters = sum(int(np.prod(t.dims)) for t in onnx.load(model).graph.initializer if t.data_type == onnx.TensorProto.FLOAT)
    model.unlink()
    return {"name": name, "size": f"{height}×{width}", "outputs": names, "gflop": steps["flops"] / 1e9, "parameters": parameters / 1e6,
            "steps": steps["step_count"], "runs": runs, "error": worst, "problems": problems}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", nargs="+", default=[])
    parser.add_argument("--markdown", type=Path)
    parser.add_argument("--rnc", type=Path, default=ROOT / "target/release/rnc")
    arguments = parser.parse_args()
    rnc = Rnc(arguments.rnc)
    names = rnc.call("zoo", "--list").split()
    names = [name for name in names if not arguments.only or name in arguments.only]
    if arguments.quick:
        names = [name for name in names if not is_larger(name)]
    rows, failed, start = [], 0, time.monotonic()
    for name in names:
        try:
            row = check(rnc, name, arguments.quick)
        except RncError as error:
            print(f"{name:24} FAILED: {error}")
            failed += 1
            continue
        rows.append(row)
        verdict = "; ".join(row["problems"]) or "ok"
        failed += bool(row["problems"])
        print(f"{name:24} {row['size']:>8} {row['steps']:5} steps {row['gflop']:7.2f} GFLOP {row['runs']:3} runs  off by {row['error']:.1e}  {verdict}", flush=True)
    if arguments.markdown:
        lines = ["| model | images | outputs | parameters (with statistics) | GFLOP | steps | off by |", "|---|---|---|---|---|---|---|"]
        lines += [f"| `{r['name']}` | {r['size']} | {', '.join(r['outputs'])} | {r['parameters']:.2f} M | {r['gflop']:.2f} | {r['steps']} | {r['error']:.1e} |" for r in rows]
        arguments.markdown.write_text("\n".join(lines) + "\n")
    print(f"{len(rows) - failed if failed <= len(rows) else 0} passed, {failed} failed ({time.monotonic() - start:.0f} s)")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
