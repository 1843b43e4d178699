"""Files of pictures and masks for tests of completion."""

from collections import deque
from pathlib import Path

import numpy as np
from PIL import Image

from completion.options import Options
from search.latent import Search
from search.objective import Objective

QUICK = Options(
    Search(steps=2, lr=0.1, start="ridge"), Objective(), "weighted", 7, "poisson", guide="linear"
)
POINTS = [(38, 25), (60, 24), (50, 48)]  # inner corners of the eyes, bottom lip, of a picture


def last(moments):
    return deque(moments, maxlen=1)[0]


def save(path, pixels, mode=None) -> Path:
    """A picture file of uint8 (H, W, C)."""
    image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    (image.convert(mode) if mode else image).save(path)
    return path


def noise(shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def save_mask(path, mask) -> Path:
    return save(path, np.uint8(255 * (1 - mask)))
