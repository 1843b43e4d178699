"""Toned photographs: sepia, cyanotype, grey stored as colour. Their colours follow from brightness.

A network that knows colour photographs fills a hole in a sepia one with patches of skin colours.
So a toned picture is completed in grey, and what fills the hole gets the picture's own tone.
"""

import numpy as np

from pictures import averages

# Most pixels lie this near the curve, in grey levels. Of 289 faces in colour two do so; of toned
# ones saved as JPEG at qualities from 50 to 90, nine in ten.
SHARE, LIMIT = 0.75, 5.0
LEAST_SPREAD = 4.0  # grey levels: less contrast tells no tone
MOST = 50_000  # pixels that are looked at


def of(pixels: np.ndarray, known: np.ndarray) -> np.ndarray | None:
    """The tone of a picture, float (256, 3): the colour of each brightness; None if it has many.

    pixels: uint8 (H, W, C); known: bool (H, W), which of them count. A picture is toned where all
    its colours lie near one curve through the cube of colours, a cubic in brightness; of a picture
    of one channel, or without contrast, nothing is to be said.
    """
    if pixels.shape[2] != 3:
        return None
    rows = pixels[known]
    rows = rows[:: max(1, len(rows) // MOST)].astype(np.float64)
    brightness = averages.grey(rows)[:, 0]
    if len(rows) < 16 or brightness.std() < LEAST_SPREAD:
        return None
    basis = np.vander(brightness / 255, 4)
    curve, *_ = np.linalg.lstsq(basis, rows, rcond=None)
    off = np.abs(basis @ curve - rows).max(axis=1)
    if np.quantile(off, SHARE) > LIMIT:
        return None
    # Beyond the known brightnesses a cubic may go anywhere: the colour of the last one is kept,
    # lightened or darkened alike in all channels.
    levels = np.arange(256.0)
    inside = np.clip(levels, *np.quantile(brightness, (0.001, 0.999)))
    tone = np.vander(inside / 255, 4) @ curve
    tone += levels[:, None] - averages.grey(tone)
    return np.clip(tone, 0, 255)


def to_grey(pixels: np.ndarray) -> np.ndarray:
    """float (..., 3) of any range -> its brightness in all three channels."""
    return np.repeat(averages.grey(pixels), 3, axis=-1)


def apply(tone: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """The brightness of float (..., 3), 0 to 255, in that tone: float (..., 3)."""
    brightness = np.clip(averages.grey(pixels)[..., 0], 0, 255)
    levels = np.arange(256)
    return np.stack([np.interp(brightness, levels, tone[:, c]) for c in range(3)], axis=-1)
