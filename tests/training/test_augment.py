"""DiffAugment: what it draws, that gradients pass, and that it is off when it is off."""

import numpy as np
import pytest
import tensorflow as tf

from training.augment import POLICIES, augment

SEED = tf.constant([3, 5])


def pictures(count=6, size=16, channels=3, seed=0):
    values = np.random.RandomState(seed).uniform(0.1, 1, (count, size, size, channels))
    return tf.constant(values, tf.float32)


def seeds(number):
    return (tf.constant([0, i]) for i in range(number))


def test_it_is_the_identity_without_policies():
    given = pictures()
    assert augment(given, (), SEED) is given


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("channels", [1, 3])
def test_the_seed_decides(policy, channels):
    given = pictures(channels=channels)
    one, again, other = (augment(given, (policy,), s).numpy() for s in (SEED, SEED, SEED + 1))
    assert one.shape == given.shape and one.dtype == np.float32
    np.testing.assert_array_equal(one, again)
    assert (one != other).any()
    changed = (one != given.numpy()).any(axis=(1, 2, 3))
    assert changed.any()
    same = pictures(1).numpy()[[0] * 6]
    results = augment(tf.constant(same), (policy,), SEED).numpy()
    assert len(np.unique(results.reshape(6, -1), axis=0)) > 1  # each image has its own draw


@pytest.mark.parametrize("policy", POLICIES)
def test_gradients_pass(policy):
    """By finite differences along the gradient; every policy is piecewise linear in the image."""
    given = pictures(2, 8)
    weights = tf.constant(np.random.RandomState(1).normal(0, 1, given.shape), tf.float32)

    def value(images):
        return tf.reduce_sum(weights * augment(images, (policy,), SEED))

    with tf.GradientTape() as tape:
        tape.watch(given)
        loss = value(given)
    gradient = tape.gradient(loss, given)
    assert np.linalg.norm(gradient) > 1
    step = 0.05 * gradient
    slope = (value(given + step) - value(given - step)) / 0.1
    np.testing.assert_allclose(slope, tf.reduce_sum(gradient**2), rtol=1e-3)


def test_flip_turns_half_of_the_images():
    given = pictures(64)
    flipped = augment(given, ("flip",), SEED).numpy()
    turned = (flipped == given.numpy()[:, :, ::-1]).all(axis=(1, 2, 3))
    kept = (flipped == given.numpy()).all(axis=(1, 2, 3))
    assert (turned ^ kept).all()
    assert 16 < turned.sum() < 48


def test_translation_shifts_by_an_eighth_at_most_and_fills_with_zero():
    given = pictures(64, 16)
    shifts = set()
    for original, moved in zip(
        given.numpy(), augment(given, ("translation",), SEED).numpy(), strict=True
    ):
        rows, columns = (np.flatnonzero(moved.any(axis=axes)) for axes in ((1, 2), (0, 2)))
        found = []
        for y in range(-2, 3):
            for x in range(-2, 3):
                padded = np.pad(original, [(4, 4), (4, 4), (0, 0)])
                if (padded[4 - y : 20 - y, 4 - x : 20 - x] == moved).all():
                    found.append((y, x))
        assert len(found) == 1
        assert len(rows) == 16 - abs(found[0][0]) and len(columns) == 16 - abs(found[0][1])
        shifts.update(found)
    assert {y for y, _ in shifts} == {x for _, x in shifts} == {-2, -1, 0, 1, 2}
    assert len(shifts) > 15  # down and across are drawn apart


def test_cutout_zeroes_a_square_of_half_the_side():
    areas = []
    for seed in seeds(8):
        for cut in augment(pictures(8), ("cutout",), seed).numpy():
            hole = (cut == 0).all(axis=2)
            rows, columns = np.flatnonzero(hole.any(axis=1)), np.flatnonzero(hole.any(axis=0))
            assert hole.sum() == len(rows) * len(columns) > 0  # a rectangle
            assert np.ptp(rows) == len(rows) - 1 and len(rows) <= 8 and len(columns) <= 8
            areas.append(hole.sum())
    assert max(areas) == 64
    assert min(areas) < 64  # it reaches across the border


def test_color_draws_lie_in_their_ranges():
    """A grey image keeps its pattern; the mean moves by brightness, deviations by contrast."""
    pattern = np.random.RandomState(0).normal(0, 0.1, (1, 16, 16, 1)).astype(np.float32)
    pattern -= pattern.mean()
    given = tf.constant(np.tile(pattern, (400, 1, 1, 3)))
    result = augment(given, ("color",), SEED).numpy()
    means = result.mean(axis=(1, 2, 3))
    assert -0.5 <= means.min() < -0.45 and 0.45 < means.max() <= 0.5
    contrast = ((result - means[:, None, None, None]) * pattern).sum((1, 2, 3)) / (
        3 * (pattern**2).sum()
    )
    assert 0.5 <= contrast.min() < 0.55 and 1.45 < contrast.max() <= 1.5
    assert abs(np.corrcoef(means, contrast)[0, 1]) < 0.2  # drawn apart


def test_color_changes_saturation():
    given = tf.constant(np.tile(np.float32([0.3, 0, -0.3]), (400, 4, 4, 1)))
    result = augment(given, ("color",), SEED).numpy()
    spread = (result[:, 0, 0, 0] - result[:, 0, 0, 2]) / 0.6  # saturation times contrast
    assert 0 <= spread.min() < 0.1 and 2 < spread.max() <= 3
    assert abs(spread.mean() - 1) < 0.1


def test_policies_are_drawn_apart_whatever_else_is_on():
    given = pictures(64)
    flips = (augment(given, ("flip",), SEED).numpy() == given.numpy()).all(axis=(1, 2, 3))
    both = augment(given, ("cutout", "flip"), SEED).numpy()
    cut = augment(given, ("cutout",), SEED).numpy() == 0
    flipped = np.where(flips[:, None, None, None], given, given.numpy()[:, :, ::-1])
    np.testing.assert_array_equal(both, np.where(cut, 0, flipped))
    centres = cut.any(axis=3).sum(axis=1).argmax(axis=1)
    assert abs(np.corrcoef(flips, centres)[0, 1]) < 0.4
