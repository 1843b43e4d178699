"""The hole of a large photograph filled piece by piece: time and memory are those of the hole.

The values are those of pictures.blend over the whole photograph; but nothing is computed where no
hole is near, and no array of floats is ever as large as the photograph.
"""

from collections.abc import Callable

import cv2
import numpy as np

from align import geometry
from align.geometry import Box, block_means, bounds, cut, pieces, wider
from pictures import blend as blending
from pictures.codecs import to_float

BLENDED_PIXELS = 250_000  # a larger hole is blended by way of a smaller one

Piece = Callable[[Box], np.ndarray]  # of a picture's box, float32 (h, w, C)


def fill(generated: Piece, mismatch: Piece, hole: np.ndarray, method: str) -> np.ndarray:
    """What the hole holds once filled and blended, row by row: float32 (pixels, C) in [-1, 1].

    generated: what is pasted, in [-1, 1]; mismatch: the photograph less that, 0 in the hole and
    where nothing is known; hole: bool (H, W); method: one of blend.METHODS.

    Above BLENDED_PIXELS the correction, which is smooth inside the hole, is found on block means
    and enlarged. What it then misses at the hole's edge comes from the nearest known pixel and
    fades out over two blocks, about as deep as such fine detail reaches. Measured on a hole of
    a megapixel: 0.2 of 255 from the exact result on average, in a third of the time.
    """
    if method not in blending.METHODS:
        choices = ", ".join(blending.METHODS)
        raise ValueError(f"unknown blending method {method!r}; choose from {choices}")
    values = _gathered(generated, hole)
    block = int(np.ceil((len(values) / BLENDED_PIXELS) ** 0.5))
    if method == "none" or not len(values) or hole.all():
        return np.clip(values, -1, 1)
    if block > 1:
        values = values + _coarse_correction(mismatch, hole, block=block, method=method)
    elif method == "poisson":
        values = values + _membrane(mismatch, hole)
    else:
        box = bounds(hole, margin=sum(hole.shape))
        values = values + blending.fade(mismatch(box), cut(hole, box))
    return np.clip(values.astype(np.float32), -1, 1)


def _gathered(piece_of: Piece, hole: np.ndarray) -> np.ndarray:
    """The pixels of the hole: (pixels, C)."""
    found = [piece_of(box)[cut(hole, box)] for box in pieces(hole)]
    return np.concatenate(found) if found else piece_of((0, 0, 1, 1))[:0, 0]


def _membrane(mismatch: Piece, hole: np.ndarray) -> np.ndarray:
    """blend.membrane, (pixels, C), from the mismatch next to the hole alone."""

    def boundary(box: Box) -> np.ndarray:
        wide = wider(box, 1, hole.shape)
        missing = [abs(inner - outer) for inner, outer in zip(box, wide, strict=True)]
        left, top, right, bottom = (1 - there for there in missing)
        around = np.pad(mismatch(wide), ((top, bottom), (left, right), (0, 0)))
        return blending.neighbour_sums(around)

    return blending.solve_membrane(_gathered(boundary, hole), hole)


def _coarse_correction(mismatch: Piece, hole: np.ndarray, block: int, method: str) -> np.ndarray:
    """What blending adds in the hole, (pixels, C), by way of means over blocks of pixels."""
    field = _block_field(mismatch, hole, block=block, method=method)
    reach = 2 * block  # over which fine detail fades out

    def correction(box: Box) -> np.ndarray:
        wide = wider(box, reach + 1, hole.shape)
        smooth = _enlarged(field, wide, block)
        fine = mismatch(wide) - smooth
        there, nearest, distance = nearest_known(cut(hole, wide), reach + 1)
        smooth[there] += (1 - (distance - 1) / reach)[:, None] * fine[nearest]
        left, top = box[0] - wide[0], box[1] - wide[1]
        return smooth[top : top + box[3] - box[1], left : left + box[2] - box[0]]

    return _gathered(correction, hole)


