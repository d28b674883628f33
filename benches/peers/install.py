"""Gets the peers: PyPI's into a venv, those of crates.io built, all below benches/peers/work, which git ignores."""
import hashlib
import os
import subprocess
import sys
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
WORK = HERE / "work"
PYTHON = WORK / "venv" / "bin" / "python"
CRATES = ("tract", "rten")


def command(arguments: list[object], **options) -> None:
    """Runs a command; its output is shown only if it fails."""
    done = subprocess.run(list(map(str, arguments)), capture_output=True, text=True, check=False, **options)
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, arguments))}\n{done.stdout[-2000:]}{done.stderr[-4000:]}")


def python_peers() -> None:
    """ONNX Runtime, OpenVINO, ncnn, and pnnx, which converts models for ncnn."""
    stamp = WORK / "venv" / "requirements.txt"
    wanted = (HERE / "requirements.txt").read_text()
    if stamp.is_file() and stamp.read_text() == wanted:
        return
    venv.create(WORK / "venv", with_pip=True)
    command([PYTHON, "-m", "pip", "install", "--quiet", "-r", HERE / "requirements.txt"])
    stamp.write_text(wanted)


def rust_peer(name: str) -> Path:
    """The program that times a peer from crates.io."""
    environment = os.environ | {"CARGO_TARGET_DIR": str(WORK / f"target-{name}")}
    command(["cargo", "build", "--release", "--locked"], cwd=HERE / name, env=environment)
    return WORK / f"target-{name}" / "release" / f"peer-{name}"


def for_ncnn(model: Path, shape: tuple[int, ...]) -> Path:
    """Converts a model for ncnn; gives the path of the ONNX file beside which the result lies."""
    content = model.read_bytes()
    copy = WORK / "ncnn" / hashlib.sha256(content).hexdigest()[:16] / model.name
    if not copy.with_suffix(".ncnn.bin").is_file():
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(content)
        sizes = ",".join(map(str, (1, *shape[1:])))
        command([WORK / "venv" / "bin" / "pnnx", copy, f"inputshape=[{sizes}]", "fp16=0"], cwd=copy.parent)
    return copy


def rnc() -> Path:
    """rnc itself, of this checkout."""
    command(["cargo", "build", "--release"], cwd=ROOT)
    return ROOT / "target" / "release" / "rnc"


if sys.prefix == str(WORK / "venv"):
    raise SystemExit("run bench.py with the system's Python, not with the venv's")
