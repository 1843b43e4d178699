"""starts.py against the textbook formulas, on generators whose answers are known."""

import numpy as np
import pytest

from search import linear as linear_models
from search import starts
from search.linear import Given
from search.space import Cube
from search.starts import Starts

Z_DIM, SIZE = 6, 8
SPACE = Cube(Z_DIM)


def linear(z):
    """A generator that is linear: its z can be found exactly."""
    weights = np.random.RandomState(0).normal(0, 0.15, (Z_DIM, SIZE * SIZE * 3))
    return (0.1 + z @ weights).reshape(-1, SIZE, SIZE, 3).astype(np.float32)


def bent(z):
    """A generator that is not, and whose pictures are larger than starts look at."""
    return np.tanh(3 * linear(z)).repeat(2, axis=1).repeat(2, axis=2)


@pytest.fixture(scope="module", autouse=True)
def small_starts():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(linear_models, "SIZE", SIZE)
        yield


@pytest.fixture(scope="module")
def fitted():
    return Starts.fit(linear, SPACE, samples=512, components=16)


@pytest.fixture(scope="module")
def fitted_bent():
    return Starts.fit(bent, SPACE, samples=512, components=16)


def hole(count, size, start, end):
    masks = np.ones((count, size, size, 1), np.float32)
    masks[:, start:end, start:end] = 0
    return masks


def draw(count, seed=9):
    return np.random.RandomState(seed).uniform(-1, 1, (count, Z_DIM))


def test_ridge_finds_the_z_of_a_linear_generator(fitted):
    z = draw(5)
    np.testing.assert_allclose(fitted.ridge(linear(z), hole(5, SIZE, 2, 6)), z, atol=0.02)


def test_ridge_is_the_conditional_mean_of_the_joint_gaussian(fitted_bent, monkeypatch):
    """E[z | x] = Cov(z, x) Cov(x)^-1 (x - mean) over the known pixels, solved in pixel space."""
    s, images, masks = fitted_bent, bent(draw(3)), hole(3, 16, 4, 12)
    monkeypatch.setattr(Given, "_noise", lambda *known: 0.01)
    known = masks[0, ::2, ::2].repeat(3, axis=2).ravel() > 0  # no block is part hole
    w = s.pictures.components[:, known].astype(np.float64)
    covariance = w.T * s.pictures.variances @ w + 0.01 * np.eye(known.sum())
    together = (s.regression.T * s.pictures.variances) @ w
    small = images.reshape(3, 8, 2, 8, 2, 3).mean(axis=(2, 4)).reshape(3, -1)
    difference = (small - s.pictures.mean)[:, known]
    solved = np.linalg.solve(covariance, difference.T)
    expected = np.clip(solved.T @ together.T + s.z_mean, -1, 1)
    np.testing.assert_allclose(s.ridge(images, masks), expected, atol=1e-4)


def test_ridge_is_nearer_than_bank_and_bank_nearer_than_chance(fitted_bent):
    z = draw(40)
    images, masks = bent(z), hole(40, 16, 4, 12)

    def distance(kind):
        found = starts.start(kind, images, masks, SPACE, starts=fitted_bent)
        return (np.abs(bent(found) - images) * masks).mean()

    assert distance("ridge") < 0.5 * distance("bank") < 0.4 * distance("random")


def test_preconditioner_is_the_inverse_of_gauss_and_newtons_hessian(fitted, monkeypatch):
    """For the contextual loss of a linear generator in L2, whose Hessian is J' W J."""
    monkeypatch.setattr(starts, "DAMPING", 1e-6)
    weights = np.random.RandomState(4).uniform(0.2, 1, (2, SIZE, SIZE, 1)) * hole(2, SIZE, 2, 5)
    jacobian = linear(np.eye(Z_DIM)) - linear(np.zeros((1, Z_DIM)))  # (Z, S, S, C)
    for row, found in enumerate(fitted.preconditioner(np.float32(weights))):
        hessian = np.einsum("ahwc,bhwc,hw->ab", jacobian, jacobian, weights[row, ..., 0])
        np.testing.assert_allclose(found @ hessian, np.eye(Z_DIM), atol=1e-3)


def test_where_all_is_hidden_the_preconditioner_is_the_unit_matrix(fitted):
    hidden = np.zeros((1, SIZE, SIZE, 1), np.float32)
    np.testing.assert_array_equal(fitted.preconditioner(hidden), np.eye(Z_DIM)[None])


