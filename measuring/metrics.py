"""How good pictures are: against the true picture, against other methods, as a distribution.

Pictures are float arrays (N, H, W, C) in [-1, 1]; masks (N, H, W, 1), 1 where known, 0 in the hole.
What is measured per picture comes back as (N,) float64, nan where it is not defined. Everything
is computed in float64. Neither files nor models are known here; features.py makes features.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import cv2
import numpy as np

DATA_RANGE = 2.0  # of pixels in [-1, 1]
SSIM_WINDOW = 11  # pixels
BLOCK = 1024  # rows of a distance matrix held at a time


def psnr(pictures: np.ndarray, true: np.ndarray, masks: np.ndarray | None = None) -> np.ndarray:
    """Peak signal-to-noise ratio in dB, (N,): 10 log10(range^2 / mean squared error).

    Over the whole picture, or, given masks, over the hole alone, which for a quarter of the picture
    is 6 dB less for the same completion. inf for equal pictures, nan where there is no hole.
    """
    square = (_float(pictures) - _float(true)) ** 2
    error = _mean(square) if masks is None else _hole_mean(square, masks)
    with np.errstate(divide="ignore"):
        return 10 * np.log10(DATA_RANGE**2 / error)


def ssim(pictures: np.ndarray, true: np.ndarray, masks: np.ndarray | None = None) -> np.ndarray:
    """Mean structural similarity, (N,), 1 for equal pictures (Wang et al. 2004, equation 13).

    Gaussian window of 11 pixels and deviation 1.5, K = (.01, .03), pictures reflected at their
    border. The mean over channels and all pixels, or, given masks, over the pixels of the hole.
    """
    similarity = _ssim_map(_float(pictures), _float(true))
    return _mean(similarity) if masks is None else _hole_mean(similarity, masks)


def _ssim_map(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    window = cv2.getGaussianKernel(SSIM_WINDOW, 1.5)

    def blur(pictures):
        parts = [
            cv2.sepFilter2D(part, cv2.CV_64F, window, window, borderType=cv2.BORDER_REFLECT)
            for part in pictures
        ]
        return np.reshape(parts, pictures.shape)

    c1, c2 = (0.01 * DATA_RANGE) ** 2, (0.03 * DATA_RANGE) ** 2
    mean_a, mean_b = blur(a), blur(b)
    variance_a, variance_b = blur(a * a) - mean_a**2, blur(b * b) - mean_b**2
    covariance = blur(a * b) - mean_a * mean_b
    return ((2 * mean_a * mean_b + c1) * (2 * covariance + c2)) / (
        (mean_a**2 + mean_b**2 + c1) * (variance_a + variance_b + c2)
    )


def seam(pictures: np.ndarray, true: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """How visible the hole's edge is, (N,): mean absolute jump across it over that of the true one.

    The jump is between neighbours (above, below, left, right), one known and one not. 1 is as
    smooth as the truth, more is a seam, less is blurred. nan where the hole has no edge.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        return _edge_jump(_float(pictures), masks) / _edge_jump(_float(true), masks)


def _edge_jump(pictures: np.ndarray, masks: np.ndarray) -> np.ndarray:
    jumps, pairs = 0.0, 0.0
    for axis in (1, 2):
        across = np.abs(np.diff(_float(masks), axis=axis))  # (N, ..., 1), 1 at the edge
        change = np.abs(np.diff(pictures, axis=axis)).mean(axis=3, keepdims=True)
        jumps += (change * across).sum((1, 2, 3))
        pairs += across.sum((1, 2, 3))
    return jumps / pairs


