"""The `rnc` binary as seen from Python."""
import json
import subprocess
import tempfile
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
UNSUPPORTED_MODEL = 3  # rnc's exit code
TIMEOUT = 600  # seconds that one command may take


class RncError(Exception):
    """rnc ended with an error; the text has its command, exit code and message."""


class Rnc:
    """Runs one binary, with its files in a folder of its own."""

    def __init__(self, binary: Path):
        if not binary.is_file():
            raise RncError(f"no rnc binary at {binary}; run: cargo build --release -p rnc, or give --rnc")
        self.binary = binary
        self._folder = tempfile.TemporaryDirectory(prefix="rnc-ort-")
        self.folder = Path(self._folder.name)

    def call(self, *args: str | Path) -> str:
        """Runs a command; returns what it printed on stdout."""
        command = [str(self.binary), *map(str, args)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=TIMEOUT)
        except subprocess.TimeoutExpired as error:
            raise RncError(f"no end within {TIMEOUT} s of `{' '.join(command)}`") from error
        if done.returncode:
            what = "unsupported model" if done.returncode == UNSUPPORTED_MODEL else f"exit code {done.returncode}"
            raise RncError(f"{what} from `{' '.join(command)}`:\n{done.stderr.strip()}")
        return done.stdout

    def ask(self, *args: str | Path) -> dict:
        """Runs a command that prints JSON; returns what it said."""
        printed = self.call(*args)
        try:
            return json.loads(printed)
        except ValueError as error:
            raise RncError(f"`rnc {' '.join(map(str, args))}` should print JSON ({error}), printed: {printed[:200]!r}") from error

    def isas(self) -> list[str]:
        """The instruction sets that this machine has, by rnc's names, the best one last."""
        answer = self.ask("isa", "--json")
        if answer["best"] not in answer["supported"]:
            raise RncError(f"`rnc isa --json` names {answer['best']} as best, but does not list it: {answer}")
        return sorted(answer["supported"], key=lambda isa: isa == answer["best"])

    def optimize(self, model: Path) -> Path:
        """Has the passes rewrite a model; returns the path of the ONNX model that they left. It stands until the next call."""
        optimized = self.folder / "optimized.onnx"
        optimized.unlink(missing_ok=True)
        self.call("opt", model, "-o", optimized)
        return optimized

    def compile(self, model: Path, *options: str) -> Path:
        """Compiles a model; returns the plan's path. It stands until the next call of this method."""
        plan = self.folder / "model.plan"
        plan.unlink(missing_ok=True)
        self.call("compile", model, "-o", plan, *options)
        return plan

    def run(self, plan: Path, name: str, x: np.ndarray, isa: str, threads: int) -> dict[str, np.ndarray]:
        """Runs a plan on one input; returns its outputs by name."""
        target = self.folder / "outputs.npz"
        target.unlink(missing_ok=True)
        self.call("run", plan, "--input", f"{name}={self._save(x)}", "--save", target, "--isa", isa, "--threads", str(threads))
        if not target.is_file():
            raise RncError(f"`rnc run --save {target}` ended well but wrote no such file")
        with np.load(target) as outputs:
            return dict(outputs)

    def time(self, plan: Path, name: str, x: np.ndarray, isa: str, threads: int, repeat: int) -> dict:
        """Times runs of a plan: {"times_ms": [...], "load_ms": ...}."""
        command = ["run", plan, "--input", f"{name}={self._save(x)}", "--isa", isa, "--threads", str(threads)]
        answer = self.ask(*command, "--repeat", str(repeat), "--json")
        if len(answer["times_ms"]) != repeat:
            raise RncError(f"`rnc run --repeat {repeat} --json` gave {len(answer['times_ms'])} times")
        return answer

    def _save(self, x: np.ndarray) -> Path:
        path = self.folder / "input.npy"
        np.save(path, x)
        return path
