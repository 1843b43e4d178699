"""A Gaussian model of pictures: what some pixels say about the others, without a network.

Pictures are taken as x = mean + components' c + noise, with c Gaussian (probabilistic PCA, Tipping
& Bishop 1999), on block means of SIZE pixels a side at most. What known pixels say about c, and so
about those that are hidden, is then one linear solve of the size of c per mask: ridge regression.

Two models of this kind serve a completion. One is fitted to pictures that the generator makes and
tells a search where to start (starts.py). The other is fitted to the pictures that the generator
was trained on, and knows of them what the generator missed (completion.py).
"""

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Self

import cv2
import numpy as np

from pictures.averages import block_means
from search.pca import PPCA

SIZE = 32  # pixels a side at most
COMPONENTS = 400  # of a model of training pictures; as stored, 2.5 MB in colour
PICTURES = 10_000  # that it is fitted to at most
EACH = 4  # pictures for each component at least; with fewer, axes describe those pictures alone
CHUNK = 512  # of them in one matrix product
LEAST_VARIANCE = 1e-6  # of the largest; below are rounding errors
SPREAD = 0.5  # deviation of draws over the model's own; at 1 noses and mouths come out doubled
NEIGHBOURS = 4.0  # pixels that err together: channels and neighbours, see Given._noise


