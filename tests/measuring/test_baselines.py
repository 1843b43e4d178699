"""baselines.py: PPCA against NumPy's SVD and the conditional Gaussian; inpainting on a slope."""

import numpy as np
import pytest

from data.drawn import drawn_faces
from measuring import baselines
from pictures import codecs

SIZE = 16


@pytest.fixture(scope="module")
def train():
    return drawn_faces(40, SIZE, seed=1)


def test_ppca_has_the_principal_axes(train):
    fitted = baselines.fit(train, 6)
    rows = codecs.to_float(train).reshape(len(train), -1).astype(float)
    _, singular, axes = np.linalg.svd(rows - rows.mean(axis=0), full_matrices=False)
    variances = singular**2 / len(rows)
    np.testing.assert_allclose(fitted.mean, rows.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(fitted.variances, variances[:6], rtol=1e-3)
    np.testing.assert_allclose(np.abs((fitted.axes * axes[:6]).sum(axis=1)), 1, atol=1e-3)
    assert fitted.noise == pytest.approx(variances[6:].sum() / (rows.shape[1] - 6), rel=1e-3)
    fewer = fitted.truncated(3)
    assert fewer.noise == pytest.approx(variances[3:].sum() / (rows.shape[1] - 3), rel=1e-3)


def test_ppca_fills_with_the_conditional_mean_of_its_gaussian(train, monkeypatch):
    monkeypatch.setattr(baselines, "CHUNK", 7)
    small = train[:, ::4, ::4]
    fitted = baselines.fit(small, 4)
    weights = (fitted.axes * np.sqrt(fitted.variances - fitted.noise)[:, None]).T  # (D, K)
    covariance = weights @ weights.T + fitted.noise * np.eye(len(weights))
    true = codecs.to_float(drawn_faces(3, SIZE, seed=5)[:, ::4, ::4])
    masks = np.ones((3, 4, 4, 1), np.float32)
    masks[:2, 1:3, 1:3] = 0
    masks[2, :, :2] = 0
    filled = baselines.fill(fitted, true, masks)
    for picture, mask, result in zip(true, masks, filled, strict=True):
        known = np.broadcast_to(mask, picture.shape).ravel() > 0
        x = picture.ravel()[known] - fitted.mean[known]
        expected = covariance[:, known] @ np.linalg.solve(covariance[np.ix_(known, known)], x)
        hidden = ~known
        np.testing.assert_allclose(
            result.ravel()[hidden], (fitted.mean + expected)[hidden], atol=1e-4
        )


def test_with_much_caution_ppca_is_the_mean(train):
    fitted = baselines.fit(train, 4)
    known = codecs.to_float(train[:1])
    masks = np.ones((1, SIZE, SIZE, 1), np.float32)
    apart = [
        np.abs(
            baselines.fill(fitted, known, masks, caution) - fitted.mean.reshape(SIZE, SIZE, 3)
        ).mean()
        for caution in (1, 100, 1e4, 1e9)
    ]
    assert apart[0] > apart[1] > apart[2] > apart[3] and apart[3] < 1e-4


def test_ppca_without_components_is_the_mean_picture(train):
    mean = baselines.fill(
        baselines.fit(train, 0), codecs.to_float(train[:2]), np.ones((2, 16, 16, 1))
    )
    expected = codecs.to_float(train).mean(axis=0)
    np.testing.assert_allclose(mean, np.stack([expected, expected]), atol=1e-6)


def test_ppca_of_pictures_that_are_all_alike():
    alike = np.full((9, 4, 4, 3), 51, np.uint8)
    filled = baselines.fill(baselines.fit(alike, 3), np.zeros((1, 4, 4, 3)), np.zeros((1, 4, 4, 1)))
    np.testing.assert_allclose(filled, -0.6, atol=1e-6)


def test_ppca_needs_more_pictures_than_components(train):
    with pytest.raises(ValueError, match="ppca-40 needs more than 40 training pictures, not 40"):
        baselines.fit(train, 40)


@pytest.mark.parametrize("name", baselines.INPAINTING)
@pytest.mark.parametrize("channels", [1, 3])
def test_inpainting_continues_a_slope(name, channels):
    slope = np.broadcast_to(np.linspace(-0.5, 0.5, SIZE)[:, None], (1, SIZE, SIZE))
    true = np.repeat(slope[..., None], channels, axis=3)
    masks = np.ones((1, SIZE, SIZE, 1), np.float32)
    masks[:, 6:10, 6:10] = 0
    filled = baselines.INPAINTING[name](true, masks)
    assert filled.shape == true.shape and filled.dtype == np.float32
    assert np.abs(filled - true)[:, 6:10, 6:10].max() < 0.15
