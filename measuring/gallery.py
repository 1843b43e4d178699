"""Folders of pictures as sets to measure with: which of them, and their pixels."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

import cli
from data.split import person
from pictures import codecs


def apart(paths: Sequence[Path], others: Sequence[Path]) -> list[Path]:
    """Those of `paths` that show nobody whom `others` show."""
    if len({person(path) for path in others}) > 1:
        shown = {person(path) for path in others}
        return [path for path in paths if person(path) not in shown]
    stems = {path.stem for path in others}
    return [path for path in paths if path.stem not in stems]


def spread(paths: Sequence, count: int | None) -> list:
    """`count` of the items at even distances, or all; names in order are no fair sample."""
    if count is None or count >= len(paths):
        return list(paths)
    return [paths[i] for i in np.arange(count) * len(paths) // count]


def read_all(paths: Sequence[Path], size: int, channels: int) -> tuple[list[Path], np.ndarray]:
    """Those that can be read, and their centre squares: uint8 (N, size, size, channels). The others
    are passed over, each named on standard error; ValueError where nothing is left."""
    readable, squares = [], np.empty((len(paths), size, size, channels), np.uint8)
    for path in paths:
        try:
            squares[len(readable)] = codecs.fit(codecs.read(path, channels), size)
            readable.append(path)
        except (ValueError, OSError) as error:
            cli.pass_over(error)
    if not readable:
        raise ValueError(f"none of {len(paths)} pictures can be read")
    return readable, squares[: len(readable)]
