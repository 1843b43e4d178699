"""Ready pairs to train on: a damaged picture beside its whole one."""

from pathlib import Path

import numpy as np

from data.pipeline import Decode, decoded
from pictures import codecs
from pictures.files import Namesakes


def reader(folder: Path) -> tuple[Path, Decode]:
    """Where the pictures of a folder of pairs are to be found, and what reads one of them: as uint8
    (S, S, 2 C), the whole one before the damaged one.

    The folder holds two folders, A with damaged and B with whole pictures of the same names; or
    files that have them side by side, the damaged one on the left.
    """
    if not (folder / "B").is_dir():
        return folder, _halves
    damaged = Namesakes(folder / "A")

    def named_alike(file: Path, image_size: int, channels: int, crop: int | None) -> np.ndarray:
        found = damaged.of(file, folder / "B")
        if len(found) != 1:
            raise ValueError(
                f"{file}: {len(found) or 'no'} pictures in {damaged.place} are of its name; a pair "
                "takes one"
            )
        both = (decoded(path, image_size, channels, crop) for path in (file, found[0]))
        return np.concatenate([*both], axis=2)

    return folder / "B", named_alike


def _halves(file: Path, image_size: int, channels: int, crop: int | None) -> np.ndarray:
    pixels = codecs.read(file, channels)
    width = pixels.shape[1]
    if width % 2 or width < 2:
        raise ValueError(f"{file}: is {width} pixels wide, which two pictures cannot share equally")
    both = pixels[:, width // 2 :], pixels[:, : width // 2]
    return np.concatenate([codecs.fit(half, image_size, crop) for half in both], axis=2)
