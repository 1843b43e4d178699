"""linear.py against the textbook formulas, solved in pixel space, on pictures that are Gaussian."""

import numpy as np
import pytest

from search import linear
from search.linear import Given, LinearModel, shrink

SIZE, SIDE, RANK = 8, 16, 6  # of small pictures, of pictures, of what they vary in


@pytest.fixture(scope="module", autouse=True)
def small_models():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(linear, "SIZE", SIZE)
        yield


def pictures(count, seed=0, noise=0.02):
    """Gaussian pictures (N, 16, 16, 3), of six components, each block of one colour, and noise."""
    components = np.random.RandomState(0).normal(0, 0.1, (RANK, SIZE * SIZE * 3))
    random = np.random.RandomState(seed)
    small = 0.1 + random.normal(size=(count, RANK)) @ components
    small += random.normal(0, noise, small.shape)
    return small.reshape(-1, SIZE, SIZE, 3).repeat(2, axis=1).repeat(2, axis=2).astype(np.float32)


@pytest.fixture(scope="module")
def fitted():
    return LinearModel.fit(shrink(pictures(2000)), RANK)


def hole(count, start, end):
    masks = np.ones((count, SIDE, SIDE, 1), np.float32)
    masks[:, start:end, start:end] = 0
    return masks


def pixel_space(model, masks):
    """Which small numbers are known; their covariance without noise; that of all with them."""
    known = masks[0, ::2, ::2].repeat(3, axis=2).ravel() > 0  # no block is part hole
    w = model.components.astype(np.float64)
    covariance = w.T * model.variances @ w
    return known, covariance[np.ix_(known, known)], covariance[:, known]


def test_shrink_takes_the_means_of_blocks_and_no_more_than_it_must():
    whole = pictures(3)
    np.testing.assert_allclose(shrink(whole), whole[:, ::2, ::2], atol=1e-6)
    np.testing.assert_array_equal(shrink(whole[:, :4, :4]), whole[:, :4, :4])


