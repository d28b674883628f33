#!/usr/bin/env python3
"""Time rnc against its peers:  benches/peers/bench.py [MODEL.onnx] [--threads 1 2] [--batch 1] [--rounds 7] [--repeat 20]

Installs ONNX Runtime, OpenVINO and ncnn from PyPI and builds tract and RTen from crates.io into benches/peers/work the first
time (some minutes, 8 GB), then lets all take turns: in each round, each runs in a process of its own, on the same float32 input,
with as many threads; the order turns from round to round. The first runs of a process are warm-up and not counted. Results must
agree with ONNX Runtime's, so that nobody is timed doing something else.

Prints medians, minima and the ratio of rnc's to each peer's: below 1, rnc is the faster. --json keeps every time, --svg draws.
"""
import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

import chart
import install

WARM_UP = 3
TOLERANCE = 1e-3
TIMEOUT = 1800
LABELS = {"rnc": "rnc", "ort": "ONNX Runtime", "openvino": "OpenVINO", "ncnn": "ncnn", "tract": "tract", "rten": "RTen"}


@dataclass
class Case:
    """What is run: one model, one input, one number of threads."""

    model: Path
    x: np.ndarray
    threads: int
    runs: int
    folder: Path
    rnc_options: list[str]

    @property
    def shape(self) -> tuple[int, ...]:
        """The input's shape."""
        return self.x.shape


@dataclass
class Times:
    """What came of one peer; milliseconds."""

    runs: list[float] = field(default_factory=list)
    loads: list[float] = field(default_factory=list)
    problem: str | None = None

    @property
    def median(self) -> float:
        """Of all runs that count."""
        return statistics.median(self.runs)


class Peers:
    """Knows how to start each peer."""

    def __init__(self, names: list[str], rnc: Path, plan: Path) -> None:
        self.rnc, self.plan = rnc, plan
        self.programs: dict[str, Path] = {}
        self.problems: dict[str, str] = {}
        for name in names:
            try:
                if name in install.CRATES:
                    self.programs[name] = install.rust_peer(name)
                elif name != "rnc":
                    install.python_peers()
            except (RuntimeError, OSError) as error:
                self.problems[name] = f"not installed: {error}"

    def time(self, name: str, case: Case) -> tuple[dict, np.ndarray]:
        """Runs a peer once in a process of its own: its times, and its result."""
        source, target = case.folder / "x.npy", case.folder / f"{name}.npy"
        if name == "rnc":
            return self.time_rnc(case, source)
        if name in self.programs:
            raw, out = case.folder / "x.f32", case.folder / f"{name}.f32"
            answer = output([self.programs[name], case.model, raw, case.shape[0], case.threads, case.runs, out])
            return json.loads(answer), np.fromfile(out, np.float32)
        model = install.for_ncnn(case.model, case.shape) if name == "ncnn" else case.model
        worker = install.HERE / "worker.py"
        answer = output([install.PYTHON, worker, name, model, source, case.threads, case.runs, target])
        return json.loads(answer.splitlines()[-1]), np.load(target).ravel()

    def time_rnc(self, case: Case, source: Path) -> tuple[dict, np.ndarray]:
        """As `time`."""
        out = case.folder / "rnc.npz"
        options = ["--threads", case.threads, "--repeat", case.runs - 1, "--json", "--save", out, *case.rnc_options]
        answer = json.loads(output([self.rnc, "run", self.plan, "--input", source, *options]))
        times = {"load_ms": answer["load_ms"], "times_ms": [answer["first_ms"], *answer["times_ms"]]}
        return times, next(iter(np.load(out).values())).ravel()


def output(command: list[object]) -> str:
    """Stdout of a command."""
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, timeout=TIMEOUT)
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed: {done.stderr.strip()[-500:]}")
    return done.stdout


def measure(peers: Peers, names: list[str], case: Case, rounds: int) -> dict[str, Times]:
    """All rounds of one case."""
    times = {name: Times(problem=peers.problems.get(name)) for name in names}
    expected = None
    # ONNX Runtime begins, so that every result can be held against its own.
    names = sorted(names, key=lambda name: name != "ort")
    for index in range(rounds):
        turn = index % len(names)
        for name in names[turn:] + names[:turn]:
            if times[name].problem:
                continue
            try:
                answer, result = peers.time(name, case)
            except (RuntimeError, ValueError, KeyError, subprocess.TimeoutExpired) as error:
                times[name].problem = str(error)
                continue
            expected = result if name == "ort" and expected is None else expected
            if expected is not None and not (error := distance(result, expected)) <= TOLERANCE:
                times[name].problem = f"another result than ONNX Runtime's, by {error:.1e} of the largest"
                continue
            times[name].runs += answer["times_ms"][WARM_UP:]
            times[name].loads.append(answer["load_ms"])
        print(f"round {index + 1} of {rounds}", file=sys.stderr, end="\r")
    return times


