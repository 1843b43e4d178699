"""metrics.py against scikit-image, SciPy, and the formulas written out as loops."""

import numpy as np
import pytest
import scipy.linalg
import scipy.spatial.distance
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from measuring import metrics
from measuring.metrics import FeatureStatistics


def pictures(count=3, size=24, channels=3, seed=0):
    random = np.random.RandomState(seed)
    true = random.uniform(-1, 1, (count, size, size, channels))
    true = np.cumsum(true, axis=1) / 5 % 2 - 1  # with some structure
    return np.clip(true + random.normal(0, 0.2, true.shape), -1, 1), true


def hole(count=3, size=24):
    masks = np.ones((count, size, size, 1), np.float32)
    masks[:, 6:18, 6:18] = 0
    return masks


@pytest.mark.parametrize("channels", [1, 3])
def test_psnr_is_scikit_images(channels):
    a, b = pictures(channels=channels)
    expected = [peak_signal_noise_ratio(y, x, data_range=2) for x, y in zip(a, b, strict=True)]
    np.testing.assert_allclose(metrics.psnr(a, b), expected)
    inside = [
        peak_signal_noise_ratio(y[6:18, 6:18], x[6:18, 6:18], data_range=2)
        for x, y in zip(a, b, strict=True)
    ]
    np.testing.assert_allclose(metrics.psnr(a, b, hole()), inside)


def test_psnr_of_the_hole_is_6_dB_below_that_of_the_picture():
    _, b = pictures()
    a = b + 0.1 * (hole() == 0)
    np.testing.assert_allclose(metrics.psnr(a, b, hole()), 20 * np.log10(2 / 0.1))
    np.testing.assert_allclose(metrics.psnr(a, b) - metrics.psnr(a, b, hole()), 6.0206, atol=1e-4)


def test_equal_pictures_and_no_hole():
    _, b = pictures()
    assert np.isinf(metrics.psnr(b, b)).all()
    np.testing.assert_allclose(metrics.ssim(b, b), 1)
    np.testing.assert_allclose(metrics.seam(b, b, hole()), 1)
    np.testing.assert_allclose(metrics.sharpness(b, b, hole()), 1)
    for metric in (metrics.psnr, metrics.ssim, metrics.seam, metrics.sharpness):
        assert np.isnan(metric(b, b, np.ones_like(hole()))).all()


@pytest.mark.parametrize("channels", [1, 3])
def test_ssim_is_scikit_images(channels):
    a, b = pictures(channels=channels)
    maps = [
        structural_similarity(
            x,
            y,
            data_range=2,
            channel_axis=2,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            full=True,
        )[1]
        for x, y in zip(a, b, strict=True)
    ]
    np.testing.assert_allclose(metrics.ssim(a, b), [m.mean() for m in maps])
    np.testing.assert_allclose(metrics.ssim(a, b, hole()), [m[6:18, 6:18].mean() for m in maps])


def test_seam_is_the_ratio_of_jumps_across_the_edge():
    a, b = pictures(2)
    random = np.random.RandomState(1)
    masks = (random.uniform(size=(2, 24, 24, 1)) > 0.3).astype(np.float32)

    def jump(x, mask):
        total, pairs = 0, 0
        for i in range(24):
            for j in range(24):
                for k, m in ((i + 1, j), (i, j + 1)):
                    if k < 24 and m < 24 and mask[i, j] != mask[k, m]:
                        total += np.abs(x[i, j] - x[k, m]).mean()
                        pairs += 1
        return total / pairs

    expected = [jump(x, m) / jump(y, m) for x, y, m in zip(a, b, masks, strict=True)]
    np.testing.assert_allclose(metrics.seam(a, b, masks), expected)


def test_sharpness_is_the_ratio_of_energies_of_the_gradient_within_the_hole():
    true = np.zeros((2, 3, 4, 1))
    true[:, 1, 1:3, 0] = 0.2, 0.6  # across 0.4 within the hole
    true[0, 2, 1:3, 0] = 0.2, 0.5  # across 0.3, down 0 and -0.1
    masks = np.ones((2, 3, 4, 1))
    masks[0, 1:, 1:3] = 0
    masks[1, 1, 1:3] = 0
    blurred = true / 2
    blurred[:, 0] = 9  # known: does not count
    np.testing.assert_allclose(metrics.sharpness(blurred, true, masks), [0.25, 0.25])
    other = np.zeros((2, 3, 4, 1))
    other[:, 1, 1] = 0.3  # .09 across, and in the first .09 down; of .16 + .09 + .01, and of .16
    np.testing.assert_allclose(metrics.sharpness(other, true, masks), [0.18 / 0.26, 0.09 / 0.16])


def test_identity_distance():
    np.testing.assert_allclose(
        metrics.identity_distance([[0, 0], [1, 1]], [[3, 4], [1, 1]]), [5, 0]
    )


def features(count=200, dimensions=6, seed=0, shift=0.0):
    random = np.random.RandomState(seed)
    mixing = np.random.RandomState(5).normal(size=(dimensions, dimensions))
    return random.normal(size=(count, dimensions)) @ mixing + 100 + shift


