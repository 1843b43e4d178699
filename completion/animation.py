"""completion.gif: how completions came about, at a size one can look at."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from align import geometry
from completion.case import Case, seen_of, with_channels
from pictures import codecs, grids

COLUMNS = 8  # of a grid, as in the original
PICTURES = 64  # of a batch that are shown
SIDE = 256  # pixels of a picture, which no model's square exceeds
WIDTH = 768  # pixels of all columns together
FRAMES = 16  # of a search that has so many steps, besides the known picture and the first step
SECONDS = 3.0  # that few frames last together


@dataclass(frozen=True)
class View:
    """A case to look at, SIDE x SIDE pixels: known, uint8 (V, V, C), black where hidden; hole:
    bool (V, V, 1)."""

    known: np.ndarray
    hole: np.ndarray

    @classmethod
    def of(cls, case: Case) -> Self:
        """The square of a case that has its picture, sharper than the model sees it."""
        size, channels = case.square.shape[1:]
        matrix = case.matrix * (SIDE / size)
        matrix[:, 2] += (SIDE / size - 1) / 2  # pixel centres lie at whole numbers
        seen = seen_of(case.picture)
        mask = case.mask if seen is None else case.mask * seen[..., None]
        square, known = geometry.warp_masked(case.picture.pixels, mask, matrix=matrix, size=SIDE)
        pixels = np.where(known > 0, np.rint(square), 0).astype(np.uint8)
        return cls(with_channels(pixels, channels), known == 0)


class Animation:
    """Collects a frame where one is due, and writes them all; total: steps of the search."""

    def __init__(self, views: Sequence[View], total: int):
        views = views[:PICTURES]
        self._columns, self._total = min(COLUMNS, len(views)), total
        self._side = min(SIDE, WIDTH // self._columns)
        self._views = [
            View(
                codecs.resize(view.known, self._side, self._side),
                codecs.resize(np.uint8(view.hole) * 255, self._side, self._side) > 127,
            )
            for view in views
        ]
        self._steps: list[int] = []
        self._frames = [self._grid([view.known for view in self._views])]

    def is_due(self, step: int, last: bool = False) -> bool:
        """Whether a step is to be shown: FRAMES of the total, evenly, and the last."""
        if self._steps and step == self._steps[-1]:
            return False
        return last or step * FRAMES >= len(self._steps) * self._total

    def add(self, step: int, completed: np.ndarray) -> None:
        """Show what a step has come to: completed squares, uint8 (N, S, S, C)."""
        self._steps.append(step)
        shown = [
            np.where(view.hole, codecs.resize(square, self._side, self._side), view.known)
            for view, square in zip(self._views, completed, strict=False)
        ]
        self._frames.append(self._grid(shown))

    def write(self, path: Path) -> None:
        seconds = max(0.2, SECONDS / len(self._frames))
        grids.write_gif(path, self._frames, seconds_per_frame=seconds)

    def _grid(self, pictures: Sequence[np.ndarray]) -> np.ndarray:
        return grids.grid(np.stack(pictures), self._columns)
