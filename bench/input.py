#!/usr/bin/env python3
"""Images per second that the input pipeline delivers, from memory, files and shards; peak memory.

    bench/input.py                               speed, on drawn faces of 250 pixels
    bench/input.py --dataset PHOTOGRAPHS --crop 108
    bench/input.py --memory                      peak memory at 20,000 and 200,000 tiny pictures

Every figure comes from a process of its own, held to so many cores.
"""

import argparse
import functools
import io
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

from PIL import Image  # noqa: E402

import cli  # noqa: E402
from data import prepare  # noqa: E402
from data.drawn import drawn_faces  # noqa: E402

BATCH_SIZE = 64
EVERYTHING, NOTHING = 2**62, 0  # memory limits


def main() -> None:
    options = parser().parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-input-") as folder:
        if options.memory:
            compare_memory(Path(folder))
        else:
            compare_speed(options, Path(folder))


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    cli.flag(parser, "--dataset", type=Path, help="folder of pictures (default: drawn ones)")
    cli.flag(parser, "--crop", type=cli.positive_int, help="centre square, pixels")
    cli.flag(parser, "--size", type=cli.positive_int, default=64, help="pixels (%(default)s)")
    cli.flag(parser, "--images", type=cli.positive_int, default=2048, help="at most (%(default)s)")
    cli.flag(parser, "--cores", type=cli.positive_int, nargs="+", default=[1, 2], help="(1 2)")
    cli.flag(parser, "--seconds", type=cli.positive_float, default=5, help="each (%(default)s)")
    cli.flag(parser, "--memory", action="store_true", help="peak memory instead of speed")
    return parser


def compare_speed(options: argparse.Namespace, folder: Path) -> None:
    dataset = options.dataset or draw_photographs(folder / "drawn", options.images)
    shards = folder / "shards"
    settings = prepare.Settings(options.size, crop=options.crop)
    alone(prepare.prepare, max(options.cores), dataset, shards, settings)
    for name, path, limit in (
        ("memory", dataset, EVERYTHING),
        ("files", dataset, NOTHING),
        ("shards", shards, NOTHING),
    ):
        for cores in options.cores:
            measure = functools.partial(
                images_per_second, path, options.size, options.crop, options.images, limit
            )
            rate = alone(measure, cores, options.seconds)
            plural = "s" * (cores > 1)
            print(f"input from {name}, {cores} core{plural}: {rate:.0f} images/s", flush=True)


def compare_memory(folder: Path) -> None:
    for count in (20_000, 200_000):
        pictures, shards = folder / f"{count}", folder / f"{count}-shards"
        write_tiny_pictures(pictures, count)
        peaks = {
            "prepare": alone(peak_of_prepare, os.cpu_count(), pictures, shards),
            "iterate shards": alone(peak_of_iterating, os.cpu_count(), shards),
        }
        for name, peak in peaks.items():
            print(f"{name}, {count} images: peak {peak / 1e6:.0f} MB", flush=True)


def alone(function: Callable, cores: int, *arguments):
    """Call a function in a process of its own on the first `cores` cores; returns its result."""
    held = sorted(os.sched_getaffinity(0))[:cores]
    with ProcessPoolExecutor(
        1, multiprocessing.get_context("spawn"), os.sched_setaffinity, (0, held)
    ) as pool:
        return pool.submit(function, *arguments).result()


def images_per_second(
    path: Path, size: int, crop: int | None, count: int, memory_limit_bytes: int, seconds: float
) -> float:
    """Rate over whole epochs, at least so many seconds of them, after one epoch to warm up."""
    cli.import_tensorflow()
    from data.pipeline import open_dataset

    data = open_dataset(
        path,
        size,
        crop=crop,
        train_size=count,
        batch_size=BATCH_SIZE,
        memory_limit_bytes=memory_limit_bytes,
    )
    images_per_epoch = data.steps_per_epoch * data.batch_size
    for _ in data.epoch(0):
        pass
    began, epoch = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        epoch += 1
        for _ in data.epoch(epoch):
            pass
    return epoch * images_per_epoch / (time.perf_counter() - began)


def peak_of_prepare(pictures: Path, shards: Path) -> int:
    prepare.prepare(pictures, shards, prepare.Settings(8))
    return peak_bytes()


def peak_of_iterating(shards: Path) -> int:
    from data.pipeline import open_dataset

    data = open_dataset(shards, 8)
    for epoch in range(2):
        for _ in data.epoch(epoch):
            pass
    return peak_bytes()


def peak_bytes() -> int:
    """Most memory this process has held. Not getrusage: that includes the parent before exec."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (peak,) = (line.split()[1] for line in lines if line.startswith("VmHWM:"))
    return int(peak) * 1024


def draw_photographs(folder: Path, count: int) -> Path:
    """JPEG files of 250 pixels, as large as those of LFW; 64 different ones."""
    folder.mkdir()
    encoded = [_encoded(face, "JPEG") for face in drawn_faces(64, 250)]
    for number in range(count):
        (folder / f"{number:06d}.jpg").write_bytes(encoded[number % 64])
    return folder


def write_tiny_pictures(folder: Path, count: int) -> None:
    encoded = [_encoded(face, "PNG") for face in drawn_faces(64, 8)]
    for number in range(count):
        path = folder / f"{number // 1000:04d}" / f"{number:06d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded[number % 64])


def _encoded(pixels, kind: str) -> bytes:
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, kind)
    return content.getvalue()


if __name__ == "__main__":
    cli.run(main)
