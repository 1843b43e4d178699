"""Many pictures as one: grids and animations."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from pictures.codecs import to_pillow
from pictures.files import replacing

ANIMATIONS = (".gif", ".webp", ".png")  # suffixes of files that hold one


def grid(pixels: np.ndarray, columns: int | None = None) -> np.ndarray:
    """uint8 (N, H, W, C) as one picture, row by row; about square unless `columns` is given."""
    count, height, width, channels = pixels.shape
    columns = columns or int(np.ceil(np.sqrt(count)))
    rows = -(-count // columns)
    canvas = np.full((rows * columns, height, width, channels), 0, np.uint8)
    canvas[:count] = pixels
    canvas = canvas.reshape(rows, columns, height, width, channels).swapaxes(1, 2)
    return canvas.reshape(rows * height, columns * width, channels)


def write_gif(path: Path | str, frames: Sequence[np.ndarray], seconds_per_frame: float) -> None:
    """Write uint8 (H, W, C) frames as an endless animation; the last is held for two seconds. They
    share 256 colours, which are chosen from a quarter of their pixels: that takes most of the time.
    """
    pictures = [to_pillow(frame).convert("RGB") for frame in frames]
    colours = to_pillow(np.concatenate([np.asarray(p.reduce(2)) for p in pictures])).quantize()
    pictures = [p.quantize(palette=colours, dither=Image.Dither.NONE) for p in pictures]
    durations = [round(1000 * seconds_per_frame)] * (len(pictures) - 1) + [2000]
    with replacing(path) as temporary:
        pictures[0].save(
            temporary, save_all=True, append_images=pictures[1:], duration=durations, loop=0
        )
