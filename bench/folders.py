#!/usr/bin/env python3
"""Seconds and peak memory of complete.py on folders of many tiny pictures, without a network.

    bench/folders.py                     20,000 and 200,000 pictures, of which 10,000 are new
    bench/folders.py --counts 2000 --new 2000

All but the new ones have been completed before, as their results and a report say: they are listed
and skipped. Then everything is run once more, when nothing is left to do. What completes is a mean,
so that the rest is what is measured. Every run is a process of its own.
"""

import argparse
import contextlib
import io
import multiprocessing
import os
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path[0] = str(Path(__file__).resolve().parents[1])
os.environ["TQDM_DISABLE"] = "1"

import cli  # noqa: E402
from completion import Moment, outputs  # noqa: E402
from completion.case import Hole  # noqa: E402
from completion.folder import Job, run  # noqa: E402
from completion.options import PRESETS, with_changes  # noqa: E402
from data.drawn import drawn_faces  # noqa: E402
from pictures import codecs  # noqa: E402

SIZE = 16
LINKS = 10_000  # to one file, which file systems limit


class Mean:
    """A Completer: the mean of what is known."""

    kind, size, channels, path, guides, heeds, draws = "mean", SIZE, 3, None, ("none",), (), False

    def fingerprint(self):
        return "mean"

    def steps(self, options):
        return 1

    def complete(self, cases, options, draw=0):
        made = np.stack([np.full_like(case.square, case.square.mean()) for case in cases])
        yield Moment(1, loss=None, latent=None, generate=lambda: made)


def main() -> None:
    options = parser().parse_args()
    print("| pictures | new | seconds | MB | seconds, all done | MB |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: |")
    for count in options.counts:
        new = min(options.new, count)
        with tempfile.TemporaryDirectory(prefix="bench-folders-") as folder:
            _alone(prepare, Path(folder), count, count - new)
            first, again = (_alone(complete, Path(folder)) for _ in range(2))
        assert (first[0], again[0]) == ((new, count - new, 0), (0, count, 0))
        print(f"| {count:,} | {new:,} | {_row(first)} | {_row(again)} |", flush=True)


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    cli.flag(p, "--counts", type=cli.positive_int, nargs="+", default=[20_000, 200_000])
    cli.flag(p, "--new", type=cli.positive_int, default=10_000, help="of them (%(default)s)")
    return p


def _row(measured: tuple) -> str:
    return f"{measured[1]:.1f} | {measured[2]:.0f}"


def _alone(function, *arguments):
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function, arguments)


def _job(folder: Path) -> Job:
    options = with_changes(PRESETS["best"], {"guide": "none", "blend": "none"})
    return Job(Mean(), options, Hole("center"), out_dir=folder / "out")


def prepare(folder: Path, count: int, done: int) -> None:
    """Link pictures to one file, and results of some of them, as a run that was killed leaves."""
    job, paths = _job(folder), []
    pixels = drawn_faces(1, SIZE)[0]
    for number in range(count):
        paths.append(folder / f"in-{number // LINKS}" / f"{number:07d}.png")
        if number % LINKS:
            os.link(paths[number - 1], paths[number])
        else:
            codecs.write(paths[number], pixels)
    (folder / "out" / "results").mkdir(parents=True)
    results = outputs.Results(job.out_dir, job.suffix)
    for path in paths[:done]:
        file = folder / "out" / "results" / f".{path.name}"
        os.link(path, file)
        entry = {"name": path.stem, "result": f"results/{path.name}", "input": str(path)}
        entry |= outputs.key(job.out_dir, path, job.settings(path)) | {"steps": 1, "seconds": 0.1}
        results.add(outputs.Written(entry, {file: Path("results", path.name)}))


def complete(folder: Path) -> tuple[tuple[int, int, int], float, float]:
    """What `run` returns, its seconds, and the peak memory of the process in MB."""
    started, job = time.perf_counter(), _job(folder)
    with contextlib.redirect_stdout(io.StringIO()):
        counts = run(job, outputs.inputs([*sorted(folder.glob("in-*"))], job.out_dir))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return counts, time.perf_counter() - started, peak / 1000


if __name__ == "__main__":
    cli.run(main)