def test_statistics_of_a_stream_are_those_of_the_whole():
    x = features()
    streamed = FeatureStatistics.of(x[:1]).add(x[1:70])
    merged = streamed.merge(FeatureStatistics.of(x[70:]))
    assert merged.count == 200 and streamed.count == 70  # streamed is unchanged
    np.testing.assert_allclose(merged.mean, x.mean(axis=0), rtol=1e-13)
    np.testing.assert_allclose(merged.covariance, np.cov(x.T), rtol=1e-10)
    with pytest.raises(ValueError, match="covariance of 1 pictures"):
        _ = FeatureStatistics.of(x[:1]).covariance


def test_frechet_distance_is_the_formula_with_scipys_root():
    x, y = features(), features(seed=1, shift=0.3) * 1.1
    root = scipy.linalg.sqrtm(np.cov(x.T) @ np.cov(y.T)).real
    expected = np.square(x.mean(0) - y.mean(0)).sum() + np.trace(
        np.cov(x.T) + np.cov(y.T) - 2 * root
    )
    distance = metrics.frechet_distance(FeatureStatistics.of(x), FeatureStatistics.of(y))
    assert distance == pytest.approx(expected, rel=1e-8)
    assert metrics.frechet_distance(
        FeatureStatistics.of(x), FeatureStatistics.of(x)
    ) == pytest.approx(0, abs=1e-8)


def test_frechet_distance_of_fewer_pictures_than_dimensions():
    """Diagonal covariances of rank 2 and 3 in 50 dimensions, where the formula is elementary."""
    a, b = np.zeros(50), np.zeros(50)
    a[:2], b[:3] = (4, 9), (1, 16, 25)
    zeros = np.zeros(50)
    distance = metrics.frechet_distance(
        FeatureStatistics(3, zeros, np.diag(2 * a)), FeatureStatistics(4, zeros, np.diag(3 * b))
    )
    assert distance == pytest.approx((2 - 1) ** 2 + (3 - 4) ** 2 + 25)
    few = features(10, 50)
    assert np.isfinite(
        metrics.frechet_distance(FeatureStatistics.of(few), FeatureStatistics.of(few[:4]))
    )


def test_kernel_distance_is_the_unbiased_estimate(monkeypatch):
    monkeypatch.setattr(metrics, "BLOCK", 7)
    x, y = features(20) / 50, features(15, seed=1) / 40

    def mean(a, b):
        pairs = [(u @ v / 6 + 1) ** 3 for u in a for v in b if u is not v]
        return np.mean(pairs)

    expected = mean(list(x), list(x)), mean(list(y), list(y)), mean(x, y)
    a, b = list(x), list(y)
    expected = mean(a, a) + mean(b, b) - 2 * mean(a, b)
    assert metrics.kernel_distance(x, y) == pytest.approx(expected, rel=1e-9)


def test_kernel_distance_is_around_nothing_for_equal_distributions():
    draw = []
    for seed in range(40):
        x, y = features(60, seed=seed), features(40, seed=100 + seed)
        draw.append(metrics.kernel_distance(x - 100, y - 100))
    assert min(draw) < 0 < max(draw)
    assert abs(np.mean(draw)) < 3 * np.std(draw) / 40**0.5
    shifted = metrics.kernel_distance(features(60) - 100, features(40, seed=1, shift=3) - 100)
    assert shifted > max(draw)


def test_diversity_is_scipys_mean_distance(monkeypatch):
    monkeypatch.setattr(metrics, "BLOCK", 7)
    x = features(30)
    assert metrics.diversity(x) == pytest.approx(scipy.spatial.distance.pdist(x).mean())
    a, _ = pictures()
    flat = a.reshape(3, -1)
    assert metrics.diversity(a) == pytest.approx(scipy.spatial.distance.pdist(flat).mean())
    assert metrics.diversity(np.ones((5, 3))) == 0


def test_bootstrap_interval_covers_the_mean_as_often_as_it_says():
    random = np.random.RandomState(0)
    people = np.repeat(np.arange(60), 3)
    covered, widths, widths_of_pictures = 0, [], []
    for trial in range(200):
        values = random.normal(0, 1, 60)[people] + random.normal(0, 0.3, 180)
        low, high = metrics.bootstrap_interval(values, people, seed=trial, samples=400)
        covered += low < 0 < high
        widths.append(high - low)
        low, high = metrics.bootstrap_interval(values, np.arange(180), seed=trial, samples=100)
        widths_of_pictures.append(high - low)
    assert 0.88 <= covered / 200 <= 0.99
    assert np.mean(widths) > 1.4 * np.mean(widths_of_pictures)


def test_bootstrap_interval_is_seeded_and_takes_names():
    values, names = [1.0, 2.0, 4.0, 8.0], ["a", "b", "a", "c"]
    one = metrics.bootstrap_interval(values, names, seed=1)
    assert one == metrics.bootstrap_interval(values, names, seed=1)
    assert one[0] < np.mean(values) < one[1] and min(values) <= one[0] and one[1] <= max(values)
    assert metrics.bootstrap_interval([3.0, 3.0], ["a", "b"]) == (3, 3)