def test_fit_finds_mean_variances_and_noise():
    rows = shrink(pictures(2000)).reshape(2000, -1).astype(np.float64)
    values, axes = np.linalg.eigh(np.cov(rows, rowvar=False, bias=True))
    model = LinearModel.fit(shrink(pictures(2000)), RANK)
    np.testing.assert_allclose(model.mean, rows.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(model.variances, values[::-1][:RANK], rtol=1e-3)
    within = np.abs(model.components @ axes[:, ::-1][:, :RANK])
    np.testing.assert_allclose(within, np.eye(RANK), atol=5e-3)
    assert model.noise == pytest.approx(0.02**2, rel=0.1)


def test_components_explain_their_share_of_the_variance(fitted):
    small = shrink(pictures(2000)).reshape(2000, -1)
    for components in (0, 2, RANK):
        along = (small - small.mean(axis=0)) @ fitted.components[:components].T
        share = along.var(axis=0).sum() / small.var(axis=0).sum()
        assert fitted.explained(components) == pytest.approx(share, abs=1e-4)


def test_what_is_expected_is_the_conditional_mean(fitted, monkeypatch):
    """E[x | known] = mean + Cov(x, x_known) Cov(x_known)^-1 (x_known - mean), in pixel space."""
    given, masks = pictures(3, seed=1), hole(3, 4, 12)
    monkeypatch.setattr(Given, "_noise", lambda *known: 0.01)
    known, covariance, together = pixel_space(fitted, masks)
    difference = (shrink(given).reshape(3, -1) - fitted.mean)[:, known]
    solved = np.linalg.solve(covariance + 0.01 * np.eye(known.sum()), difference.T)
    codes = Given(fitted, masks).codes(given, np.zeros(RANK))
    np.testing.assert_allclose(codes @ fitted.components, (together @ solved).T, atol=1e-4)
    small = Given(fitted, masks[:, ::2, ::2]).expected(shrink(given)).reshape(3, -1)
    np.testing.assert_allclose(small, fitted.mean + (together @ solved).T, atol=1e-4)


def test_what_is_expected_is_near_the_truth_where_pictures_are_gaussian(fitted):
    given, masks = shrink(pictures(20, seed=2)), hole(20, 4, 12)[:, ::2, ::2]
    inside = masks[..., 0] == 0
    error = np.abs(Given(fitted, masks).expected(given) - given)[inside].mean()
    assert error < 0.3 * np.abs(given - given.mean(axis=0))[inside].mean()


def test_differences_are_those_between_what_is_expected(fitted, monkeypatch):
    monkeypatch.setattr(Given, "_noise", lambda *known: 0.01)  # else each image's own
    one, other, given = pictures(3, seed=7), pictures(3, seed=8), Given(fitted, hole(3, 4, 12))
    apart = given.expected(one) - given.expected(other)
    np.testing.assert_allclose(given.expected_differences(one - other), apart, atol=1e-5)
    none = np.zeros((3, SIDE, SIDE, 3), np.float32)
    np.testing.assert_array_equal(given.expected_differences(none), none)


def test_draws_vary_as_the_conditional_distribution_does(fitted, monkeypatch):
    given, masks = pictures(1, seed=3), hole(1, 0, 14)
    monkeypatch.setattr(Given, "_noise", lambda *known: 0.01)
    known, covariance, together = pixel_space(fitted, masks)
    w = fitted.components.astype(np.float64)
    left = w.T * fitted.variances @ w
    left -= together @ np.linalg.solve(covariance + 0.01 * np.eye(known.sum()), together.T)
    model = Given(fitted, masks)
    unit = np.random.RandomState(0).standard_normal((1500, RANK))
    drawn = np.array([model.codes(given, one)[0] for one in unit]) @ w
    np.testing.assert_allclose(drawn.var(axis=0).mean(), np.diag(left).mean(), rtol=0.1)
    zero, one, again, other = (model.expected(given, draw, seed=5) for draw in (0, 1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert (one != other).any() and (one != zero).any()
    assert (one != model.expected(given, 1, seed=6)).any()


def test_noise_is_that_under_which_the_known_pixels_are_likeliest(fitted, monkeypatch):
    masks, chosen = hole(1, 6, 10), []
    given = pictures(1, seed=4, noise=0.2)
    real = Given._noise
    monkeypatch.setattr(Given, "_noise", lambda *a: chosen.append(real(*a)) or chosen[-1])
    Given(fitted, masks).expected(given)

    known, covariance, _ = pixel_space(fitted, masks)
    difference = (shrink(given).ravel() - fitted.mean)[known]
    candidates = np.geomspace(0.01, 0.16, 13)

    def surprise(noise):  # minus twice the log likelihood, and a constant
        total = covariance + noise * np.eye(known.sum())
        return difference @ np.linalg.solve(total, difference) + np.linalg.slogdet(total)[1]

    likeliest = min(candidates, key=surprise)
    assert likeliest == pytest.approx(0.04, rel=0.4)
    assert chosen[0] / linear.NEIGHBOURS == pytest.approx(likeliest, rel=0.25)


@pytest.mark.parametrize("draw", [0, 2])
def test_hidden_pixels_and_companions_change_nothing(fitted, draw):
    random = np.random.RandomState(1)
    given = pictures(9, seed=5)
    masks = (random.uniform(size=(9, SIDE, SIDE, 1)) > 0.4).astype(np.float32)
    masks[::2] = masks[0]

    def expected(rows, given=given):
        return Given(fitted, masks[rows]).expected(given[rows], draw)

    together = expected(np.arange(9))
    for hidden in (np.nan, np.inf, random.uniform(-1, 1, given.shape)):
        changed = np.where(masks > 0, given, hidden).astype(np.float32)
        np.testing.assert_array_equal(expected(np.arange(9), changed), together)
    order = random.permutation(9)
    np.testing.assert_array_equal(expected(order), together[order])
    for row in range(9):
        np.testing.assert_array_equal(expected([row])[0], together[row])


def test_a_model_of_training_pictures_takes_mirror_images_for_pictures_too():
    given = pictures(200)
    model = LinearModel.of_training(iter([given[:150], given[150:]]), mirrored=True)
    assert len(model.variances) <= 200 // linear.EACH
    mean = model.mean.reshape(SIZE, SIZE, 3)
    np.testing.assert_allclose(mean, mean[:, ::-1], atol=1e-6)
    assert not np.allclose(mean, LinearModel.of_training([given], False).mean.reshape(mean.shape))


def test_few_pictures_make_a_model_of_few_axes_or_none():
    model = LinearModel.of_training([pictures(3)], mirrored=False)
    assert len(model.variances) == 0
    expected = Given(model, hole(1, 4, 12)[:, ::2, ::2]).expected(shrink(pictures(1, seed=6)))
    np.testing.assert_array_equal(expected.ravel(), model.mean)


@pytest.mark.parametrize("side", [4, SIZE, 32])
@pytest.mark.parametrize("channels", [1, 3])
def test_any_size_and_number_of_channels(side, channels):
    given = np.random.RandomState(7).uniform(-1, 1, (40, side, side, channels)).astype(np.float32)
    model = LinearModel.of_training([given], mirrored=True)
    masks = np.ones((2, side, side, 1), np.float32)
    masks[:, : side // 2] = 0
    assert Given(model, masks).expected(given[:2]).shape == (2, side, side, channels)


def test_what_is_stored_is_what_was_fitted(fitted, tmp_path):
    np.savez(tmp_path / "linear.npz", **fitted.to_arrays())
    with np.load(tmp_path / "linear.npz") as arrays:
        np.testing.assert_equal(vars(LinearModel.from_arrays(arrays)), vars(fitted))
    with pytest.raises(ValueError, match="a linear model without noise, mean"):
        LinearModel.from_arrays(
            {k: v for k, v in fitted.to_arrays().items() if k not in ("mean", "noise")}
        )
