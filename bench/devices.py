#!/usr/bin/env python3
"""Images per second of training: several workers with a share of the cores each, against one
process that uses all of them.

    bench/devices.py                 two workers, batches of 64
    bench/devices.py --workers 4 --batch-size 128

The programs that users run, on drawn faces, classic networks. Runs take turns (one, several, one,
...), and a ratio is that of the medians. Steps before the third of a run do not count: they trace.
"""

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT)

import cli  # noqa: E402
from data.drawn import drawn_faces  # noqa: E402
from pictures import codecs  # noqa: E402

WARM_UP = 2  # steps


def main() -> None:
    options = parser().parse_args()
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) % options.workers:
        raise ValueError(
            f"--workers is {options.workers}, which {len(cores)} cores cannot be shared among"
        )
    speeds: dict[int, list[float]] = {1: [], options.workers: []}
    with tempfile.TemporaryDirectory() as folder:
        faces = Path(folder) / "faces"
        for number, face in enumerate(drawn_faces(4 * options.batch_size, 64)):
            codecs.write(faces / f"{number:04d}.png", face)
        for turn in range(2 * options.rounds + 1):
            workers = options.workers if turn % 2 else 1
            run = Path(folder) / f"run-{turn}"
            speeds[workers].append(
                images_per_second(faces, run, workers=workers, cores=cores, options=options)
            )
            plural = "s" * (workers > 1)
            print(f"{workers} worker{plural}: {speeds[workers][-1]:.1f} images/s", flush=True)
    ratio = statistics.median(speeds[options.workers]) / statistics.median(speeds[1])
    print(f"{options.workers} workers / one process: {ratio:.2f} (target: at least 0.85)")


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    cli.flag(parser, "--workers", type=cli.positive_int, default=2, help="(%(default)s)")
    cli.flag(parser, "--batch-size", type=cli.positive_int, default=64, help="of all together (64)")
    cli.flag(parser, "--steps", type=cli.positive_int, default=8, help="of a run (%(default)s)")
    cli.flag(parser, "--rounds", type=cli.positive_int, default=1, help="(%(default)s)")
    return parser


def images_per_second(
    faces: Path, run: Path, workers: int, cores: list[int], options: argparse.Namespace
) -> float:
    """Train in the folder `run`; each worker has its share of the cores."""
    share = len(cores) // workers
    cluster = {"worker": [f"127.0.0.1:{port}" for port in free_ports(workers)]}
    command = [
        sys.executable,
        ROOT / "train-dcgan.py",
        "--dataset",
        faces,
        "--preset",
        "original",
        "--batch-size",
        options.batch_size,
        "--epoch",
        -(-options.steps // 4),
        "--checkpoint-dir",
        run / "checkpoint",
        "--sample-dir",
        run / "samples",
        "--log-dir",
        run / "logs",
        "--strategy",
        "multiworker" if workers > 1 else "none",
    ]
    started = []
    for index in range(workers):
        task = {"cluster": cluster, "task": {"type": "worker", "index": index}}
        own = cores[index * share : (index + 1) * share]
        started.append(
            subprocess.Popen(
                list(map(str, command)),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                env=os.environ | ({"TF_CONFIG": json.dumps(task)} if workers > 1 else {}),
                preexec_fn=lambda own=own: os.sched_setaffinity(0, own),
            )
        )
    for process in started:
        _, errors = process.communicate()
        if process.returncode:
            raise ValueError(f"a worker failed: {errors.strip().splitlines()[-1]}")
    lines = (run / "checkpoint" / "metrics.jsonl").read_text().splitlines()[WARM_UP:]
    return statistics.median(json.loads(line)["images_per_second"] for line in lines)


def free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


if __name__ == "__main__":
    cli.run(main)
