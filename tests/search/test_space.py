"""The space of latents: what a DCGAN's is, and that another one fits without an edit."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import pytest
from scipy import stats

from measuring import sampling
from search.latent import Search, search
from search.space import Cube, Mapped, Space
from search.starts import Starts, start

COUNT, SIZE = 4000, 3


@dataclass(frozen=True)
class Gaussian:
    """A space as a style-based generator has one: a Gaussian fitted to latents it was shown."""

    mean: np.ndarray
    root: np.ndarray  # of the covariance
    bound: float = np.inf

    @classmethod
    def fit(cls, latents: np.ndarray) -> Self:
        return cls(latents.mean(axis=0), np.linalg.cholesky(np.cov(latents, rowvar=False)))

    @property
    def size(self) -> int:
        return len(self.mean)

    def draw(self, random, count, truncation=1.0):
        return self.mean + truncation * random.standard_normal((count, self.size)) @ self.root.T

    def prior(self, z, weight):
        inverse = np.linalg.inv(self.root @ self.root.T)
        apart = z - self.mean
        slope = (apart[:, None] * inverse).sum(axis=2)  # row by row
        return weight / 2 * (apart * slope).sum(axis=1), weight * slope

    def between(self, one, other, shares, truncation=1.0):
        angle = np.pi / 2 * shares[:, None]
        return self.mean + np.cos(angle) * (one - self.mean) + np.sin(angle) * (other - self.mean)


def skewed() -> Gaussian:
    shown = np.random.default_rng(3).standard_normal((COUNT, SIZE)) @ np.diag([3.0, 1.0, 0.2])
    return Gaussian.fit(shown + [[4.0, 0.0, -1.0]])


def mapped() -> Mapped:
    """Latents of w's that are skewed as those of `skewed` are."""
    spread = np.array([[3.0, 1.0, 0.0], [0.0, 1.0, 0.3], [0.0, 0.0, 0.5]])
    return Mapped.fit(lambda z: z @ spread + [4.0, 0.0, -1.0], SIZE)


SPACES = {"cube": Cube(SIZE), "gaussian": skewed(), "mapped": mapped()}


@pytest.fixture(params=SPACES)
def space(request) -> Space:
    return SPACES[request.param]


def draw(space: Space, count=COUNT, seed=0, truncation=1.0) -> np.ndarray:
    return space.draw(np.random.default_rng(seed), count, truncation)


def test_draws_are_as_many_as_asked_within_the_bound(space):
    z = draw(space)
    assert z.shape == (COUNT, space.size) and z.dtype == np.float64
    assert np.abs(z).max() <= space.bound
    np.testing.assert_array_equal(z, draw(space))
    assert (z != draw(space, seed=1)).all()
    half = draw(space, truncation=0.5)
    np.testing.assert_allclose(half.std(axis=0), z.std(axis=0) / 2, rtol=0.1)


def test_the_prior_is_the_gaussian_with_the_moments_of_what_is_drawn(space):
    z, some = draw(space, 40_000), draw(space, 5, seed=1)
    expected = stats.multivariate_normal(z.mean(axis=0), np.cov(z, rowvar=False))
    energy, slope = space.prior(some, 0.7)
    surprise = -0.7 * expected.logpdf(some)
    np.testing.assert_allclose(energy - energy[0], surprise - surprise[0], rtol=0.05, atol=0.03)
    for row in range(5):
        alone = space.prior(some[row : row + 1], 0.7)
        assert alone[0][0] == energy[row]
        np.testing.assert_array_equal(alone[1][0], slope[row])
        steps = some[row] + 1e-6 * np.eye(space.size)
        change = (space.prior(steps, 0.7)[0] - energy[row]) / 1e-6
        np.testing.assert_allclose(change, slope[row], atol=1e-4)


def test_what_is_between_independent_draws_is_distributed_as_they_are(space):
    one, other = draw(space), draw(space, seed=1)
    pairs = zip(one, other, strict=True)
    way = np.stack([space.between(*pair, np.array([0.0, 0.5])) for pair in pairs])
    np.testing.assert_allclose(way[:, 0], one, atol=1e-5)
    for coordinate in range(space.size):
        assert stats.ks_2samp(way[:, 1, coordinate], one[:, coordinate]).pvalue > 0.01
    path = sampling.walk(space, one[:3], 4)
    assert path.shape == (12, space.size) and path.dtype == np.float32


@pytest.mark.parametrize("approach", ["adam", "lbfgs"])
@pytest.mark.parametrize("clip", ["hard", "stochastic", "none"])
def test_a_search_stays_within_the_bound_and_finds_what_it_was_made_from(space, approach, clip):
    if (approach, clip) == ("lbfgs", "stochastic"):
        pytest.skip("refused")
    true = draw(space, 4, seed=2)
    options = Search(approach, steps=200, lr=0.1, clip=clip, prior_weight=1e-6)

    def value_and_grad(z):
        return ((z - true) ** 2).sum(axis=1), 2 * (z - true)

    found = list(search(value_and_grad, draw(space, 4), options, space=space))[-1]
    np.testing.assert_allclose(found.z, true, atol=0.05)
    assert clip == "none" or np.abs(found.z).max() <= space.bound


@pytest.mark.parametrize("kind", ["random", "ridge", "bank"])
def test_starts_are_latents_of_the_space(space, kind):
    weights = np.random.default_rng(4).normal(0, 0.1, (space.size, 8 * 8 * 3))

    def generate(z):
        return np.float32(z @ weights).reshape(-1, 8, 8, 3)

    fitted = Starts.fit(generate, space, samples=256, components=4)
    true, known = draw(space, 3, seed=5), np.ones((3, 8, 8, 1), np.float32)
    found = start(kind, generate(true), known, space, restart=0, starts=fitted)
    assert found.shape == (3, space.size) and np.abs(found).max() <= space.bound
    if kind == "ridge":
        np.testing.assert_allclose(found, true, atol=0.1)


def test_mapped_latents_are_white_and_w_is_what_they_stand_for():
    space = mapped()
    z = np.random.default_rng(0).standard_normal((COUNT, SIZE))
    latents = draw(space)
    np.testing.assert_allclose(latents @ space.root.T + space.mean, space.mapped(z), atol=1e-8)
    np.testing.assert_allclose(np.cov(latents, rowvar=False), np.eye(SIZE), atol=0.1)
    flat = Mapped.fit(lambda z: z * [1.0, 1.0, 0.0], SIZE)  # a direction in which nothing differs
    assert np.isfinite(draw(flat)).all()


def test_several_layers_are_as_likely_as_one_when_they_are_the_same():
    space = mapped()
    one = draw(space, 5)
    layered = space.layered(4)
    assert layered.size == 4 * SIZE
    np.testing.assert_array_equal(draw(layered, 5), np.tile(one, 4))
    energy, slope = layered.prior(np.tile(one, 4), 0.7)
    expected, expected_slope = space.prior(one, 0.7)
    np.testing.assert_allclose(energy, expected)
    np.testing.assert_allclose(slope.reshape(5, 4, SIZE).sum(axis=1), expected_slope)
