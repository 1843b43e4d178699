#!/usr/bin/env python3
"""What `make demo` runs: a photograph with a hole in its face, and one with scratches, completed.

It takes a photograph in the public domain and the model that ships, and writes into demo/. Remove
that folder to start over; otherwise it finds its work done.
"""

import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

import cli  # before packages, of which it says which is missing

# isort: split
import numpy as np

from pictures import codecs, damage

ROOT = Path(__file__).resolve().parent
PHOTOGRAPH = ROOT / "examples" / "astronaut.jpg"
OUT = Path("demo")
SHOWN = (np.s_[40:210], np.s_[135:305])  # rows and columns of the photograph around the face
SCRATCHED = (np.s_[60:190], np.s_[155:285])
PANEL = 360  # pixels a side in result.png

HOLE = f"complete.py examples/astronaut.jpg --face --maskType center --outDir {OUT}/hole"
SCRATCHES = f"""complete.py examples/astronaut.jpg --face --mask {OUT}/scratches.png
    --outDir {OUT}/scratches"""


def main() -> int:
    started = time.monotonic()
    os.chdir(ROOT)
    photograph = codecs.read(PHOTOGRAPH)
    paint(OUT / "scratches.png", scratches(photograph.shape))
    for line in (HOLE, SCRATCHES):
        command(line)
    show(OUT / "result.png", photograph)
    print(f"\nDone in {time.monotonic() - started:.0f} seconds. Look at")
    print(f"  {OUT}/result.png                         each damage, completed, and the photograph")
    print(f"  {OUT}/hole/results/astronaut.png         the photograph with the completed face")
    print(f"  {OUT}/scratches/results/astronaut.png    the photograph without the scratches")
    print("What fills the hole is invented: it is what the model finds likely, not what was there.")
    return 0


def scratches(shape: tuple[int, int, int]) -> np.ndarray:
    """A mask file's pixels, uint8 (H, W, 1): scratches and lines of text over the face."""
    mask = np.zeros(shape[:2], bool)
    size = mask[SCRATCHED].shape
    for draw in (damage.scratches, damage.text):
        mask[SCRATCHED] |= draw(size, np.random.default_rng(3))
    return np.uint8(255 * mask[..., None])


def paint(path: Path, mask: np.ndarray) -> None:
    """Write a mask file, unless it is there: one that is written anew asks for a new completion."""
    if not (path.exists() and np.array_equal(codecs.read(path, 1), mask)):
        codecs.write(path, mask)


def command(line: str) -> None:
    """Run one of the program's commands, shown as one would type it."""
    words = shlex.split(line)
    print(f"\n$ ./{shlex.join(words)}", flush=True)
    status = subprocess.run([sys.executable, *words]).returncode
    if status:
        sys.exit(status)


def show(path: Path, photograph: np.ndarray) -> None:
    """A row for each damage: damaged, completed, and the photograph as it was."""
    rows = []
    for name in ("hole", "scratches"):
        hole = codecs.read(OUT / name / "masks" / "astronaut.png", 1) > 0
        damaged = np.where(hole, 255, photograph)
        completed = codecs.read(OUT / name / "results" / "astronaut.png")
        panels = [codecs.fit(each[SHOWN], PANEL) for each in (damaged, completed, photograph)]
        rows.append(np.concatenate(panels, axis=1))
    codecs.write(path, np.concatenate(rows))


if __name__ == "__main__":
    cli.run(main)
