#!/usr/bin/env python3
"""Kill training and data.prepare at random moments; what resumes must end as if left alone.

    python tests/stress_kill.py --kills 20

Moments: while a command starts, after some steps, and while a checkpoint or a shard is written.
After each kill every checkpoint must be readable; at the end weights, optimisers, counters, losses
and shards must equal those of uninterrupted runs, bit for bit.
"""

import argparse
import json
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from processes import Launcher, Running  # noqa: E402

from data.drawn import drawn_faces  # noqa: E402
from pictures import codecs  # noqa: E402
from training import checkpoint  # noqa: E402

TINY = (
    "--image-size 16 --gf-dim 4 --df-dim 4 --z-dim 8 --batch-size 4 --g-steps 1 --preset "
    "original --g-norm none --d-norm none --augment flip --ema 40"
).split()
COURSE = "--epoch 4 --save-every 2 --sample-every 5 --keep 3".split()
SHARDS = "--size 16 --images-per-shard 20".split()


def write_faces(folder: Path, count: int) -> Path:
    for number, face in enumerate(drawn_faces(count, 16)):
        codecs.write(folder / f"{number:03d}.png", face)
    return folder


def train(launcher: Launcher, faces: Path, folder: Path, *more) -> Running:
    """Start a training run of 12 steps in `folder`, or go on with it."""
    return launcher.start(
        "train-dcgan.py", "--dataset", faces, *TINY, *COURSE, *more, folder=folder
    )


def lines(folder: Path) -> list[dict]:
    path = folder / "checkpoint" / "metrics.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def losses(folder: Path) -> list[dict]:
    """The lines of metrics.jsonl without what depends on the clock."""
    return [{k: v for k, v in line.items() if k != "images_per_second"} for line in lines(folder)]


def assert_same_end(folder: Path, other: Path) -> None:
    """Two finished runs are equal: losses of all steps, last checkpoint, names of samples, but for
    those that a run shows where it is stopped before its first are due."""
    assert losses(folder) == losses(other)
    names, expected = ({p.name for p in (f / "samples").iterdir()} for f in (folder, other))
    first = min(int(Path(name).stem[-4:]) for name in expected)
    assert {name for name in names if int(Path(name).stem[-4:]) >= first} == expected
    mine, theirs = (checkpoint.load(f / "checkpoint") for f in (folder, other))
    assert (mine.config, mine.state) == (theirs.config, theirs.state)
    for part in ("weights", "training"):
        arrays, expected = getattr(mine, part), getattr(theirs, part)
        assert set(arrays) == set(expected)
        for name, array in expected.items():
            np.testing.assert_array_equal(arrays[name], array, err_msg=name)


def assert_readable(folder: Path) -> None:
    """Each checkpoint there is, not only the newest, can be loaded."""
    for path in checkpoint.step_paths(folder / "checkpoint"):
        assert checkpoint.load(path).training


def kill(running: Running, moment: Callable[[], bool]) -> bool:
    """Send SIGKILL at that moment; False if the command had ended before."""
    if running.wait_until(moment):
        running.signal(signal.SIGKILL)
    return running.wait() == -signal.SIGKILL


def training_moments(folder: Path, rng: random.Random) -> dict[str, Callable[[], bool]]:
    """When to kill a run that is about to start in `folder`, by name."""
    logs, newest = folder / "logs", len(checkpoint.step_paths(folder / "checkpoint"))
    start = time.monotonic() + rng.uniform(0, 2)
    paths = checkpoint.step_paths(folder / "checkpoint")
    newest = int(paths[0].name[5:]) if paths else 0
    journals = len(list(logs.rglob("events*")))
    steps = rng.randint(1, 3)

    def after_steps():
        # A new file of events is there once the lines of the run before have been dropped.
        return len(list(logs.rglob("events*"))) > journals and len(lines(folder)) >= newest + steps

    def saving():
        return any((folder / "checkpoint").glob(".step-*"))

    return {
        "starting": lambda: time.monotonic() > start,
        "after some steps": after_steps,
        "writing a checkpoint": saving,
    }


def kill_training(
    launcher: Launcher, faces: Path, folder: Path, moment: str, rng: random.Random
) -> bool:
    """Start or resume a run and kill it at a moment; False if it ended before. Checks that it
    resumed from the newest checkpoint, and that what it leaves is readable."""
    before = checkpoint.step_paths(folder / "checkpoint")
    when = training_moments(folder, rng)[moment]
    running = train(launcher, faces, folder)
    killed = kill(running, when)
    if not killed:
        assert running.status == 0, running.stderr
    if before and "resumed" in running.stdout:
        assert f"resumed checkpoint/{before[0].name}:" in running.stdout
    assert "damaged" not in running.stdout
    assert_readable(folder)
    return killed


def kill_prepare(launcher: Launcher, faces: Path, folder: Path, rng: random.Random) -> bool:
    """Start data.prepare and kill it while it writes; False if it ended before."""
    seen, wanted = set(), rng.randint(1, 4)

    def writing():
        seen.update(path.name for path in folder.glob("shards/.*.tfrecord"))
        return len(seen) >= wanted

    running = launcher.start("-m data.prepare", faces, "shards", *SHARDS, folder=folder)
    return kill(running, writing)


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as folder, Launcher() as launcher:
        stress(launcher, Path(folder), arguments.kills, rng)


def stress(launcher: Launcher, folder: Path, kills: int, rng: random.Random) -> None:
    faces, many = write_faces(folder / "faces", 13), write_faces(folder / "many", 400)
    assert train(launcher, faces, folder / "alone").wait() == 0
    alone = launcher.run("-m data.prepare", many, "shards", *SHARDS, folder=folder / "alone")
    assert alone.status == 0, alone.stderr
    moments, done, lap = ["starting", "after some steps", "writing a checkpoint", "shards"], 0, 0
    tally = Counter()
    began = time.monotonic()
    while done < kills:
        lap += 1
        run = folder / f"lap-{lap}"
        finished = False
        while not finished and done < kills:
            moment = rng.choice(moments)
            if moment == "shards":
                killed = kill_prepare(launcher, many, run, rng)
            else:
                killed = kill_training(launcher, faces, run, moment, rng)
                finished = not killed
            done += killed
            tally[moment] += killed
            if killed:
                newest = checkpoint.step_paths(run / "checkpoint")
                where = newest[0].name if newest else "the start"
                print(f"kill {done} (lap {lap}), {moment}: goes on from {where}", flush=True)
        last = train(launcher, faces, run)
        assert last.wait() == 0, last.stderr
        assert_same_end(run, folder / "alone")
        shards = launcher.run("-m data.prepare", many, "shards", *SHARDS, folder=run)
        assert shards.status == 0, shards.stderr
        assert files(run / "shards") == files(folder / "alone" / "shards")
    seconds = time.monotonic() - began
    counts = ", ".join(f"{count} {moment}" for moment, count in tally.items())
    print(f"{done} kills ({counts}) in {lap} runs, {seconds:.0f} s: every end as if left alone")


if __name__ == "__main__":
    main()
