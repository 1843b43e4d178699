#!/usr/bin/env python3
"""Speed of align: pictures per second with one worker process and with two, and their ratio.

    bench/align.py [PHOTOGRAPHS] [--pictures 600] [--workers 1 2]

Without PHOTOGRAPHS it draws faces. The first tenth of the pictures is not timed: starting the
processes and loading dlib's models is paid once per run.
"""

import argparse
import itertools
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path[0] = str(Path(__file__).resolve().parents[1])

import cli  # noqa: E402
from align import run  # noqa: E402
from data.drawn import drawn_faces  # noqa: E402
from pictures import codecs, files  # noqa: E402

SIDE = 250  # pixels of a drawn photograph, as in Labeled Faces in the Wild


def pictures_per_second(photographs: Path, out: Path, workers: int) -> float:
    """Align all photographs into `out`; both processes are warm when the clock starts."""
    finished = [
        time.perf_counter() for _ in run.align(photographs, out, run.Settings(), workers=workers)
    ]
    warm = len(finished) // 10
    return (len(finished) - 1 - warm) / (finished[-1] - finished[warm])


def prepare(photographs: Path | None, count: int, folder: Path) -> None:
    """Put `count` pictures into `folder`: links to photographs, over and over, or drawn faces."""
    if photographs is None:
        for number, pixels in enumerate(drawn_faces(count, size=SIDE)):
            codecs.write(folder / f"{number:05d}.jpg", pixels)
        return
    found = files.find([photographs])
    chosen = np.linspace(0, len(found) - 1, min(count, len(found))).astype(int)
    for number, index in enumerate(itertools.islice(itertools.cycle(chosen), count)):
        path = found[index].resolve()
        (folder / f"{number:05d}{path.suffix}").symlink_to(path)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photographs", type=Path, nargs="?", help="a folder (default: drawn)")
    parser.add_argument("--pictures", type=cli.positive_int, default=600)
    parser.add_argument("--workers", type=cli.positive_int, nargs=2, default=(1, 2))
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        photographs = Path(folder, "photographs")
        photographs.mkdir()
        prepare(args.photographs, args.pictures, photographs)
        few, many = (
            pictures_per_second(photographs, Path(folder, f"{workers}"), workers)
            for workers in args.workers
        )
    print(
        f"align: {few:.1f} pictures/s with {args.workers[0]} worker, {many:.1f} pictures/s "
        f"with {args.workers[1]}: {many / few:.2f} times ({args.pictures} pictures)"
    )


if __name__ == "__main__":
    cli.run(main)