def test_bank_is_the_nearest_picture_of_the_bank(fitted):
    rows = [3, 77, 500]
    images = linear(fitted.latents[rows])
    np.testing.assert_array_equal(fitted.bank(images, hole(3, SIZE, 0, 4)), fitted.latents[rows])
    later = [fitted.bank(images, hole(3, SIZE, 0, 4), restart) for restart in range(3)]
    errors = [np.square((linear(z) - images) * hole(3, SIZE, 0, 4)).sum((1, 2, 3)) for z in later]
    assert (np.diff(errors, axis=0) > 0).all()


@pytest.mark.parametrize("kind", ["ridge", "bank"])
@pytest.mark.parametrize("restart", [0, 2])
def test_hidden_pixels_and_companions_change_nothing(fitted_bent, kind, restart):
    random = np.random.RandomState(1)
    images = bent(draw(9))
    masks = (random.uniform(size=(9, 16, 16, 1)) > 0.4).astype(np.float32)
    masks[::2] = masks[0]

    def start(rows, pictures=images):
        return starts.start(kind, pictures[rows], masks[rows], SPACE, 5, restart, fitted_bent)

    together = start(np.arange(9))
    for hidden in (np.nan, np.inf, random.uniform(-1, 1, images.shape)):
        changed = np.where(masks > 0, images, hidden).astype(np.float32)
        np.testing.assert_array_equal(start(np.arange(9), changed), together)
    order = random.permutation(9)
    np.testing.assert_array_equal(start(order), together[order])
    for row in range(9):
        np.testing.assert_array_equal(start([row])[0], together[row])


def test_later_ridge_starts_spread_as_their_distribution_says(fitted):
    """Where everything is hidden that is the distribution of z itself, variance 1/3."""
    images, masks = linear(draw(1)), np.zeros((1, SIZE, SIZE, 1), np.float32)
    np.testing.assert_allclose(fitted.ridge(images, masks), 0, atol=0.06)
    found = np.array([fitted.ridge(images, masks, restart, 3)[0] for restart in range(1, 400)])
    assert np.abs(found).max() <= 1
    clipped = np.clip(np.random.RandomState(0).normal(0, 3**-0.5, 100000), -1, 1).std()
    np.testing.assert_allclose(found.std(axis=0), clipped, rtol=0.1)


def test_restarts_differ_and_the_seed_decides(fitted):
    images, masks = linear(draw(2)), hole(2, SIZE, 0, 6)
    for kind in starts.KINDS:
        found = [
            starts.start(kind, images, masks, SPACE, 7, restart, fitted) for restart in (0, 1, 2, 1)
        ]
        assert len({z.tobytes() for z in found}) == 3
        np.testing.assert_array_equal(found[1], found[3])
        assert all(z.shape == (2, Z_DIM) and np.abs(z).max() <= 1 for z in found)
    one, other = (starts.start("random", images, masks, SPACE, seed) for seed in (0, 1))
    np.testing.assert_array_equal(one[0], one[1])
    assert (one != other).all()


def test_what_is_stored_is_what_was_fitted(fitted, tmp_path):
    np.savez(tmp_path / "starts.npz", **fitted.to_arrays())
    with np.load(tmp_path / "starts.npz") as arrays:
        read = Starts.from_arrays(arrays, SPACE)
    for name in starts.OWN:
        np.testing.assert_array_equal(getattr(read, name), getattr(fitted, name))
    np.testing.assert_equal(vars(read.pictures), vars(fitted.pictures))
    with pytest.raises(ValueError, match="starts without codes"):
        Starts.from_arrays({k: v for k, v in fitted.to_arrays().items() if k != "codes"}, SPACE)


def test_one_channel(fitted):
    grey = Starts.fit(lambda z: linear(z)[..., :1], SPACE, samples=256, components=16)
    z = draw(2)
    np.testing.assert_allclose(grey.ridge(linear(z)[..., :1], hole(2, SIZE, 6, 8)), z, atol=0.1)


def test_another_start_is_refused():
    with pytest.raises(ValueError, match="start is 'zero'; choose from random, bank, ridge"):
        starts.start("zero", np.zeros((1, 8, 8, 3)), np.zeros((1, 8, 8, 1)), SPACE)
