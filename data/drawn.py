"""Cartoon faces and paintings drawn by seeded functions: for the demo, the tests and the documents;
they belong to nobody."""

import colorsys

import cv2
import numpy as np
from scipy.ndimage import gaussian_filter

from pictures.averages import block_means, grey

_SKINS = [(255, 224, 196), (234, 192, 150), (198, 140, 98), (140, 90, 60), (90, 58, 40)]
_HAIRS = [(40, 26, 20), (96, 60, 30), (200, 160, 80), (130, 130, 130), (150, 60, 30)]


def drawn_faces(
    count: int, size: int = 64, seed: int = 0, channels: int = 3, glasses: bool = False
) -> np.ndarray:
    """`count` faces as uint8 (count, size, size, channels); face i depends on (seed, i) alone, and
    may wear glasses."""
    generators = (np.random.default_rng([seed, i]) for i in range(count))
    return np.stack([_face(generator, size, channels, glasses) for generator in generators])


def _face(rng: np.random.Generator, size: int, channels: int, glasses: bool) -> np.ndarray:
    scale = 3  # drawn larger, then averaged: soft edges
    axis = (np.arange(size * scale) + 0.5) / (size * scale)
    y, x = np.meshgrid(axis, axis, indexing="ij")
    x = x - rng.uniform(-0.04, 0.04)
    y = y - rng.uniform(-0.04, 0.04)
    width, height = rng.uniform(0.30, 0.38), rng.uniform(0.38, 0.46)
    eye_y, eye_dx, eye_r = rng.uniform(0.40, 0.46), rng.uniform(0.13, 0.17), rng.uniform(0.03, 0.05)
    mouth_y, mouth_w = rng.uniform(0.70, 0.77), rng.uniform(0.09, 0.17)
    smile = rng.uniform(-0.05, 0.08)
    skin, hair = (np.array(c[rng.integers(5)], float) for c in (_SKINS, _HAIRS))
    light = 1 - 0.25 * (x - 0.5) * rng.uniform(-1, 1)

    canvas = np.empty((*x.shape, 3))
    canvas[:] = rng.uniform(60, 220, 3)
    canvas[_disc(x, y, 0.5, 0.42, width * 1.12, height * 1.08)] = hair
    canvas[_disc(x, y, 0.5, 0.55, width, height)] = skin
    for side in (-1, 1):
        eye_x = 0.5 + side * eye_dx
        canvas[_disc(x, y, eye_x, eye_y, 1.7 * eye_r, eye_r)] = 245
        canvas[_disc(x, y, eye_x, eye_y, 0.8 * eye_r, 0.9 * eye_r)] = (50, 40, 40)
        brow = (abs(x - eye_x) < 0.07) & (abs(y - eye_y + 0.085) < 0.014)
        canvas[brow] = hair * 0.8
        if glasses:
            lens, frame = (_disc(x, y, eye_x, eye_y, r, r) for r in (0.075, 0.105))
            canvas[frame & ~lens] = 20
    canvas[_disc(x, y, 0.5, 0.60, 0.035, 0.05)] = skin * 0.82
    curve = mouth_y - smile * ((x - 0.5) / mouth_w) ** 2
    canvas[(abs(x - 0.5) < mouth_w) & (abs(y - curve) < 0.018)] = (160, 50, 60)

    canvas = block_means(canvas * light[..., None], scale)
    canvas = canvas + rng.normal(0, 2, canvas.shape)
    if channels == 1:
        canvas = grey(canvas)
    return np.clip(np.rint(canvas), 0, 255).astype(np.uint8)


PAINTINGS = ("strokes", "glass")


def drawn_painting(kind: str, size: int = 256, seed: int = 0) -> np.ndarray:
    """uint8 (size, size, 3): "strokes" that follow a flow, or a window of stained "glass"; colours
    and forms depend on the seed."""
    rng = np.random.default_rng([seed, PAINTINGS.index(kind)])
    colours = _palette(rng, 6)
    paint = {"strokes": _strokes, "glass": _glass}[kind]
    return np.clip(np.rint(paint(rng, size, colours)), 0, 255).astype(np.uint8)


def _palette(rng: np.random.Generator, count: int) -> np.ndarray:
    """Colours (count, 3) of three hues, from dark to light."""
    hues = rng.choice(rng.uniform(size=3), count) + rng.normal(0, 0.03, count)
    saturations = rng.uniform(0.3, 0.85, count)
    values = np.linspace(0.25, 1, count)
    colours = zip(hues % 1, saturations, values, strict=True)
    return 255 * np.array([colorsys.hsv_to_rgb(*colour) for colour in colours])


def _strokes(rng: np.random.Generator, size: int, colours: np.ndarray) -> np.ndarray:
    """Brush strokes along a smooth field, in colours that change slowly from place to place."""
    across, down, tone = (
        gaussian_filter(rng.normal(size=(size, size)), size / wide) for wide in (8, 8, 10)
    )
    tone = (tone - tone.min()) / np.ptp(tone) * (len(colours) - 1)
    canvas = np.full((size, size, 3), colours[0])
    for y, x in rng.integers(0, size, (5000, 2)):
        way = np.array([across[y, x], down[y, x]])
        half = way / np.linalg.norm(way) * size * rng.uniform(0.015, 0.03)
        position = np.clip(tone[y, x] + rng.normal(0, 0.3), 0, len(colours) - 1)
        colour = [np.interp(position, np.arange(len(colours)), c) for c in colours.T]
        colour += rng.normal(0, 12, 3)
        ends = (np.rint((np.array([x, y]) + sign * half) * 16).astype(int) for sign in (-1, 1))
        width = max(1, size // 110)
        cv2.line(canvas, *(tuple(map(int, end)) for end in ends), tuple(colour), width, shift=4)
    return canvas


def _glass(rng: np.random.Generator, size: int, colours: np.ndarray) -> np.ndarray:
    """Cells around random points, cloudy, with dark lead between them."""
    points = rng.uniform(0, size, (90, 2))
    place = np.stack(np.mgrid[:size, :size], axis=-1)[:, :, None]
    distances = np.linalg.norm(place - points, axis=3)  # (size, size, 90)
    nearest, second = np.partition(distances, 1, axis=2)[..., :2].transpose(2, 0, 1)
    cells = colours[rng.integers(len(colours), size=len(points))] * rng.uniform(0.7, 1.1, (90, 1))
    clouds = gaussian_filter(rng.normal(size=(size, size)), size / 40)
    canvas = cells[distances.argmin(axis=2)] * (1 + 0.1 * clouds / clouds.std())[..., None]
    lead = np.clip((second - nearest) / size * 128 - 1.5, 0, 1)[..., None]
    return canvas * lead + 25 * (1 - lead)


def _disc(x, y, centre_x, centre_y, radius_x, radius_y) -> np.ndarray:
    return ((x - centre_x) / radius_x) ** 2 + ((y - centre_y) / radius_y) ** 2 < 1
