"""Folders of pictures as sets to measure with: whom they show, which of them, and their pixels."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pictures import codecs

RULE = "a file NAME_0001.png shows the person NAME; any other name stands for a person of its own"


def people(paths: Sequence[Path]) -> list[str]:
    """Who each picture shows, by RULE: George_W_Bush_0001.png shows George_W_Bush.

    Where all of several names give one person (photo_0001.png, photo_0002.png), the numbers tell
    pictures, not photographs of somebody, and each picture stands for a person of its own.
    """
    names = [_person(path) for path in paths]
    return names if len(set(names)) > 1 else [path.stem for path in paths]


def apart(paths: Sequence[Path], others: Sequence[Path]) -> list[Path]:
    """Those of `paths` that show nobody whom `others` show."""
    if len({_person(path) for path in others}) > 1:
        shown = {_person(path) for path in others}
        return [path for path in paths if _person(path) not in shown]
    stems = {path.stem for path in others}
    return [path for path in paths if path.stem not in stems]


def _person(path: Path) -> str:
    numbered = re.fullmatch(r"(.+)_\d+", path.stem)
    return numbered[1] if numbered else path.stem


def spread(paths: Sequence, count: int | None) -> list:
    """`count` of the items at even distances, or all; names in order are no fair sample."""
    if count is None or count >= len(paths):
        return list(paths)
    return [paths[i] for i in np.arange(count) * len(paths) // count]


def read_all(paths: Sequence[Path], size: int, channels: int) -> np.ndarray:
    """Their centre squares at the model's size: uint8 (N, size, size, channels)."""
    squares = np.empty((len(paths), size, size, channels), np.uint8)
    for square, path in zip(squares, paths, strict=True):
        square[:] = codecs.fit(codecs.read(path, channels), size)
    return squares
