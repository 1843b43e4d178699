"""A picture of any size by a network of one: overlapping tiles, row by row; no TensorFlow."""

from collections.abc import Callable, Iterator

import numpy as np

from pictures import codecs
from pictures.damage import Damage

Mend = Callable[[np.ndarray], np.ndarray]  # float32 (N, S, S, C) in [-1, 1] -> the same


def mended(given: np.ndarray, mend: Mend, size: int, damage: Damage) -> Iterator[np.ndarray]:
    """A damaged picture, uint8 (H, W, C), mended: its rows from above, some at a time, float32
    (rows, factor W, C) in [-1, 1], in all factor H of them.

    mend: takes squares of size S. Tiles overlap by a quarter, and weigh less toward their edges, so
    that none shows; beyond the picture it is reflected. Memory grows with the width alone. What is
    known of the whole is put back, see Damage.restored.
    """
    height, width = (side * damage.factor for side in given.shape[:2])
    tops, lefts, ramp = _tiling(size, damage.block, height, width)
    step, reach = size if len(tops) == 1 else tops[1], lefts[-1] + size
    across = np.zeros(reach, np.float32)
    for left in lefts:
        across[left : left + size] += ramp
    held, weight = np.zeros((size, reach, given.shape[2]), np.float32), np.zeros(size, np.float32)
    for top in tops:
        squares = np.stack([_tile(given, top, left, size, damage) for left in lefts])
        for left, square in zip(lefts, _made(squares, mend, damage), strict=True):
            columns = slice(left, left + size)
            share = ramp[:, None] * ramp / across[columns]
            held[:, columns] += share[..., None] * square
        weight += ramp
        rows = min(size if top == tops[-1] else step, height - top)
        band = held[:rows, :width] / weight[:rows, None, None]
        before = given[top // damage.factor : (top + rows) // damage.factor]
        yield damage.restored(band, codecs.to_float(before), smooth=0)
        held, weight = (_moved_up(part, step) for part in (held, weight))


def _tiling(size: int, unit: int, height: int, width: int) -> tuple[range, range, np.ndarray]:
    """The first rows and columns of tiles on a grid of `unit`, and what their pixels weigh along a
    side, (size,): rising smoothly over the overlap."""
    overlap = max(size // 4 // unit, 1) * unit
    tops, lefts = (range(0, max(side - overlap, 1), size - overlap) for side in (height, width))
    rise = np.minimum((np.arange(size) + 0.5) / overlap, 1)
    return tops, lefts, np.float32(np.sin(np.pi / 2 * np.minimum(rise, rise[::-1])) ** 2)


def _moved_up(rows: np.ndarray, step: int) -> np.ndarray:
    return np.concatenate([rows[step:], np.zeros_like(rows[:step])])


def _tile(given: np.ndarray, top: int, left: int, size: int, damage: Damage) -> np.ndarray:
    """The damaged tile, uint8, whose mended one has that corner."""
    rows, columns = (
        _reflected(np.arange(start // damage.factor, (start + size) // damage.factor), length)
        for start, length in zip((top, left), given.shape, strict=False)
    )
    return given[rows[:, None], columns]


def _reflected(places: np.ndarray, length: int) -> np.ndarray:
    """Places along a side, those beyond its end reflected there and back."""
    places = places % (2 * length)
    return np.minimum(places, 2 * length - 1 - places)


def _made(squares: np.ndarray, mend: Mend, damage: Damage) -> np.ndarray:
    """Damaged tiles, uint8 (N, S / factor, S / factor, C), mended: float32 (N, S, S, C)."""
    squares = codecs.to_float(squares)
    made = mend(np.stack([damage.enlarged(square) for square in squares]))
    pairs = zip(made, squares, strict=True)
    return np.stack([damage.restored(picture, square) for picture, square in pairs])
