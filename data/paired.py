"""Pictures of two kinds to train on: a damaged one beside its whole one, or any with any."""

from pathlib import Path

import numpy as np

from data.pipeline import Data, Decode, decoded
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


def any_with_any(
    pictures: np.ndarray, numbers: np.ndarray, other: Data, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Pictures (N, S, S, C) and as many of another set, half of each mirrored; see Data.pairs.

    Each epoch of the other set shuffles it anew; what is drawn depends on the seed and the numbers.
    """
    epochs = {number // other.count for number in numbers}
    orders = {e: np.random.default_rng((seed, 3, e)).permutation(other.count) for e in epochs}
    chosen = [orders[number // other.count][number % other.count] for number in numbers]
    both = pictures, codecs.to_float(other.load(np.array(chosen)))
    mirrored = [np.random.default_rng((seed, 4, number)).random(2) < 0.5 for number in numbers]
    turns = np.array(mirrored).T[..., None, None, None]
    pairs = zip(both, turns, strict=True)
    return tuple(np.where(turn, part[:, :, ::-1], part) for part, turn in pairs)
