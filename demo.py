#!/usr/bin/env python3
"""What `make demo` runs: align the face of a photograph, hide its middle, complete, paste back.

It takes a photograph in the public domain and the model that ships, and writes into demo/. Remove
that folder to start over; otherwise it finds its work done.
"""

import os
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

import cli
from pictures import codecs

ROOT = Path(__file__).resolve().parent
PHOTOGRAPH = ROOT / "examples" / "astronaut.jpg"
OUT = Path("demo")
PANEL = 320  # pixels a side in result.png

ALIGN = f"align/align-dlib.py {OUT}/photographs align innerEyesAndBottomLip {OUT}/faces --size 64"
COMPLETE = f"""complete.py {OUT}/faces --maskType center --checkpointDir models/faces64
    --outDir {OUT}/completions"""
PASTE = f"""align/align-dlib.py {OUT}/faces unalign {OUT}/completions/results {OUT}/pasted
    --mask {OUT}/completions/masks"""


def main() -> int:
    started = time.monotonic()
    os.chdir(ROOT)
    (OUT / "photographs").mkdir(parents=True, exist_ok=True)
    shutil.copy(PHOTOGRAPH, OUT / "photographs")
    for line in (ALIGN, COMPLETE, PASTE):
        command(line)
    show(OUT / "result.png")
    print(f"\nDone in {time.monotonic() - started:.0f} seconds. Look at")
    print(f"  {OUT}/result.png                  photograph, hole, completion, pasted back")
    print(f"  {OUT}/pasted/astronaut.png        the photograph with the completed face, full size")
    print(f"  {OUT}/completions/completion.gif  the search, from its start on")
    print("What fills the hole is invented: it is what the model finds likely, not what was there.")
    return 0


def command(line: str) -> None:
    """Run one of the program's commands, shown as one would type it."""
    words = shlex.split(line)
    print(f"\n$ ./{shlex.join(words)}", flush=True)
    status = subprocess.run([sys.executable, *words]).returncode
    if status:
        sys.exit(status)


def show(path: Path) -> None:
    """One row: photograph, face with the hole, completed face, photograph with that face."""
    row = [
        OUT / "photographs/astronaut.jpg",
        OUT / "completions/masked.png",
        OUT / "completions/results/astronaut.png",
        OUT / "pasted/astronaut.png",
    ]
    panels = [codecs.fit(codecs.read(each), PANEL) for each in row]
    codecs.write(path, np.concatenate(panels, axis=1))


if __name__ == "__main__":
    cli.run(main)