@dataclass(frozen=True)
class LinearModel:
    """A Gaussian model of small pictures.

    size, channels: of the small pictures; D = size * size * channels. mean (D,), components (R, D),
    orthonormal, and variances (R,) of c along them; noise: the variance of a pixel around that.
    """

    size: int
    channels: int
    noise: float
    mean: np.ndarray
    components: np.ndarray
    variances: np.ndarray

    @classmethod
    def fit(cls, small: np.ndarray, components: int, seed: int = 0) -> Self:
        """Fit to small pictures, float32 (K, S, S, C) as shrink makes them.

        Components are rounded to what half precision holds, as they will be stored.
        """
        _, size, _, channels = small.shape
        rows = small.reshape(len(small), -1)
        parts = np.split(rows, range(CHUNK, len(rows), CHUNK))
        fitted = PPCA.fit(lambda: parts, components, seed)
        mean = np.float32(fitted.mean)
        basis = fitted.axes.astype(np.float16).astype(np.float32)
        squares = (((part - mean) @ basis.T) ** 2 for part in parts)
        variances = sum(part.sum(axis=0) for part in squares) / len(rows)
        real = variances > LEAST_VARIANCE * variances.max(initial=0)
        rounded = PPCA(fitted.mean, basis[real], variances[real], total=fitted.total)
        return cls(
            size,
            channels,
            noise=rounded.noise,
            mean=mean,
            components=basis[real],
            variances=variances[real],
        )

    @classmethod
    def of_training(cls, pictures: Iterable[np.ndarray], mirrored: bool) -> Self:
        """Fit to training pictures, given as batches float (B, S, S, C) in [-1, 1]; mirrored: and
        to their mirror images. Memory, in colour: 50 kB a picture if mirrored."""
        small = np.concatenate([shrink(batch) for batch in pictures])
        components = min(COMPONENTS, len(small) // EACH)
        if mirrored:
            small = np.concatenate([small, small[:, :, ::-1]])
        return cls.fit(small, components)

    def explained(self, components: int) -> float:
        """The share, 0 to 1, of all variance that lies along the first `components`."""
        rest = self.noise * (self.mean.size - len(self.variances))
        return float(self.variances[:components].sum() / (self.variances.sum() + rest))

    def to_arrays(self) -> dict[str, np.ndarray]:
        """What from_arrays reads, for numpy.savez."""
        arrays = {f.name: np.asarray(getattr(self, f.name)) for f in dataclasses.fields(self)}
        return arrays | {"components": self.components.astype(np.float16)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Self:
        """The model that to_arrays wrote, exactly. Raises ValueError where an array is missing."""
        names = [field.name for field in dataclasses.fields(cls)]
        if missing := [name for name in names if name not in arrays]:
            raise ValueError(f"a linear model without {', '.join(missing)}")
        values = {name: arrays[name] for name in names}
        values |= {name: values[name].item() for name in ("size", "channels", "noise")}
        return cls(**values | {"components": values["components"].astype(np.float32)})

    def gram(self, mask: np.ndarray) -> np.ndarray:
        """Components' Gram matrix (R, R) over the known pixels of a mask (S, S, 1)."""
        weights = _block_weights(mask, self.size, self.channels)
        return (self.components * weights) @ self.components.T

    def known(self, image: np.ndarray, mask: np.ndarray, mean: np.ndarray) -> "Known":
        """What the known pixels of an image (S, S, C) say of its difference from mean (D,); what is
        hidden may be anything."""
        pixels, weights = _known_means(image, mask, self.size)
        difference = (pixels - mean) * weights
        energy = float((pixels - mean) @ difference)
        return Known(self.components @ difference, energy, float(weights.sum()))


class Known(NamedTuple):
    """What the known pixels of an image amount to: components' product with them (R,), their
    squared distance from the mean, and their number."""

    projection: np.ndarray
    energy: float
    count: float


class Given:
    """A linear model of images of which some pixels are known: masks (N, S, S, 1), 1 where known.

    What depends on the masks alone is computed once, in some 80 ms for each different one. Products
    are made image by image: of several at once they would round differently.
    """

    def __init__(self, model: LinearModel, masks: np.ndarray) -> None:
        self.model, self.masks = model, masks
        self.scale = np.sqrt(model.variances.astype(np.float64))  # c = scale * unit Gaussian
        self.solved: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        for rows in rows_by_mask(masks):
            gram = self.scale[:, None] * model.gram(masks[rows[0]]) * self.scale
            values, vectors = np.linalg.eigh(gram)
            self.solved |= dict.fromkeys(rows, (np.maximum(values, 0), vectors))

    def expected(self, images: np.ndarray, draw: int = 0, seed: int = 0) -> np.ndarray:
        """The images to expect given the known pixels of (N, S, S, C): float32, smooth. At draw 0;
        later ones are drawn around that, SPREAD times as far as the model's distribution goes."""
        return self._enlarged(self.codes(images, self._unit(draw, seed)), self.model.mean)

    def expected_differences(
        self, differences: np.ndarray, draw: int = 0, seed: int = 0
    ) -> np.ndarray:
        """The differences (N, S, S, C) between two images each to expect where they are hidden,
        given those that are known: float32, smooth. Draws as for expected, of the same deviation.
        """
        nothing = np.zeros_like(self.model.mean)
        return self._enlarged(self.codes(differences, self._unit(draw, seed), nothing), nothing)

    def _unit(self, draw: int, seed: int) -> np.ndarray:
        if draw == 0:
            return np.zeros_like(self.scale)
        return SPREAD * np.random.default_rng((seed, draw)).standard_normal(len(self.scale))

    def codes(
        self, images: np.ndarray, unit: np.ndarray, mean: np.ndarray | None = None
    ) -> np.ndarray:
        """c (N, R), float64, to expect given the known pixels, and around that, by its covariance,
        what unit (R,) is around 0: standard normal for a draw, 0 for the mean.

        How far pixels are trusted is each image's own, see _noise.
        """
        mean = self.model.mean if mean is None else mean
        result = np.empty((len(images), len(self.scale)))
        for row, (values, vectors) in self.solved.items():
            known = self.model.known(images[row], self.masks[row], mean)
            rotated = vectors.T @ (self.scale * known.projection)
            noise = self._noise(values, rotated, known)
            code = rotated / (values + noise) + np.sqrt(noise / (values + noise)) * unit
            result[row] = self.scale * (vectors @ code)
        return result

    def _noise(self, values: np.ndarray, rotated: np.ndarray, known: Known) -> float:
        """Variance of a pixel of this image around the model, by the evidence of its known pixels.

        Photographs fit a generator's model far worse than its own pictures do, and by how much
        depends on both. The variance under which the known pixels are likeliest (Bishop 2006,
        equation 3.86) takes them for independent; as neighbours err together, several times that.
        """
        noise = self.model.noise * 10 ** np.linspace(0, 5, 41)[:, None]
        squares = (known.energy - (rotated**2 / (values + noise)).sum(axis=1)) / noise[:, 0]
        log_determinant = known.count * np.log(noise[:, 0]) + np.log1p(values / noise).sum(axis=1)
        return NEIGHBOURS * float(noise[np.argmin(squares + log_determinant), 0])

    def _enlarged(self, codes: np.ndarray, mean: np.ndarray) -> np.ndarray:
        rows = mean + (codes[:, None] @ self.model.components)[:, 0]
        shape = (self.model.size, self.model.size, self.model.channels)
        side = self.masks.shape[1]
        return np.stack([_enlarge(row.astype(np.float32).reshape(shape), side) for row in rows])


def rows_by_mask(masks: np.ndarray) -> list[list[int]]:
    """The rows of each different mask (N, S, S, 1): what depends on it alone is computed once."""
    rows_of: dict[bytes, list[int]] = {}
    for row, mask in enumerate(masks):
        rows_of.setdefault(mask.tobytes(), []).append(row)
    return list(rows_of.values())


def shrink(pictures: np.ndarray) -> np.ndarray:
    """Block means of whole pictures (N, S, S, C), SIZE pixels a side at most, float32."""
    side = pictures.shape[1]
    block = side // min(side, SIZE)
    return np.stack([block_means(np.float32(picture), block) for picture in pictures])


def _enlarge(small: np.ndarray, side: int) -> np.ndarray:
    if len(small) == side:
        return small
    large = cv2.resize(small, (side, side), interpolation=cv2.INTER_CUBIC)
    return large.reshape(side, side, small.shape[2])


def _block_weights(mask: np.ndarray, size: int, channels: int) -> np.ndarray:
    """The known share (D,) of each block of a mask (S, S, 1)."""
    share = block_means(np.float32(mask), len(mask) // size)
    return np.repeat(share.ravel(), channels)


def _known_means(image: np.ndarray, mask: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Means (D,) of the known pixels of each block of (S, S, C), and their share of it (D,)."""
    weights = np.float32(mask)
    pixels = np.where(weights > 0, image, 0) * weights  # selected: a hidden NaN stays outside
    means = block_means(np.float32(pixels), len(image) // size).ravel()
    share = _block_weights(mask, size, image.shape[2])
    return means / np.where(share > 0, share, 1), share
