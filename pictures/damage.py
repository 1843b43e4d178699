"""Damage, to learn from how it is undone: holes of every kind that pictures have, drawn by seed."""

from collections.abc import Callable

import cv2
import numpy as np

from pictures import masks

LETTERS = "ABDEGHKMNPRSTWXYZ2468&"


def make_pairs(
    pictures: np.ndarray, numbers: np.ndarray, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Of clean pictures (N, S, S, C) what a step takes: half of them mirrored, and masks.

    What is drawn depends on the seed and each picture's number in the run, see data.pipeline.
    """
    mirrored = [np.random.default_rng((seed, 0, number)).random() < 0.5 for number in numbers]
    pictures = np.where(np.reshape(mirrored, (-1, 1, 1, 1)), pictures[:, :, ::-1], pictures)
    masks = [draw_hole(pictures.shape[1], (seed, 1, number)) for number in numbers]
    return pictures, np.stack(masks)


def draw_hole(size: int, seed: tuple[int, ...]) -> np.ndarray:
    """A mask, float32 (size, size, 1), 1 = known, decided by the seed: one of HOLES, by weight.

    Never everything, never nothing, and of half of the draws the mirror image.
    """
    rng = np.random.default_rng(seed)
    makers, weights = zip(*HOLES, strict=True)
    chances = np.array(weights) / sum(weights)
    while True:
        hole = makers[rng.choice(len(makers), p=chances)]((size, size), rng)
        if rng.random() < 0.5:
            hole = hole[:, ::-1]
        if 0 < hole.mean() <= 0.75:
            return masks.from_hole(hole)


def centre(size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """The centre hole of the tables, or one of another size nearby."""
    if rng.random() < 0.7:
        return masks.center_hole(size, 0.25)
    margin, shift = rng.uniform(0.18, 0.36), rng.uniform(-0.08, 0.08, 2)
    return _box(size, shift + margin, shift + 1 - margin)


def rectangles(size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """One to three boxes, each of a tenth to six tenths of a side."""
    hole = np.zeros(size, bool)
    for _ in range(rng.integers(1, 4)):
        extent = rng.uniform(0.1, 0.6, 2)
        corner = rng.uniform(-0.1, 1.1 - extent)
        hole |= _box(size, corner, corner + extent)
    return hole


def half(size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """A side of the picture, a fifth to six tenths of it, straight or slanted."""
    y, x = _axes(size)
    angle = rng.choice(4) * np.pi / 2 + rng.choice([0.0, rng.uniform(-0.4, 0.4)])
    along = (x - 0.5) * np.cos(angle) + (y - 0.5) * np.sin(angle)
    return along > (0.0 if rng.random() < 0.5 else rng.uniform(-0.1, 0.3))


def border(size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """A frame, some of its sides, or a torn corner."""
    y, x = _axes(size)
    if rng.random() < 0.4:
        reach = rng.uniform(0.3, 0.9)
        return (x if rng.random() < 0.5 else 1 - x) + (y if rng.random() < 0.5 else 1 - y) < reach
    sides, width = rng.random(4) < 0.6, rng.uniform(0.05, 0.25, 4)
    near = np.where(sides, width, -1)
    return (x < near[0]) | (1 - x < near[1]) | (y < near[2]) | (1 - y < near[3])


def sunglasses(size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Both eyes of an aligned face, as sunglasses or a bar hide them."""
    y, x = _axes(size)
    centre_y, reach = rng.uniform(0.14, 0.28), rng.uniform(0.08, 0.16)
    if rng.random() < 0.4:
        margin = rng.uniform(0, 0.15)
        return (abs(y - centre_y) < reach) & (x > margin) & (x < 1 - margin)
    hole = (abs(y - centre_y) < rng.uniform(0.02, 0.05)) & (x >= 0)
    for centre_x in (0.25 + rng.uniform(-0.05, 0.05), 0.75 + rng.uniform(-0.05, 0.05)):
        hole |= ((x - centre_x) / rng.uniform(0.18, 0.26)) ** 2 + ((y - centre_y) / reach) ** 2 < 1
    return hole


def text(size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Lines of letters across the picture, as captions and watermarks are."""
    canvas = np.zeros(size, np.uint8)
    scale = rng.uniform(0.3, 0.8) * min(size) / 64
    line = max(6, round(24 * scale))
    first = rng.integers(line, 2 * line + 1)
    for baseline in range(first, size[0] + line, round(line * rng.uniform(1.2, 3))):
        letters = "".join(rng.choice(list(LETTERS), 30))
        place = (int(rng.integers(-line, line)), int(baseline))
        weight = max(1, round(rng.uniform(1, 2.5) * scale))
        cv2.putText(canvas, letters, place, cv2.FONT_HERSHEY_SIMPLEX, scale, 1, weight)
    return canvas > 0


def scratches(size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Thin crooked lines, and specks of dust."""
    canvas = np.zeros(size, np.uint8)
    for _ in range(rng.integers(3, 12)):
        ends = rng.uniform(-0.1, 1.1, (2, 2))
        share = np.linspace(0, 1, 6)[:, None]
        points = ends[0] + share * (ends[1] - ends[0]) + rng.normal(0, 0.02, (6, 2))
        thickness = max(1, round(rng.uniform(0.5, 2.5) * min(size) / 64))
        cv2.polylines(canvas, [np.int32(points * size[::-1])], False, 1, thickness)
    for _ in range(rng.integers(0, 10)):
        place = np.int32(rng.random(2) * size[::-1])
        cv2.circle(canvas, place.tolist(), max(1, round(rng.uniform(1, 3) * min(size) / 64)), 1, -1)
    return canvas > 0


HOLES: tuple[tuple[Callable, float], ...] = (
    (centre, 0.35),
    (rectangles, 0.13),
    (masks.strokes_hole, 0.13),
    (masks.pattern_hole, 0.10),
    (half, 0.09),
    (border, 0.06),
    (sunglasses, 0.06),
    (text, 0.04),
    (scratches, 0.04),
)


def _axes(size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Rows (H, 1) and columns (1, W), pixel centres in (0, 1)."""
    height, width = size
    return (np.arange(height)[:, None] + 0.5) / height, (np.arange(width)[None] + 0.5) / width


def _box(size: tuple[int, int], low: np.ndarray, high: np.ndarray) -> np.ndarray:
    y, x = _axes(size)
    return (y >= low[0]) & (y < high[0]) & (x >= low[1]) & (x < high[1])
