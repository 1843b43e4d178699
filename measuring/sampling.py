"""What sample.py shows of a model: chosen samples, walks, arithmetic, nearest training pictures.

A sample has a number: sample i of a seed is row i of model.draw, whatever else is drawn. Pictures
are float (N, S, S, C) in [-1, 1]; what comes out as a picture to look at is uint8 (H, W, C).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from measuring.features import Extractor
from pictures import codecs, grids
from search.space import Space

if TYPE_CHECKING:
    from model import DCGAN

NOISE = 0.25  # around the result of arithmetic, as in Radford et al. 2016
SEEN = 0.25  # of what two samples usually differ by: less is hardly seen
COARSE = 8  # pixels: styles up to here are mixed with those of larger maps
GAP = 8  # white pixels between parts of a figure


def latents(
    model: "DCGAN", numbers: Sequence[int], seed: int = 0, truncation: float = 1.0
) -> np.ndarray:
    """z (N, z_dim) of the samples with these numbers."""
    return model.draw(max(numbers) + 1, seed, truncation)[list(numbers)]


def walk(space: Space, z: np.ndarray, frames: int, truncation: float = 1.0) -> np.ndarray:
    """A closed walk through z (N, z_dim), `frames` steps a leg: (N * frames, z_dim)."""
    shares = np.linspace(0, 1, frames, endpoint=False)
    legs = zip(z, np.roll(z, -1, axis=0), strict=True)
    return np.float32(np.concatenate([space.between(*leg, shares, truncation) for leg in legs]))


def arithmetic(
    model: "DCGAN", plus: np.ndarray, minus: np.ndarray, also: np.ndarray, seed: int = 0
) -> np.ndarray:
    """The figure of Radford et al. 2016 (7): mean z of `plus` - mean of `minus` + mean of `also`.

    Each of the three, z (N, z_dim), is a column of its samples with the sample of its mean below;
    to their right the result, in the middle of eight with noise of +-NOISE on z.
    """
    columns = [_column(model, z) for z in (plus, minus, also)]
    result = plus.mean(axis=0) - minus.mean(axis=0) + also.mean(axis=0)
    noise = model.space.draw(np.random.default_rng(seed), 9, truncation=NOISE)
    noise[4] = 0
    around = grids.grid(codecs.to_bytes(model.generate(result + noise)), 3)
    return side_by_side([*columns, around])


def pairs(
    model: "DCGAN", numbers: Sequence[int], seed: int = 0, truncation: float = 1.0
) -> np.ndarray:
    """Of a model of K classes, each of N samples in each class, of one z: (N * K, S, S, C)."""
    shown = [given.generate(latents(given, numbers, seed, truncation)) for given in model.each()]
    return np.stack(shown, axis=1).reshape(-1, *shown[0].shape[1:])


def mixed(model: "DCGAN", coarse: np.ndarray, fine: np.ndarray) -> np.ndarray:
    """The figure of Karras et al. 2019 (3): latents of a style-based model, coarse (M, Z) to the
    left and fine (N, Z) above, and between them what the styles of both make; the coarse ones are
    those of the layers up to COARSE x COARSE pixels. Raises ValueError for another model."""
    if model.config.architecture != "style":
        raise ValueError(
            "styles are mixed by a style-based model; train-dcgan.py --architecture style makes one"
        )
    split = 2 * (COARSE.bit_length() - 2)  # layers, two a resolution from 4 pixels on
    rest = model.config.style_count - split
    rows = [
        np.concatenate([np.tile(one, (len(fine), split)), np.tile(fine, (1, rest))], axis=1)
        for one in coarse
    ]
    between = [model.generate(row) for row in rows]
    left, above = (codecs.to_bytes(model.generate(latents)) for latents in (coarse, fine))
    corner = np.full_like(left[0], 255)
    cells = [corner, *above]
    for one, row in zip(left, between, strict=True):
        cells += [one, *codecs.to_bytes(row)]
    return grids.grid(np.stack(cells), len(fine) + 1)


class Change(NamedTuple):
    """What arithmetic changes, root mean square in grey levels: `made`, from the sample of mean
    `also` to the result; usual: from one sample of the model to another."""

    made: float
    usual: float

    @property
    def is_seen(self) -> bool:
        return self.made > SEEN * self.usual


def change(model: "DCGAN", plus: np.ndarray, minus: np.ndarray, also: np.ndarray) -> Change:
    """How much of a difference plus - minus makes to `also`, each z (N, z_dim)."""
    there = also.mean(axis=0)
    made = np.stack([there, plus.mean(axis=0) - minus.mean(axis=0) + there])
    return Change(_apart(model.generate(made)), _apart(model.sample(16, seed=1)))


def _apart(pictures: np.ndarray) -> float:
    """Root mean square, in grey levels, between the first half of pictures and the second."""
    first, second = np.split(127.5 * pictures, 2)
    return float(np.sqrt(np.mean(np.square(first - second))))


def _column(model: "DCGAN", z: np.ndarray) -> np.ndarray:
    mean = z.mean(axis=0, keepdims=True)
    pictures = codecs.to_bytes(model.generate(np.concatenate([z, mean])))
    gap = np.full((GAP, *pictures.shape[2:]), 255, np.uint8)
    return np.concatenate([*pictures[:-1], gap, pictures[-1]])


def side_by_side(parts: Sequence[np.ndarray]) -> np.ndarray:
    """uint8 (H, W, C) of any heights in one row, their bottoms level, on white."""
    height = max(len(part) for part in parts)
    padded = [
        np.pad(part, ((height - len(part), 0), (GAP * (i > 0), 0), (0, 0)), constant_values=255)
        for i, part in enumerate(parts)
    ]
    return np.concatenate(padded, axis=1)


class Nearest(NamedTuple):
    """Of each of N samples the K nearest pictures: their numbers and distances, both (N, K).

    usual: the median distance of a picture from the nearest other one. A sample that is much nearer
    to a training picture than these are to each other is a copy.
    """

    pictures: np.ndarray
    distances: np.ndarray
    usual: float


def find_nearest(
    samples: np.ndarray, pictures: np.ndarray, count: int, extract: Extractor | None = None
) -> Nearest:
    """Nearest among pictures, uint8 (M, S, S, C), to samples (N, S, S, C), at most `count` of them.

    Distance is the root mean square difference in grey levels, 0 to 255, or, with an extractor,
    Euclidean in its features.
    """
    scale = samples[0].size ** -0.5
    if extract:
        scale = 1.0
        samples, pictures = (extract(codecs.to_float(p)) for p in (samples, pictures))
    numbers, distances = _nearest_rows(samples, pictures, count)
    some = np.random.default_rng(0).permutation(len(pictures))[:100]
    others = _nearest_rows(pictures[some], pictures, 2)[1][:, -1]  # the first is itself
    return Nearest(numbers, distances * scale, float(np.median(others)) * scale)


def _nearest_rows(queries: np.ndarray, rows: np.ndarray, count: int) -> tuple[np.ndarray, ...]:
    found = []
    for query in queries:
        distances = np.concatenate(
            [
                np.linalg.norm((part - np.float32(query)).reshape(len(part), -1), axis=1)
                for part in np.split(rows, range(1024, len(rows), 1024))
            ]
        )
        order = np.argsort(distances, kind="stable")[:count]
        found.append((order, distances[order]))
    return tuple(np.array(part) for part in zip(*found, strict=True))


def beside(pictures: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Each of uint8 (N, S, S, C) to the left of its row of (N, K, S, S, C)."""
    rows = [
        side_by_side([one, grids.grid(row, len(row))])
        for one, row in zip(pictures, others, strict=True)
    ]
    return np.concatenate(rows)


def write_each(model: "DCGAN", z: np.ndarray, numbers: Sequence[int], folder: Path) -> None:
    """One file for each sample, by its number; memory does not grow with theirs."""
    for first in range(0, len(z), 256):
        pictures = codecs.to_bytes(model.generate(z[first : first + 256]))
        for number, picture in zip(numbers[first : first + 256], pictures, strict=True):
            codecs.write(folder / f"{number:06d}.png", picture)
