"""Where a search over z starts: at random, or where known pixels suggest.

What can be learned once per model is learned from pictures that its generator makes and lives in
Starts; what depends on the mask is one small solve. Every image stands alone: its start depends
on its own known pixels, the seed and the restart. Neither networks nor files are known here.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np

from search.linear import Given, LinearModel, rows_by_mask, shrink
from search.space import Space

KINDS = ("random", "bank", "ridge")
DAMPING = 0.5  # of preconditioner; .1 to 1 do about as well (models/faces64)
BANK = 1024  # pictures; of four times as many, searches come .03 dB nearer (models/faces64)
OWN = ("regression", "jacobian", "z_mean", "spread", "codes", "latents")  # beside the linear model
STORED_IN_HALF = ("codes", "latents")


@dataclass(frozen=True)
class Starts:
    """What starts need to know of a model whose latents live in a space; see fit.

    Generated pictures are described by a linear model of R components, and z as linear in their
    codes c, so that what known pixels say about c they say about z.

    regression (R, Z): z given c, around z_mean (Z,); spread (Z,): the standard deviation of z
    around that. jacobian (R, Z): c given z. codes (K, R) and latents (K, Z): c and z of the bank's
    pictures.
    """

    space: Space
    pictures: LinearModel
    regression: np.ndarray
    jacobian: np.ndarray
    z_mean: np.ndarray
    spread: np.ndarray
    codes: np.ndarray
    latents: np.ndarray

    @classmethod
    def fit(
        cls,
        generate: Callable[[np.ndarray], np.ndarray],
        space: Space,
        seed: int = 0,
        samples: int = 4096,
        components: int = 256,
        batch_size: int = 64,
    ) -> Self:
        """Fit to pictures that generate makes: z float32 (B, Z) -> (B, S, S, C) in [-1, 1].

        Every call has batch_size rows. Memory, in colour: 30 kB per sample.
        """
        count = -(-samples // batch_size) * batch_size
        latents = space.draw(np.random.default_rng(seed), count)
        latents = latents.astype(np.float16).astype(np.float32)  # as they will be stored
        small = np.concatenate(
            [shrink(generate(z)) for z in np.split(latents, count // batch_size)]
        )
        pictures = LinearModel.fit(small, components, seed)
        codes = (small.reshape(count, -1) - pictures.mean) @ pictures.components.T
        z_mean = latents.mean(axis=0)
        centred = latents - z_mean
        together = codes.T @ centred / count  # covariance of c and z
        regression = together / pictures.variances[:, None]
        unexplained = (centred**2).mean(axis=0) - (regression * together).sum(axis=0)
        return cls(
            space,
            pictures,
            regression,
            jacobian=np.linalg.solve(centred.T @ centred / count, together.T).T,
            z_mean=z_mean,
            spread=np.sqrt(np.maximum(unexplained, 0)),
            codes=codes[:BANK].astype(np.float16).astype(np.float32),
            latents=latents[:BANK],
        )

    def to_arrays(self) -> dict[str, np.ndarray]:
        """What from_arrays reads, for numpy.savez; at the defaults of fit 2.5 MB."""
        own = {name: getattr(self, name) for name in OWN}
        own |= {name: own[name].astype(np.float16) for name in STORED_IN_HALF}
        return self.pictures.to_arrays() | own

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], space: Space) -> Self:
        """The Starts that to_arrays wrote, exactly, of latents of this space. Raises ValueError
        where an array is missing."""
        if missing := [name for name in OWN if name not in arrays]:
            raise ValueError(f"starts without {', '.join(missing)}")
        own = {name: arrays[name] for name in OWN}
        own |= {name: own[name].astype(np.float32) for name in STORED_IN_HALF}
        return cls(space, LinearModel.from_arrays(arrays), **own)

    def ridge(
        self, images: np.ndarray, masks: np.ndarray, restart: int = 0, seed: int = 0
    ) -> np.ndarray:
        """The z (N, Z), within the space's bounds, to expect given the known pixels; at restart 0.

        images (N, S, S, C) in [-1, 1], masks (N, S, S, 1), 1 where known; what is hidden may be
        anything. Later restarts draw z from the distribution whose mean that is.
        """
        draws = np.random.default_rng((seed, restart)).standard_normal(
            len(self.codes.T) + len(self.spread)
        ) * (restart > 0)
        code_draw, z_draw = np.split(draws, [len(self.codes.T)])
        codes = Given(self.pictures, masks).codes(images, code_draw)
        z = (codes[:, None] @ self.regression)[:, 0]  # image by image
        z = z + self.z_mean + self.spread * z_draw
        return np.clip(z, -self.space.bound, self.space.bound)

    def preconditioner(self, weights: np.ndarray) -> np.ndarray:
        """An inverse Hessian to expect of each image's contextual loss, up to a factor: (N, Z, Z).

        weights (N, S, S, 1) of the pixels, 0 where hidden. With J the jacobian this is
        (J' weights J + d I)^-1, of Gauss and Newton, d DAMPING times the mean diagonal, for what
        the linear model does not see.
        """
        jacobian = self.jacobian
        result = np.empty((len(weights), *[len(self.spread)] * 2))
        for rows in rows_by_mask(weights):
            hessian = jacobian.T @ self.pictures.gram(weights[rows[0]]) @ jacobian
            damping = DAMPING * np.trace(hessian) / len(hessian) or 1.0  # 1: all is hidden
            result[rows] = np.linalg.inv(hessian + damping * np.eye(len(hessian)))
        return result

    def bank(self, images: np.ndarray, masks: np.ndarray, restart: int = 0) -> np.ndarray:
        """The z (N, Z) of the generated picture nearest to the known pixels (L2), at restart 0.

        Later restarts take the next nearest. Arguments as in ridge.
        """
        result = np.empty((len(images), len(self.spread)))
        for rows in rows_by_mask(masks):
            gram = self.pictures.gram(masks[rows[0]])
            lengths = ((self.codes @ gram) * self.codes).sum(axis=1)
            for row in rows:
                known = self.pictures.known(images[row], masks[row], self.pictures.mean)
                distances = lengths - 2 * self.codes @ known.projection
                nearest = np.argsort(distances, kind="stable")[restart % len(distances)]
                result[row] = self.latents[nearest]
        return result


def start(
    kind: str,
    images: np.ndarray,
    masks: np.ndarray,
    space: Space,
    seed: int = 0,
    restart: int = 0,
    starts: Starts | None = None,
) -> np.ndarray:
    """Where to start each image's search: z (N, Z) of one of KINDS, one of several by restart.

    random is one draw for all images; bank and ridge need starts, which says what they are.
    Raises ValueError for another kind.
    """
    if kind == "random":
        return space.draw(np.random.default_rng((seed, restart)), 1).repeat(len(images), axis=0)
    if kind == "bank":
        return starts.bank(images, masks, restart)
    if kind == "ridge":
        return starts.ridge(images, masks, restart=restart, seed=seed)
    raise ValueError(f"start is {kind!r}; choose from {', '.join(KINDS)}")
