"""What a completion has to beat: inpainting that learns nothing, the mean picture, linear PCA.

Each fills pictures, float (N, S, S, C) in [-1, 1], given masks (N, S, S, 1), 1 = known: it returns
float (N, S, S, C), of which the hole counts. Hidden pixels are set to zero before all else, so none
of them reaches a result.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Self

import cv2
import numpy as np
import scipy.linalg

from pictures import codecs
from search.linear import rows_by_mask

Fill = Callable[[np.ndarray, np.ndarray], np.ndarray]

RADIUS = 3  # pixels around each that OpenCV's inpainting looks at; that of its documentation
CHUNK = 512  # training pictures held as floats at a time
LEAST_NOISE = 1e-6  # variance of a pixel around the model; 0 could not be solved for


def _one_by_one(fill: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Fill:
    """A Fill from one for a single known picture (S, S, C) and its hole, bool (S, S)."""

    def fill_all(pictures: np.ndarray, masks: np.ndarray) -> np.ndarray:
        known = np.where(masks > 0, pictures, 0).astype(np.float32)
        pairs = zip(known, masks[..., 0] == 0, strict=True)
        return np.stack([fill(*pair) for pair in pairs]).astype(np.float32)

    return fill_all


def _opencv(known: np.ndarray, hole: np.ndarray, flag: int) -> np.ndarray:
    filled = cv2.inpaint(codecs.to_bytes(known), hole.astype(np.uint8), RADIUS, flag)
    return codecs.to_float(filled.reshape(known.shape))


def _biharmonic(known: np.ndarray, hole: np.ndarray) -> np.ndarray:
    try:
        from skimage.restoration import inpaint_biharmonic
    except ImportError:
        raise ValueError("method biharmonic needs scikit-image: pip install scikit-image") from None
    return inpaint_biharmonic(known, hole, channel_axis=-1)


INPAINTING: dict[str, Fill] = {
    # Telea 2004, "An image inpainting technique based on the fast marching method".
    "telea": _one_by_one(partial(_opencv, flag=cv2.INPAINT_TELEA)),
    # Bertalmio, Bertozzi & Sapiro 2001, "Navier-Stokes, fluid dynamics, and image inpainting".
    "ns": _one_by_one(partial(_opencv, flag=cv2.INPAINT_NS)),
    # Damelin & Hoang 2018, "On surface completion and image inpainting by biharmonic functions".
    "biharmonic": _one_by_one(_biharmonic),
}


@dataclass(frozen=True)
class PPCA:
    """Probabilistic PCA (Tipping & Bishop 1999): x = mean + W t + noise, t standard normal.

    shape: (S, S, C) of a picture, D = S * S * C numbers. mean (D,), float64. axes (K, D):
    orthonormal directions of largest variance. variances (K,): of the data along them, falling.
    total: the sum of all variances of the data.
    """

    shape: tuple[int, int, int]
    mean: np.ndarray
    axes: np.ndarray
    variances: np.ndarray
    total: float

    @classmethod
    def fit(cls, pictures: np.ndarray, components: int, iterations: int = 5, seed: int = 0) -> Self:
        """Fit to uint8 (N, S, S, C), N above `components`; ValueError otherwise. 0 are the mean.

        Axes come from a randomised subspace iteration (Halko, Martinsson & Tropp, arXiv 0909.4061,
        algorithm 4.4), over the pictures in chunks: memory does not grow with their number.
        """
        count, shape = len(pictures), pictures.shape[1:]
        if count <= components:
            raise ValueError(
                f"ppca-{components} needs more than {components} training pictures, not {count}"
            )
        mean = sum(part.sum(axis=0, dtype=np.float64) for part in _chunks(pictures)) / count
        centre = np.float32(mean)
        squares = ((part - centre) ** 2 for part in _chunks(pictures))
        total = sum(part.sum(dtype=np.float64) for part in squares) / count

        def covariance_times(basis: np.ndarray) -> np.ndarray:
            basis = np.float32(basis)
            centred = (part - centre for part in _chunks(pictures))
            return sum((part.T @ (part @ basis)).astype(np.float64) for part in centred) / count

        width = min(components + 32, count - 1, mean.size) if components else 0
        basis = np.random.default_rng(seed).standard_normal((mean.size, width))
        for _ in range(iterations):
            basis = _orthonormal(covariance_times(basis))
        within = basis.T @ covariance_times(basis)
        variances, turn = np.linalg.eigh((within + within.T) / 2)
        first = np.argsort(variances)[::-1][:components]
        return cls(shape, mean, (basis @ turn[:, first]).T, variances[first], float(total))

    def truncated(self, components: int) -> Self:
        """The model of the first `components` axes alone."""
        axes, variances = self.axes[:components], self.variances[:components]
        return type(self)(self.shape, self.mean, axes, variances, self.total)

    @property
    def noise(self) -> float:
        """The variance of a number around the model: the mean of what the axes leave (eq. 8)."""
        rest = max(self.total - float(self.variances.sum()), 0)
        return max(rest / max(self.mean.size - len(self.axes), 1), LEAST_NOISE)

    def fill(self, pictures: np.ndarray, masks: np.ndarray, caution: float = 1.0) -> np.ndarray:
        """The expected picture given the known pixels, a Fill.

        With W_k the rows of W at known numbers: mean + W (W_k' W_k + noise)^-1 W_k' (x_k - mean_k).
        The noise is taken `caution` times: what the axes leave is alike from pixel to pixel, where
        the model has it independent, and so trusts thousands of known pixels too much.
        """
        noise = self.noise * caution
        weights = self.axes * np.sqrt(np.maximum(self.variances - self.noise, 0))[:, None]  # (K, D)
        filled = np.empty((len(pictures), self.mean.size))
        for rows in rows_by_mask(masks):
            known = np.broadcast_to(masks[rows[0]], self.shape).ravel() > 0
            inside = weights[:, known].astype(np.float64)
            precision = inside @ inside.T + noise * np.eye(len(inside))
            differences = pictures[rows].reshape(len(rows), -1)[:, known] - self.mean[known]
            factors = scipy.linalg.solve(precision, inside @ differences.T, assume_a="pos")
            filled[rows] = self.mean + factors.T @ weights
        return filled.reshape(-1, *self.shape).astype(np.float32)


def _chunks(pictures: np.ndarray) -> Iterator[np.ndarray]:
    """uint8 (N, S, S, C) as float32 (up to CHUNK, D) in [-1, 1], one after the other."""
    for first in range(0, len(pictures), CHUNK):
        part = codecs.to_float(pictures[first : first + CHUNK])
        yield part.reshape(len(part), -1)


def _orthonormal(columns: np.ndarray) -> np.ndarray:
    """An orthonormal basis of what columns (D, W) span, W far below D; float64.

    From the eigenvectors of their Gram matrix: on a busy machine a hundredth of the time of QR.
    """
    values, vectors = np.linalg.eigh(columns.T @ columns)
    real = values > 1e-12 * values.max(initial=0)  # the rest is rounding
    return columns @ (vectors[:, real] / np.sqrt(values[real]))