def distance(found: np.ndarray, expected: np.ndarray) -> float:
    """The largest difference relative to the largest magnitude."""
    if found.size != expected.size:
        return float("inf")
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def table(times: dict[str, Times]) -> str:
    """A Markdown table."""
    lines = ["| | median ms | min ms | rnc's median / its | minima | load ms |", "|---|---|---|---|---|---|"]
    rnc = times["rnc"]
    for name, its in times.items():
        if its.problem or not its.runs:
            lines.append(f"| {LABELS[name]} | {its.problem or 'no runs'} | | | | |")
            continue
        ratios = ["", ""] if name == "rnc" else [f"{rnc.median / its.median:.2f}", f"{min(rnc.runs) / min(its.runs):.2f}"]
        load = statistics.median(its.loads)
        lines.append(f"| {LABELS[name]} | {its.median:.1f} | {min(its.runs):.1f} | {ratios[0]} | {ratios[1]} | {load:.0f} |")
    return "\n".join(lines)


def positive(text: str) -> int:
    """A number of at least 1."""
    if (number := int(text)) < 1:
        raise ValueError(f"{text} is below 1")
    return number


def arguments() -> argparse.Namespace:
    """The command line."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("model", nargs="?", type=Path, help="takes [N, 3, 224, 224]; default: the zoo's ResNet-50")
    p.add_argument("--threads", type=positive, nargs="+", default=[1, 2])
    p.add_argument("--batch", type=positive, nargs="+", default=[1])
    p.add_argument("--rounds", type=positive, default=7)
    p.add_argument("--repeat", type=positive, default=20, help="runs a round that count")
    p.add_argument("--peers", default="ort,openvino,ncnn,tract,rten", help="separated by commas; without `ort` results are not checked")
    p.add_argument("--isa", help="instruction set of rnc")
    p.add_argument("--exact", action="store_true", help="rnc without Winograd and Strassen")
    p.add_argument("--tune", action="store_true", help="rnc tuned on this machine")
    p.add_argument("--rnc", type=Path, help="a built rnc; default: builds this checkout")
    p.add_argument("--json", type=Path, metavar="FILE", help="write every time")
    p.add_argument("--svg", type=Path, metavar="FILE", help="draw the medians")
    args = p.parse_args()
    unknown = set(args.peers.split(",")) - set(LABELS) | set(args.peers.split(",")) & {"rnc"}
    if unknown:
        p.error(f"no peers: {', '.join(sorted(unknown))}")
    return args


def main() -> int:
    """Measures what was asked for."""
    args = arguments()
    names = ["rnc", *args.peers.split(",")]
    rnc = args.rnc or install.rnc()
    install.WORK.mkdir(exist_ok=True)
    everything = []
    with tempfile.TemporaryDirectory(dir=install.WORK) as name:
        folder = Path(name)
        model, plan = args.model or folder / "resnet50.onnx", folder / "model.plan"
        if not args.model:
            output([rnc, "zoo", "resnet50", "-o", model])
        switches = [switch for switch in ("exact", "tune") if getattr(args, switch)]
        isa = ["--isa", args.isa] if args.isa else []
        output([rnc, "compile", model, "-o", plan, *isa, *(f"--{switch}" for switch in switches)])
        peers = Peers(names, rnc, plan)
        for batch in args.batch:
            x = np.random.default_rng(7).standard_normal((batch, 3, 224, 224)).astype(np.float32)
            np.save(folder / "x.npy", x)
            x.tofile(folder / "x.f32")
            for threads in args.threads:
                case = Case(model, x, threads, args.repeat + WARM_UP, folder, isa)
                times = measure(peers, names, case, args.rounds)
                title = f"batch {batch}, {threads} thread{'s' if threads > 1 else ''}"
                print(f"\n{title}\n\n{table(times)}", flush=True)
                everything.append((title, times))
    if args.json:
        args.json.write_text(json.dumps([{"case": title} | {n: vars(t) for n, t in times.items()} for title, times in everything]))
    if args.svg:
        panels = [(title, {LABELS[n]: (t.median, min(t.runs)) for n, t in times.items() if t.runs}) for title, times in everything]
        args.svg.write_text(chart.svg("ResNet-50, float32, ms a run" if not args.model else f"{args.model.stem}, float32, ms a run", panels))
    return 1 if any(t.problem for _, times in everything for t in times.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
