"""Cartoon faces drawn by a seeded function: for the demo and the tests; they belong to nobody."""

import numpy as np

from pictures.averages import block_means, grey

_SKINS = [(255, 224, 196), (234, 192, 150), (198, 140, 98), (140, 90, 60), (90, 58, 40)]
_HAIRS = [(40, 26, 20), (96, 60, 30), (200, 160, 80), (130, 130, 130), (150, 60, 30)]


def drawn_faces(count: int, size: int = 64, seed: int = 0, channels: int = 3) -> np.ndarray:
    """`count` faces as uint8 (count, size, size, channels); face i depends on (seed, i) alone."""
    return np.stack([_face(np.random.default_rng([seed, i]), size, channels) for i in range(count)])


def _face(rng: np.random.Generator, size: int, channels: int) -> np.ndarray:
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
    canvas[_disc(x, y, 0.5, 0.60, 0.035, 0.05)] = skin * 0.82
    curve = mouth_y - smile * ((x - 0.5) / mouth_w) ** 2
    canvas[(abs(x - 0.5) < mouth_w) & (abs(y - curve) < 0.018)] = (160, 50, 60)

    canvas = block_means(canvas * light[..., None], scale)
    canvas = canvas + rng.normal(0, 2, canvas.shape)
    if channels == 1:
        canvas = grey(canvas)
    return np.clip(np.rint(canvas), 0, 255).astype(np.uint8)


def _disc(x, y, centre_x, centre_y, radius_x, radius_y) -> np.ndarray:
    return ((x - centre_x) / radius_x) ** 2 + ((y - centre_y) / radius_y) ** 2 < 1