Places = tuple[np.ndarray, np.ndarray]  # rows and columns, each (N,)


def nearest_known(hole: np.ndarray, reach: int) -> tuple[Places, Places, np.ndarray]:
    """The pixels of a hole, bool (H, W), that have a known one within `reach`, where the nearest
    is, of several the first by rows, and how far, (N,)."""
    deltas = np.arange(-reach, reach + 1)
    offsets = np.stack(np.meshgrid(deltas, deltas, indexing="ij"), axis=-1).reshape(-1, 2)
    squares = (offsets**2).sum(axis=1)
    nearby = cv2.distanceTransform(np.uint8(hole), cv2.DIST_L2, cv2.DIST_MASK_PRECISE) < reach + 1
    rows, columns = np.nonzero(hole & nearby)
    known = np.pad(~hole, reach)
    found = np.full(len(rows), -1)  # numbers of offsets
    left = np.arange(len(rows))
    for number in np.argsort(squares, kind="stable"):
        if squares[number] > reach**2 or not len(left):
            break
        row, column = offsets[number] + reach
        is_known = known[rows[left] + row, columns[left] + column]
        found[left[is_known]] = number
        left = left[~is_known]
    within = found >= 0
    rows, columns, found = rows[within], columns[within], found[within]
    nearest = rows + offsets[found, 0], columns + offsets[found, 1]
    return (rows, columns), nearest, np.sqrt(squares[found])


def _block_field(mismatch: Piece, hole: np.ndarray, block: int, method: str) -> np.ndarray:
    """The correction of each block, float32 (h, w, C), where hole is near."""
    height, width = hole.shape
    share = block_means(hole[..., None].astype(np.uint8) * np.uint8(255), block)[..., 0]
    near = np.ones_like(share)
    if method == "poisson":
        near = cv2.dilate(np.uint8(share > 0), np.ones((5, 5), np.uint8))
    known = np.ones((*share.shape, 1), np.float32)
    means = None
    for box in pieces(near > 0, max(1, geometry.PIECE_ROWS // block)):
        left, top, right, bottom = (side * block for side in box)
        pixels = (left, top, min(right, width), min(bottom, height))
        mask = 1 - cut(hole, pixels)[..., None].astype(np.float32)
        cut(known, box)[:] = block_means(mask, block)
        found = block_means(mismatch(pixels), block) / np.maximum(cut(known, box), 1 / block**2)
        if means is None:
            means = np.zeros((*share.shape, found.shape[2]), np.float32)
        cut(means, box)[:] = found
    # Blended onto black, a picture of half the mismatch (-1 to 1) shows the correction alone.
    return 2 * blending.blend(means / 2, np.zeros_like(means), mask=np.sign(known), method=method)


def _enlarged(field: np.ndarray, box: Box, block: int) -> np.ndarray:
    """The part `box`, in pixels, of a field given by block."""
    left, top, right, bottom = box
    first_row, first_column = max(top // block - 1, 0), max(left // block - 1, 0)
    part = field[first_row : bottom // block + 2, first_column : right // block + 2]
    size = (part.shape[1] * block, part.shape[0] * block)
    part = cv2.resize(part, size, interpolation=cv2.INTER_LINEAR).reshape(*size[::-1], -1)
    top, bottom = top - first_row * block, bottom - first_row * block
    left, right = left - first_column * block, right - first_column * block
    return part[top:bottom, left:right]


def from_around(pixels: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """What fills a hole, bool (H, W), smoothly from the pixels around it, uint8 (H, W, C): float32
    (pixels, C) in [-1, 1]."""

    def nothing(box: Box) -> np.ndarray:
        return np.zeros_like(cut(pixels, box), np.float32)

    def around(box: Box) -> np.ndarray:
        return np.where(cut(hole, box)[..., None], 0, to_float(cut(pixels, box)))

    return fill(nothing, around, hole=hole, method="poisson")
