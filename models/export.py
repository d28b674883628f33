#!/usr/bin/env python3
"""Export a torchvision model to ONNX:  export.py resnet50.onnx [--model resnet50] [--weights DEFAULT] [--dynamic]

Needs `torch`, `torchvision` and `onnx` (pip install torch torchvision onnx); with --weights, torchvision downloads
the trained weights. BatchNormalization is kept as it is, for rnc to fold.
"""
import argparse
import sys


def main() -> int:
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("output")
    p.add_argument("--model", default="resnet50", help="a name of torchvision.models (default: resnet50)")
    p.add_argument("--weights", help="torchvision's name of trained weights, such as DEFAULT; otherwise random ones")
    p.add_argument("--dynamic", action="store_true", help="leave the batch size open, as dimension N")
    p.add_argument("--seed", type=int, default=0, help="seed of random weights")
    a = p.parse_args()
    try:
        import torch
        import torchvision
    except ImportError as error:
        print(f"export.py: {error}; run: pip install torch torchvision onnx", file=sys.stderr)
        return 1
    torch.manual_seed(a.seed)
    model = torchvision.models.get_model(a.model, weights=a.weights).eval()
    torch.onnx.export(
        model,
        (torch.zeros(1, 3, 224, 224),),
        a.output,
        opset_version=17,
        dynamo=False,
        training=torch.onnx.TrainingMode.PRESERVE,  # in eval mode: keeps BatchNormalization instead of folding it
        do_constant_folding=False,
        input_names=["input"],
        output_names=["logits"],
        dynamic_axes={"input": {0: "N"}, "logits": {0: "N"}} if a.dynamic else None,
    )
    print(f"{a.output}: {a.model}, weights {a.weights or f'random, seed {a.seed}'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
