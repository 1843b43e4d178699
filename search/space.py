"""Where latents live: how they are drawn, how far they reach, and how likely each is."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Protocol, Self

import numpy as np

from search.steps import dot


class Space(Protocol):
    """What a search, its starts and walks know of the latents of a generator, rows (N, size).

    bound: no coordinate that is drawn lies farther from 0; inf where there is no such bound.
    """

    size: int
    bound: float

    def draw(self, random: np.random.Generator, count: int, truncation: float = 1.0) -> np.ndarray:
        """Latents (count, size), float64, as the generator was trained with; truncation below 1:
        nearer to the most usual one."""

    def prior(self, z: np.ndarray, weight: float) -> tuple[np.ndarray, np.ndarray]:
        """weight times the negative log density, but for a constant, of the Gaussian that has the
        mean and covariance of what is drawn: (N,), and its gradient (N, size). Row by row."""

    def between(
        self, one: np.ndarray, other: np.ndarray, shares: np.ndarray, truncation: float = 1.0
    ) -> np.ndarray:
        """Latents (F, size) at the shares (F,) of the way from one (size,) to the other. Halfway
        between independent draws with that truncation, they are distributed as those are."""


@dataclass(frozen=True)
class Cube:
    """Each coordinate uniform in [-1, 1] (Radford et al., arXiv 1511.06434)."""

    size: int
    bound: ClassVar[float] = 1.0
    variance: ClassVar[float] = 1 / 3  # of a coordinate

    def draw(self, random: np.random.Generator, count: int, truncation: float = 1.0) -> np.ndarray:
        return random.uniform(-truncation, truncation, (count, self.size))

    def prior(self, z: np.ndarray, weight: float) -> tuple[np.ndarray, np.ndarray]:
        weight = weight / self.variance
        return weight / 2 * dot(z, z), weight * z

    def between(
        self, one: np.ndarray, other: np.ndarray, shares: np.ndarray, truncation: float = 1.0
    ) -> np.ndarray:
        """On a straight line z would come near 0, where training drew none, and pictures all be
        alike. Here coordinates are made normal, turned into each other along a quarter of a circle,
        and made uniform again."""
        from scipy import special  # slow to import, and no search needs it

        ends = np.stack([one, other]) / truncation
        normal = special.ndtri(np.clip((ends + 1) / 2, 1e-6, 1 - 1e-6).astype(np.float64))
        angle = np.pi / 2 * shares[:, None]
        turned = np.cos(angle) * normal[0] + np.sin(angle) * normal[1]
        return (2 * special.ndtr(turned) - 1) * truncation


@dataclass(frozen=True, eq=False)
class Mapped:
    """What a style-based generator maps normal z's to, its w's, whitened: of mean 0, covariance 1.

    w = mean + root @ latent. mapped makes w (N, Z) of z (N, Z). layers: so many latents stand one
    after another in a row, one for each layer of the generator (W+ of Abdal et al., arXiv
    1904.03189); drawn ones are all the same.
    """

    mapped: Callable[[np.ndarray], np.ndarray]
    mean: np.ndarray
    root: np.ndarray
    layers: int = 1
    bound: ClassVar[float] = np.inf

    @classmethod
    def fit(cls, mapped: Callable, size: int, count: int = 4096, seed: int = 0) -> Self:
        """By the w's of `count` z's (N, size). Directions in which they hardly differ count as if
        they differed by a thirtieth of what is usual."""
        w = np.float64(mapped(np.random.default_rng(seed).standard_normal((count, size))))
        variances, axes = np.linalg.eigh(np.cov(w, rowvar=False))
        return cls(
            mapped,
            mean=w.mean(axis=0),
            root=axes * np.sqrt(np.maximum(variances, 1e-3 * variances.mean())),
        )

    def layered(self, layers: int) -> Self:
        """The space of a latent for each of so many layers."""
        return dataclasses.replace(self, layers=layers)

    @property
    def size(self) -> int:
        return self.layers * len(self.mean)

    def draw(self, random: np.random.Generator, count: int, truncation: float = 1.0) -> np.ndarray:
        w = np.float64(self.mapped(random.standard_normal((count, len(self.mean)))))
        latents = np.linalg.solve(self.root, (w - self.mean).T).T
        return np.tile(truncation * latents, self.layers)

    def prior(self, z: np.ndarray, weight: float) -> tuple[np.ndarray, np.ndarray]:
        """Of several layers, the mean of theirs."""
        weight = weight / self.layers
        return weight / 2 * dot(z, z), weight * z

    def between(
        self, one: np.ndarray, other: np.ndarray, shares: np.ndarray, truncation: float = 1.0
    ) -> np.ndarray:
        angle = np.pi / 2 * shares[:, None]
        return np.cos(angle) * one + np.sin(angle) * other
