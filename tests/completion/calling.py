"""What tests of ./complete.py write and read."""

import json
from pathlib import Path

import numpy as np
from lively import SIZE

from data.drawn import drawn_faces
from pictures import codecs

FEW = ("--nIter", 2)


def write(folder: Path, count: int, size: int = SIZE, seed: int = 0) -> Path:
    """A folder of `count` drawn faces."""
    for number, pixels in enumerate(drawn_faces(count, size, seed)):
        codecs.write(folder / f"face{number:03d}.png", pixels)
    return folder


def files(folder: Path, pattern: str = "*") -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.glob(pattern) if p.is_file())


def report(out: Path) -> dict[str, dict]:
    return {entry["name"]: entry for entry in json.loads((out / "report.json").read_text())}


def painted(path: Path, size: int, rows: slice, columns: slice) -> Path:
    """A mask file that hides a rectangle."""
    mask = np.zeros((size, size, 1), np.uint8)
    mask[rows, columns] = 255
    codecs.write(path, mask)
    return path


def assert_refused(called, words: str) -> None:
    status, _, error = called
    lines = error.strip().split("\n")
    assert status == 2 and len(lines) == 1 and lines[0].startswith("error: "), error
    assert words in lines[0]
