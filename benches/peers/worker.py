#!/usr/bin/env python3
"""Times one Python peer in a process of its own: worker.py PEER MODEL INPUT.npy THREADS RUNS OUTPUT.npy, prints JSON for bench.py."""
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

Run = Callable[[], np.ndarray]


def ort(model: Path, x: np.ndarray, threads: int) -> Run:
    """ONNX Runtime: sequential, all optimisations, intra-op threads that spin."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.add_session_config_entry("session.intra_op.allow_spinning", "1")
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    feed = {session.get_inputs()[0].name: x}
    return lambda: session.run(None, feed)[0]


def openvino(model: Path, x: np.ndarray, threads: int) -> Run:
    """OpenVINO: latency mode, one stream, float32 throughout (it would use bfloat16 where the CPU has it)."""
    import openvino as ov

    core = ov.Core()
    network = core.read_model(model)
    network.reshape({network.input(0): list(x.shape)})
    settings = {
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": "f32",
    }
    request = core.compile_model(network, "CPU", settings).create_infer_request()
    return lambda: next(iter(request.infer({0: x}, share_inputs=True).values()))


def ncnn(model: Path, x: np.ndarray, threads: int) -> Run:
    """ncnn, on pnnx's conversion: Winograd and packing as by default, float32. It has no batches: images one by one."""
    import ncnn as lib

    net = lib.Net()
    net.opt.num_threads = threads
    net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = False
    net.opt.use_bf16_storage = False
    if net.load_param(str(model.with_suffix(".ncnn.param"))) or net.load_model(str(model.with_suffix(".ncnn.bin"))):
        raise RuntimeError(f"ncnn does not load {model.with_suffix('.ncnn.param')}")
    # A Mat of an array borrows its memory.
    images = [lib.Mat(np.ascontiguousarray(image)).clone() for image in x]

    def run() -> np.ndarray:
        results = []
        for image in images:
            with net.create_extractor() as extractor:
                extractor.input("in0", image)
                code, out = extractor.extract("out0")
                if code:
                    raise RuntimeError(f"ncnn fails with {code}")
                results.append(np.array(out))
        return np.stack(results)

    return run


PEERS = {"ort": ort, "openvino": openvino, "ncnn": ncnn}


def main() -> None:
    """Loads, runs, prints."""
    peer, model, source, threads, runs, target = sys.argv[1:]
    x = np.load(source)
    start = time.perf_counter()
    run = PEERS[peer](Path(model), x, int(threads))
    load, times, y = time.perf_counter() - start, [], None
    for _ in range(int(runs)):
        start = time.perf_counter()
        y = run()
        times.append((time.perf_counter() - start) * 1e3)
    np.save(target, y)
    print(json.dumps({"load_ms": load * 1e3, "times_ms": times}))


if __name__ == "__main__":
    main()
