"""Where a search over z starts: at random, or where known pixels suggest.

What can be learned once per model is learned from pictures that its generator makes and lives in
Starts; what depends on the mask is one small solve. Every image stands alone: its start depends
on its own known pixels, the seed and the restart. Neither networks nor files are known here.
"""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np

KINDS = ("random", "bank", "ridge")
SIZE = 32  # pixels a side at most of the pictures that starts are computed on
LEAST_NOISE = 1e-5  # variance of a pixel around the model; 0 could not be solved for
NEIGHBOURS = 4.0  # pixels that err together: channels and neighbours, see Starts._noise
LEAST_VARIANCE = 1e-6  # of the largest; below are rounding errors
DAMPING = 0.5  # of preconditioner; .1 to 1 do about as well (models/faces64)
STORED_IN_HALF = ("codes", "latents")


@dataclass(frozen=True)
class Starts:
    """What starts need to know of a model; see fit.

    Pictures are block means, SIZE pixels a side at most. As such, generated pictures are taken as
    x = mean + components' c + noise, with c Gaussian of the given variances (probabilistic PCA,
    Tipping & Bishop 1999), and z as linear in c. What known pixels say about c, and so about z,
    is then one linear solve of the size of c per mask: ridge regression.

    size, channels: of the small pictures; D = size * size * channels. mean (D,),
    components (R, D), variances (R,); noise: the variance of a pixel around the model.
    regression (R, Z): z given c; spread (Z,): the standard deviation of z around that.
    codes (K, R) and latents (K, Z): c and z of the bank's pictures.
    """

    size: int
    channels: int
    noise: float
    mean: np.ndarray
    components: np.ndarray
    variances: np.ndarray
    regression: np.ndarray
    spread: np.ndarray
    codes: np.ndarray
    latents: np.ndarray

    @classmethod
    def fit(cls, generate: Callable[[np.ndarray], np.ndarray], z_dim: int, seed: int = 0,
            samples: int = 4096, components: int = 256, batch_size: int = 64) -> Self:
        """Fit to pictures that generate makes: z float32 (B, z_dim) -> (B, S, S, C) in [-1, 1].

        Every call has batch_size rows. Memory, in colour: 30 kB per sample.
        """
        count = -(-samples // batch_size) * batch_size
        latents = np.random.default_rng(seed).uniform(-1, 1, (count, z_dim))
        latents = latents.astype(np.float16).astype(np.float32)  # as they will be stored
        small = []
        for z in np.split(latents, count // batch_size):
            generated = generate(z)
            size, channels = min(generated.shape[1], SIZE), generated.shape[3]
            known = np.ones((*generated.shape[1:3], 1), np.float32)
            small += [_block_means(picture, known, size)[0] for picture in generated]
        pictures = np.array(small)  # (K, D)
        mean = pictures.mean(axis=0)
        pictures -= mean
        basis = _principal_axes(pictures, components, seed)
        codes = pictures @ basis.T
        variances = (codes**2).mean(axis=0)
        real = variances > LEAST_VARIANCE * variances.max()
        basis, codes, variances = basis[real], codes[:, real], variances[real]
        centred = latents - latents.mean(axis=0)
        regression = codes.T @ centred / count / variances[:, None]
        unexplained = (centred**2).mean(axis=0) - (regression**2 * variances[:, None]).sum(axis=0)
        rest = (pictures**2).sum(dtype=np.float64) / count - variances.sum()
        return cls(size, channels, max(float(rest) / mean.size, LEAST_NOISE), mean, basis,
                   variances, regression, np.sqrt(np.maximum(unexplained, 0)),
                   codes.astype(np.float16).astype(np.float32), latents)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """What from_arrays reads, for numpy.savez; at the defaults of fit 6 MB."""
        arrays = {field.name: np.asarray(getattr(self, field.name))
                  for field in dataclasses.fields(self)}
        return arrays | {name: arrays[name].astype(np.float16) for name in STORED_IN_HALF}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Self:
        """The Starts that to_arrays wrote, exactly. Raises ValueError where an array is missing."""
        names = [field.name for field in dataclasses.fields(cls)]
        if missing := [name for name in names if name not in arrays]:
            raise ValueError(f"starts without {', '.join(missing)}")
        values = {name: arrays[name] for name in names}
        values |= {name: values[name].astype(np.float32) for name in STORED_IN_HALF}
        values |= {name: values[name].item() for name in ("size", "channels", "noise")}
        return cls(**values)

    def ridge(self, images: np.ndarray, masks: np.ndarray, restart: int = 0,
              seed: int = 0) -> np.ndarray:
        """The z (N, Z), in [-1, 1], to expect given the known pixels; at restart 0.

        images (N, S, S, C) in [-1, 1], masks (N, S, S, 1), 1 where known; what is hidden may be
        anything. Later restarts draw z from the distribution whose mean that is. How far pixels
        are trusted is each image's own, see _noise.
        """
        draws = np.random.default_rng((seed, restart)).standard_normal(
            len(self.variances) + len(self.spread)) * (restart > 0)
        code_draw, z_draw = np.split(draws, [len(self.variances)])
        scale = np.sqrt(self.variances.astype(np.float64))  # codes = scale * unit Gaussian
        result = np.empty((len(images), len(self.spread)))
        for gram, known in self._by_mask(images, masks):
            values, vectors = np.linalg.eigh(scale[:, None] * gram * scale)
            values = np.maximum(values, 0)
            for row, projection, energy, count in known:
                rotated = vectors.T @ (scale * projection)
                noise = self._noise(values, rotated, energy, count)
                code = rotated / (values + noise) + np.sqrt(noise / (values + noise)) * code_draw
                result[row] = (scale * (vectors @ code)) @ self.regression
        return np.clip(result + self.latents.mean(axis=0) + self.spread * z_draw, -1, 1)

    def _noise(self, values: np.ndarray, rotated: np.ndarray, energy: float,
               count: float) -> float:
        """Variance of a pixel of this image around the model, by the evidence of its known pixels.

        Photographs fit a generator's model far worse than its own pictures do, and by how much
        depends on both. The variance under which the known pixels are likeliest (Bishop 2006,
        equation 3.86) takes them for independent; as neighbours err together, several times that.
        """
        noise = self.noise * 10 ** np.linspace(0, 5, 41)[:, None]
        squares = (energy - (rotated**2 / (values + noise)).sum(axis=1)) / noise[:, 0]
        log_determinant = count * np.log(noise[:, 0]) + np.log1p(values / noise).sum(axis=1)
        return NEIGHBOURS * float(noise[np.argmin(squares + log_determinant), 0])

    def preconditioner(self, weights: np.ndarray) -> np.ndarray:
        """An inverse Hessian to expect of each image's contextual loss, up to a factor: (N, Z, Z).

        weights (N, S, S, 1) of the pixels, 0 where hidden. With J the Jacobian of the linear model
        this is (J' weights J + d I)^-1, of Gauss and Newton, d DAMPING times the mean diagonal,
        for what the linear model does not see.
        """
        covariance = np.cov(self.latents, rowvar=False, bias=True)
        together = self.variances[:, None] * self.regression  # covariance of c and z, (R, Z)
        jacobian = np.linalg.solve(covariance, together.T).T  # of c
        result = np.empty((len(weights), *covariance.shape))
        blank = np.zeros((*weights.shape[:3], self.channels), np.float32)
        for gram, known in self._by_mask(blank, weights):
            hessian = jacobian.T @ gram @ jacobian
            damping = DAMPING * np.trace(hessian) / len(hessian) or 1.0  # 1: all is hidden
            inverse = np.linalg.inv(hessian + damping * np.eye(len(hessian)))
            result[[one.row for one in known]] = inverse
        return result

    def bank(self, images: np.ndarray, masks: np.ndarray, restart: int = 0) -> np.ndarray:
        """The z (N, Z) of the generated picture nearest to the known pixels (L2), at restart 0.

        Later restarts take the next nearest. Arguments as in ridge.
        """
        result = np.empty((len(images), len(self.spread)))
        for gram, known in self._by_mask(images, masks):
            lengths = ((self.codes @ gram) * self.codes).sum(axis=1)
            for row, projection, _, _ in known:
                distances = lengths - 2 * self.codes @ projection
                nearest = np.argsort(distances, kind="stable")[restart % len(distances)]
                result[row] = self.latents[nearest]
        return result

    def _by_mask(self, images: np.ndarray, masks: np.ndarray
                 ) -> Iterator[tuple[np.ndarray, list["_Known"]]]:
        """Per distinct mask: components' Gram matrix over known pixels (R, R) and its images.

        Products are made image by image: of several at once they would round differently.
        """
        rows_of: dict[bytes, list[int]] = {}
        for row, mask in enumerate(masks):
            rows_of.setdefault(mask.tobytes(), []).append(row)
        for rows in rows_of.values():
            known = []
            for row in rows:
                pixels, weights = _block_means(images[row], masks[row], self.size)
                difference = (pixels - self.mean) * weights
                known.append(_Known(row, self.components @ difference,
                                    float((pixels - self.mean) @ difference), float(weights.sum())))
            yield (self.components * weights) @ self.components.T, known


class _Known(NamedTuple):
    """What the known pixels of an image amount to: components' product with them (R,), their
    squared distance from the mean, and their number."""

    row: int
    projection: np.ndarray
    energy: float
    count: float


def start(kind: str, images: np.ndarray, masks: np.ndarray, z_dim: int, seed: int = 0,
          restart: int = 0, starts: Starts | None = None) -> np.ndarray:
    """Where to start each image's search: z (N, Z) of one of KINDS, one of several by restart.

    random is one draw for all images; bank and ridge need starts, which says what they are.
    Raises ValueError for another kind.
    """
    if kind == "random":
        draw = np.random.default_rng((seed, restart)).uniform(-1, 1, z_dim)
        return np.tile(draw, (len(images), 1))
    if kind == "bank":
        return starts.bank(images, masks, restart)
    if kind == "ridge":
        return starts.ridge(images, masks, restart, seed)
    raise ValueError(f"start is {kind!r}; choose from {', '.join(KINDS)}")


def _block_means(image: np.ndarray, mask: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Means (D,) of the known pixels of each block of (S, S, C), and their share of it (D,)."""
    factor = len(image) // size
    weights = mask.astype(np.float32)  # (S, S, 1)
    pixels = np.where(weights > 0, image, 0) * weights  # selected: a hidden NaN stays outside
    sums, share = (part.reshape(size, factor, size, factor, -1).sum(axis=(1, 3), dtype=np.float32)
                   for part in (pixels, weights))
    means = sums / np.where(share > 0, share, 1)  # (size, size, C)
    return means.ravel(), np.repeat(share / factor**2, image.shape[2], axis=2).ravel()


def _principal_axes(rows: np.ndarray, count: int, seed: int) -> np.ndarray:
    """The count directions of largest variance of centred rows (K, D), as rows; all if fewer.

    Halko, Martinsson & Tropp, arXiv 0909.4061, algorithm 4.4, with four power iterations.
    """
    width = min(count + 32, *rows.shape)
    basis = np.random.default_rng(seed).standard_normal((rows.shape[1], width), np.float32)
    for _ in range(4):
        basis = _orthonormal(rows.T @ _orthonormal(rows @ basis))
    axes = _principal(rows @ basis)[1]
    return (basis @ axes[:, :count]).T


def _orthonormal(columns: np.ndarray) -> np.ndarray:
    """A basis of what the columns (K, R) span, but for rounding errors. By way of their products,
    which takes a quarter of the time of Householder's QR and is accurate enough to be iterated."""
    values, axes = _principal(columns)
    real = values > 1e-10 * values[0]
    return columns @ (axes[:, real] / np.sqrt(values[real])).astype(columns.dtype)


def _principal(columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Squared singular values (R,), largest first, and right singular vectors (R, R), as columns,
    of (K, R)."""
    exact = columns.astype(np.float64)
    values, axes = np.linalg.eigh(exact.T @ exact)
    return values[::-1], axes[:, ::-1].astype(columns.dtype)
