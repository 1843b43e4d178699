#!/usr/bin/env python3
"""Write mask files: white is the hole, black is known.

python masks.py strokes mask.png --size 256 --seed 3
python masks.py scratches mask.png --picture photo.jpg
python masks.py cam mask.png --picture photo.jpg --class "coffee mug"
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import cli  # before packages, of which it says which is missing

# isort: split
import numpy as np

from pictures import averages, codecs, masks

OF_PICTURES = ("scratches", "cam")  # kinds that need a picture


def parser() -> argparse.ArgumentParser:
    flags = cli.Parser(description="Write mask files: white is the hole, black is known.")
    flags.add_argument("kind", choices=(*masks.CHOICES, *OF_PICTURES))
    flags.add_argument("out", type=Path, help="picture to write; with --count, OUT_0000.png and on")
    cli.flag(flags, "--size", type=cli.positive_int, default=64, help="height and width [64]")
    cli.flag(flags, "--width", type=cli.positive_int, help="width, if not --size")
    cli.flag(flags, "--height", type=cli.positive_int, help="height, if not --size")
    cli.flag(flags, "--seed", type=cli.non_negative_int, default=0, help="of the first mask [0]")
    cli.flag(flags, "--count", type=cli.positive_int, default=1, help="number of masks [1]")
    cli.flag(flags, "--fraction", type=cli.fraction, default=0.2, help="hidden by random [0.2]")
    cli.flag(flags, "--centerScale", type=float, default=0.25, help="margin of center [0.25]")
    cli.flag(
        flags,
        "--picture",
        type=Path,
        help=f"whose mask it is; {' and '.join(OF_PICTURES)} look at it",
    )
    cli.flag(
        flags,
        "--mosaic",
        type=cli.positive_int,
        metavar="N",
        help="write the picture instead, its hole in blocks of N pixels",
    )
    flags.add_argument("--class", dest="looked_for", help="of ImageNet, for cam [most probable]")
    cli.flag(flags, "--dilate", type=cli.non_negative_int, default=0, help="pixels [0]")
    return flags


def main(arguments: Sequence[str] | None = None) -> None:
    args = parser().parse_args(arguments)
    for name, wants in ((args.kind, args.kind in OF_PICTURES), ("--mosaic", bool(args.mosaic))):
        if wants and not args.picture:
            raise ValueError(f"{name} takes a picture: --picture FILE")
    pixels = codecs.read(args.picture) if args.picture else None
    for number in range(args.count):
        mask = masks.dilate(_mask(args, pixels, number), args.dilate)
        path = args.out
        if args.count > 1:
            path = path.with_stem(f"{path.stem}_{number:04d}")
        codecs.write(
            path, _in_blocks(pixels, mask, args.mosaic) if args.mosaic else masks.to_file(mask)
        )
        print(path)


def _mask(args: argparse.Namespace, pixels: np.ndarray | None, number: int) -> np.ndarray:
    if args.kind == "scratches":
        return masks.detect_scratches(pixels, args.picture)
    if args.kind == "cam":
        return _looked_at(pixels, args.looked_for or "")
    size = (args.height or args.size, args.width or args.size)
    return masks.make(
        args.kind,
        size if pixels is None else pixels.shape[:2],
        seed=args.seed + number,
        fraction=args.fraction,
        center_scale=args.center_scale,
    )


def _in_blocks(pixels: np.ndarray, mask: np.ndarray, block: int) -> np.ndarray:
    """The picture, uint8 (H, W, C), with the means of blocks where its hole is."""
    means = averages.blocks(averages.block_means(pixels, block), block, pixels.shape)
    return np.where(mask == 0, means, pixels)


def _looked_at(pixels: np.ndarray, name: str) -> np.ndarray:
    cli.import_tensorflow()
    from networks import looking

    return looking.mask(pixels, name, tell=print)


if __name__ == "__main__":
    cli.run(main)
