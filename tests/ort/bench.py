#!/usr/bin/env python3
"""Time rnc against ONNX Runtime:  tests/ort/bench.py [MODEL...] [--batch 1] [--threads 1 2] [--rounds 7] [--repeat 20]

The two take turns: a round is some runs of the one and then as many of the other, each in a process of its own, so that
neither's idle threads spin beside the other and a change of the machine's clock meets both. The first runs of a process are
warm-up and not counted. ONNX Runtime runs sequentially with as many intra-op threads, spinning, all optimisations on. Each
line gives both medians and minima in milliseconds and the ratio of the medians: below 1, rnc is the faster.

MODEL is a name that `compare.py --help` lists, or an .onnx file. --json prints all times.
"""
import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import onnxruntime as ort

from models import MODELS, Entry, make_input, signature
from rnc_cli import ROOT, Rnc, RncError

WARM_UP = 3


def ort_worker(model: str, name: str, input_file: str, threads: int, repeat: int) -> None:
    """Times ONNX Runtime in this process and prints the times; what `rnc run --repeat N --json` is for rnc."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.add_session_config_entry("session.intra_op.allow_spinning", "1")
    options.log_severity_level = 3
    start = time.perf_counter()
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    load = time.perf_counter() - start
    feed, times = {name: np.load(input_file)}, []
    for _ in range(repeat):
        start = time.perf_counter()
        session.run(None, feed)
        times.append((time.perf_counter() - start) * 1e3)
    print(json.dumps({"times_ms": times, "load_ms": load * 1e3}))


def time_ort(model: Path, name: str, input_file: Path, threads: int, repeat: int) -> dict:
    """Times ONNX Runtime in a new process."""
    command = [sys.executable, __file__, "--ort-worker", model, name, input_file, threads, repeat]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    if done.returncode:
        raise RncError(f"ONNX Runtime failed on {model}:\n{done.stderr.strip()}")
    return json.loads(done.stdout)


def bench(rnc: Rnc, entry: Entry, path: Path, threads: int, args: argparse.Namespace) -> dict:
    """All rounds of one model at one number of threads."""
    sig = signature(path)
    x = make_input(entry, sig, "random", args.batch, None)
    plan, input_file = rnc.compile(path, *(['--exact'] if args.exact else [])), rnc.folder / "bench-input.npy"
    np.save(input_file, x)
    times: dict[str, list[float]] = {"rnc": [], "ort": []}
    loads: dict[str, list[float]] = {"rnc": [], "ort": []}
    for index in range(args.rounds):
        # Who begins changes from round to round.
        for who in ("rnc", "ort") if index % 2 == 0 else ("ort", "rnc"):
            repeat = args.repeat + WARM_UP
            if who == "rnc":
                answer = rnc.time(plan, sig.name, x, args.isa, threads, repeat)
            else:
                answer = time_ort(path, sig.name, input_file, threads, repeat)
            times[who] += answer["times_ms"][WARM_UP:]
            loads[who].append(answer["load_ms"])
    result = {"model": entry.name, "batch": args.batch, "threads": threads, "isa": args.isa}
    for who in ("rnc", "ort"):
        result[who] = {
            "median_ms": statistics.median(times[who]),
            "min_ms": min(times[who]),
            "load_ms": statistics.median(loads[who]),
            "times_ms": times[who],
        }
    return result | {"ratio": result["rnc"]["median_ms"] / result["ort"]["median_ms"]}


def find(name: str, folder: Path) -> tuple[Entry, Path]:
    """A model by the comparison's name or by its file."""
    for entry in MODELS:
        if entry.name == name:
            path = folder / entry.path
            break
    else:
        entry, path = Entry(Path(name).stem, name, "imagenet", 1), Path(name)
    if not path.is_file():
        raise RncError(f"{path} is not there; give an .onnx file or one of {', '.join(m.name for m in MODELS)} (after models/fetch.sh)")
    return entry, path


def print_line(result: dict) -> None:
    """A line of the table."""
    rnc, ort_ = result["rnc"], result["ort"]
    print(
        f"{result['model']:<26} {result['batch']:>5} {result['threads']:>7} {rnc['median_ms']:>10.2f} {rnc['min_ms']:>8.2f}"
        f" {ort_['median_ms']:>10.2f} {ort_['min_ms']:>8.2f} {result['ratio']:>7.3f} {rnc['load_ms']:>9.1f} {ort_['load_ms']:>9.1f}",
        flush=True,
    )


def positive(text: str) -> int:
    """A number of at least 1."""
    if (number := int(text)) < 1:
        raise ValueError(f"{text} is below 1")
    return number


def main() -> int:
    """Times the models that were asked for."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("names", nargs="*", metavar="MODEL", help="default: zoo-resnet18 zoo-resnet50")
    p.add_argument("--batch", type=positive, default=1)
    p.add_argument("--threads", type=positive, nargs="+", default=[1, 2])
    p.add_argument("--rounds", type=positive, default=7)
    p.add_argument("--repeat", type=positive, default=20, help="counted runs in a round")
    p.add_argument("--isa", help="rnc's instruction set (default: the best one here); ONNX Runtime chooses its own")
    p.add_argument("--exact", action="store_true", help="compile without Winograd")
    p.add_argument("--models", type=Path, default=ROOT / "models/downloaded", help="folder that models/fetch.sh filled")
    p.add_argument("--rnc", type=Path, default=ROOT / "target/release/rnc", help="the binary")
    p.add_argument("--json", action="store_true", help="print all times as JSON on stdout, one line a model")
    args = p.parse_args()
    try:
        rnc = Rnc(args.rnc)
        args.isa = args.isa or rnc.isas()[-1]
        if not args.json:
            print(f"onnxruntime {ort.__version__}, rnc with {args.isa}, times in ms")
            print(f"{'model':<26} batch threads rnc median      min ort median      min   ratio  rnc load  ort load")
        for name in args.names or ["zoo-resnet18", "zoo-resnet50"]:
            entry, path = find(name, args.models)
            for threads in args.threads:
                result = bench(rnc, entry, path, threads, args)
                print(json.dumps(result), flush=True) if args.json else print_line(result)
    except (RncError, ValueError) as error:
        print(f"bench.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--ort-worker"]:
        ort_worker(*sys.argv[2:5], *map(int, sys.argv[5:]))
        sys.exit(0)
    sys.exit(main())
