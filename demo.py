#!/usr/bin/env python3
"""What `make demo` runs: draw faces, train a small model on them, complete others. Into demo/.

It shows that everything works, in about a minute, with pictures that belong to nobody: cartoon
faces of 32 pixels, and a small model. Run it again and it finds its work done; remove demo/ to
start over.
"""

import shlex
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

import cli
import images
from data.drawn import drawn_faces

ROOT = Path(__file__).resolve().parent
OUT = Path("demo")
SIZE = 32

TRAIN = f"""train-dcgan.py --dataset {OUT}/faces --preset original --image-size {SIZE}
    --gf-dim 32 --df-dim 32 --learning-rate 0.0005 --g-steps 1 --ema 4000 --batch-size 16
    --epoch 12 --checkpoint-dir {OUT}/checkpoint --sample-dir {OUT}/samples --log-dir {OUT}/logs"""
COMPLETE = f"""complete.py {OUT}/unseen --checkpoint-dir {OUT}/checkpoint
    --out-dir {OUT}/completions"""


def main() -> int:
    started = time.monotonic()
    draw(OUT / "faces", 1024, seed=0)
    draw(OUT / "unseen", 16, seed=1)
    command(TRAIN)
    command(COMPLETE)
    show(OUT / "completions", OUT / "result.png")
    print(f"\nDone in {time.monotonic() - started:.0f} seconds. Look at")
    print(f"  {OUT}/result.png                  unseen faces, what is known of them, completed")
    print(f"  {OUT}/completions/completion.gif  the search, from its start on")
    print(f"  {OUT}/samples/                    faces the model makes, as it learned")
    print(f"and at the course of training with: tensorboard --logdir ./{OUT}/logs")
    return 0


def draw(folder: Path, count: int, seed: int) -> None:
    """Faces as PNG files; those that are there already are as they would be drawn."""
    if folder.exists() and len(list(folder.glob("*.png"))) == count:
        return
    print(f"drawing {count} faces into {folder}")
    for number, face in enumerate(drawn_faces(count, SIZE, seed)):
        images.write(folder / f"{number:04d}.png", face)


def command(line: str) -> None:
    """Run one of the program's commands, shown as one would type it."""
    words = shlex.split(line)
    print(f"\n$ ./{shlex.join(words)}", flush=True)
    status = subprocess.run([sys.executable, ROOT / words[0], *words[1:]]).returncode
    if status:
        sys.exit(status)


def show(completions: Path, path: Path, enlarged: int = 4) -> None:
    """One picture of before.png, masked.png and the last of completed/, one below the other."""
    last = max((completions / "completed").glob("*.png"))
    rows = [images.read(p) for p in (completions / "before.png", completions / "masked.png", last)]
    images.write(path, np.concatenate(rows).repeat(enlarged, 0).repeat(enlarged, 1))


if __name__ == "__main__":
    cli.run(main)