def sharpness(pictures: np.ndarray, true: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Energy of the gradient within the hole over the true one's, (N,): 1 is as sharp as the truth.

    A blur has less, noise more. The energy is the sum of squared differences between neighbours
    (above, below, left, right), both in the hole; nan or inf where the truth has none.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        return _gradient_energy(_float(pictures), masks) / _gradient_energy(_float(true), masks)


def _gradient_energy(pictures: np.ndarray, masks: np.ndarray) -> np.ndarray:
    energy = np.zeros(len(pictures))
    for axis in (1, 2):
        known = np.moveaxis(_float(masks), axis, 0)
        both = np.moveaxis((known[1:] == 0) & (known[:-1] == 0), 0, axis)
        energy += (np.diff(pictures, axis=axis) ** 2 * both).sum(axis=(1, 2, 3))
    return energy


def identity_distance(features: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Euclidean distance (N,) between descriptors (N, D) of a picture and of the true one.

    With dlib's face descriptors, photographs of one person are mostly less than 0.6 apart
    (King 2017, "High quality face recognition with deep metric learning").
    """
    return np.linalg.norm(_float(features) - _float(true), axis=1)


@dataclass(frozen=True)
class FeatureStatistics:
    """Count, mean (D,) and scatter (D, D), the sum of outer products around the mean, of features.

    A value: add and merge return another, so statistics are taken over a stream in any pieces
    (Chan, Golub & LeVeque 1979).
    """

    count: int
    mean: np.ndarray
    scatter: np.ndarray

    @classmethod
    def of(cls, features: np.ndarray) -> Self:
        """Of features (N, D), N at least 1."""
        features = _float(features)
        mean = features.mean(axis=0)
        return cls(len(features), mean, (features - mean).T @ (features - mean))

    def add(self, features: np.ndarray) -> Self:
        """With features (N, D) more."""
        return self.merge(type(self).of(features))

    def merge(self, other: Self) -> Self:
        """Those of both together."""
        count = self.count + other.count
        apart = other.mean - self.mean
        return type(self)(
            count,
            self.mean + apart * (other.count / count),
            self.scatter
            + other.scatter
            + np.outer(apart, apart) * (self.count * other.count / count),
        )

    @property
    def covariance(self) -> np.ndarray:
        """(D, D), unbiased; raises ValueError for fewer than two features."""
        if self.count < 2:
            raise ValueError(f"covariance of {self.count} pictures; it needs at least 2")
        return self.scatter / (self.count - 1)


def frechet_distance(a: FeatureStatistics, b: FeatureStatistics) -> float:
    """Squared Frechet distance of two Gaussians (Dowson & Landau 1982; FID: arXiv 1706.08500).

    |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)), in the features' unit squared. It depends on the
    features, and falls with the number of pictures: compare at equal ones. The root's trace is
    that of (C1^(1/2) C2 C1^(1/2))^(1/2), whose eigenvalues are real at any rank.
    """
    values, vectors = np.linalg.eigh(a.covariance)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    cross = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ b.covariance @ root), 0)).sum()
    traces = np.trace(a.covariance) + np.trace(b.covariance)
    return float(((a.mean - b.mean) ** 2).sum() + traces - 2 * cross)


def kernel_distance(a: np.ndarray, b: np.ndarray) -> float:
    """KID of features (N, D) and (M, D): the squared maximum mean discrepancy under (x.y/D + 1)^3.

    The unbiased estimate over all pairs (Binkowski et al., arXiv 1801.01401, equation 4), around 0,
    also below, for equal distributions, whatever the number of pictures. At least 2 of each.
    """
    a, b = _float(a), _float(b)

    def within(x):  # over pairs of different rows
        own = ((x * x).sum(axis=1) / x.shape[1] + 1) ** 3
        return (_kernel_sum(x, x) - own.sum()) / (len(x) * (len(x) - 1))

    return float(within(a) + within(b) - 2 * _kernel_sum(a, b) / (len(a) * len(b)))


def _kernel_sum(a: np.ndarray, b: np.ndarray) -> float:
    return sum(((rows @ b.T / b.shape[1] + 1) ** 3).sum() for rows in _blocks(a))


def diversity(features: np.ndarray) -> float:
    """Mean Euclidean distance over all pairs of features (N, D), or of pictures (N, H, W, C).

    To be compared with that of as many real ones: far less is a collapsed generator.
    """
    rows = _float(features).reshape(len(features), -1)
    rows = rows - rows.mean(axis=0)  # keeps what cancels below small
    squares = (rows * rows).sum(axis=1)
    total, first = 0.0, 0
    for block in _blocks(rows):
        inner = squares[first : first + len(block), None] + squares - 2 * block @ rows.T
        np.fill_diagonal(inner[:, first:], 0)
        total += np.sqrt(np.maximum(inner, 0)).sum()
        first += len(block)
    return float(total / (len(rows) * (len(rows) - 1)))


def bootstrap_interval(
    values: Sequence[float],
    groups: Sequence,
    seed: int = 0,
    samples: int = 2000,
    level: float = 0.95,
) -> tuple[float, float]:
    """Confidence interval of the mean of values (N,), drawing whole groups (N,) with replacement.

    Percentiles (Efron & Tibshirani 1993, chapter 13). With people as groups it says how far the
    mean would move with other people; pictures of one person are not independent.
    """
    values = _float(values)
    _, group_of = np.unique(np.asarray(groups), return_inverse=True)
    sums, counts = np.bincount(group_of, values), np.bincount(group_of)
    drawn = np.random.default_rng(seed).integers(0, len(sums), (samples, len(sums)))
    means = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _float(array: np.ndarray | Sequence[float]) -> np.ndarray:
    return np.asarray(array, np.float64)


def _mean(pictures: np.ndarray) -> np.ndarray:
    return pictures.mean(axis=(1, 2, 3))


def _hole_mean(pictures: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Mean (N,) over the pixels (N, H, W, C) whose mask is 0; nan where there are none."""
    hole = 1 - _float(masks)
    with np.errstate(invalid="ignore"):
        return (pictures * hole).sum(axis=(1, 2, 3)) / (
            hole.sum(axis=(1, 2, 3)) * pictures.shape[3]
        )


def _blocks(rows: np.ndarray) -> list[np.ndarray]:
    return [rows[i : i + BLOCK] for i in range(0, len(rows), BLOCK)]
