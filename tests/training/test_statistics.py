"""statistics.py: each against an independent NumPy version, with its gradient; the theorem."""

import numpy as np
import pytest
import tensorflow as tf

import ops
from networks.style_config import STATISTICS
from training import statistics


def maps(seed, shape=(2, 4, 5, 3)):
    return np.random.default_rng(seed).normal(0.3, 1, shape).astype(np.float32)


def spread(kernel, a, b):
    return np.mean([[kernel(x, y) for y in b] for x in a])


def by_hand(kind, features, style):
    """The distance of features (P, C) and (Q, C), in float64, as the papers write it."""
    channels = features.shape[1]
    if kind == "gram":
        a, b = (sum(np.outer(f, f) for f in x) / len(x) for x in (features, style))
        return ((a - b) ** 2).sum() / (4 * channels**2)
    if kind == "moments":
        deviations = [np.sqrt(x.var(axis=0) + ops.EPSILON) for x in (features, style)]
        means = [x.mean(axis=0) for x in (features, style)]
        return sum(((a - b) ** 2).mean() for a, b in (means, deviations))
    width = style.var(axis=0).sum()
    kernel = {
        "mmd-linear": lambda x, y: x @ y,
        "mmd-polynomial": lambda x, y: (x @ y) ** 2,
        "mmd-gaussian": lambda x, y: np.exp(-((x - y) ** 2).sum() / (2 * width)),
    }[kind]
    return (
        spread(kernel, features, features)
        + spread(kernel, style, style)
        - 2 * spread(kernel, features, style)
    )


def slope_by_hand(kind, features, style, step=1e-5):
    slope = np.zeros_like(features)
    for place in np.ndindex(*features.shape):
        ends = []
        for sign in (1, -1):
            moved = features.copy()
            moved[place] += sign * step
            ends.append(by_hand(kind, moved, style))
        slope[place] = (ends[0] - ends[1]) / (2 * step)
    return slope


def value_and_slope(kind, features, style):
    x = tf.constant(features)
    with tf.GradientTape() as tape:
        tape.watch(x)
        loss = statistics.block_loss(kind, x, tf.constant(style))
    return loss.numpy(), tape.gradient(loss, x).numpy()


@pytest.mark.parametrize("kind", STATISTICS)
def test_each_statistic_and_its_slope_agree_with_numpy(kind):
    features, style = maps(0, (2, 3, 3, 3)), maps(1, (1, 2, 4, 3))
    loss, slope = value_and_slope(kind, features, style)
    wanted = style.reshape(-1, 3).astype(np.float64)
    for row, one in enumerate(features):
        rows = one.reshape(-1, 3).astype(np.float64)
        np.testing.assert_allclose(loss[row], by_hand(kind, rows, wanted), rtol=1e-4, atol=1e-6)
        by_differences = slope_by_hand(kind, rows, wanted).reshape(one.shape)
        np.testing.assert_allclose(slope[row], by_differences, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("kind", STATISTICS)
def test_companions_and_position_change_no_bit(kind):
    features, others = maps(0, (3, 4, 5, 3)), maps(2, (3, 4, 5, 3))
    style = maps(1, (1, 3, 4, 3))
    among_others = value_and_slope(kind, np.stack([others[0], features[0], features[2]]), style)
    for a, b in zip(value_and_slope(kind, features, style), among_others, strict=True):
        np.testing.assert_array_equal(a[0], b[1])
        np.testing.assert_array_equal(a[2], b[2])


def test_gram_is_mmd_with_the_quadratic_kernel():
    """The theorem of Li et al. 2017, section 3.1."""
    features, style = maps(0, (2, 8, 8, 6)), maps(1, (2, 8, 8, 6))
    gram = statistics.gram_loss(features, style)
    mmd = statistics.mmd(features, style, statistics.polynomial_kernel)
    np.testing.assert_allclose(mmd / (4 * 6**2), gram, rtol=1e-5)


def test_large_maps_are_compared_in_parts_that_leave_no_position_out(monkeypatch):
    features, style = maps(0), maps(1, (1, 3, 4, 3))
    monkeypatch.setattr(statistics, "MOST", 7)
    loss, slope = value_and_slope("mmd-gaussian", features, style)
    assert (slope != 0).all()
    wanted = style.reshape(-1, 3)[::2].astype(np.float64)
    parts = [features[0].reshape(-1, 3)[way::3].astype(np.float64) for way in range(3)]
    width = style.reshape(-1, 3).var(axis=0).sum() / wanted.var(axis=0).sum()
    by_parts = [by_hand("mmd-gaussian", part, wanted) for part in parts]
    # The kernel is as wide as all of the style spreads; by_hand knows its part alone.
    np.testing.assert_allclose(loss[0], np.mean(by_parts), rtol=abs(width - 1) + 1e-4)


@pytest.mark.parametrize("kind", STATISTICS)
def test_no_features_are_a_distance_of_one_unit(kind):
    style = maps(1, (1, 3, 4, 3))
    (unit,) = statistics.units(kind, [style])
    nothing = statistics.block_loss(kind, tf.zeros((2, 5, 5, 3)), style)
    np.testing.assert_allclose(nothing, np.repeat(unit, 2), rtol=1e-5)
    assert (unit.numpy() > 0.01).all()


def test_content_loss_and_total_variation_of_literal_maps():
    a = np.float32([[1, 2], [3, 4]]).reshape(1, 2, 2, 1)
    np.testing.assert_allclose(statistics.content_loss([a + 1, a], [a, a]), [4 / 30 / 2], rtol=1e-6)
    np.testing.assert_allclose(statistics.total_variation(a), [4 + 1])
