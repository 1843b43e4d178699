"""Blending: known pixels exact, nothing hidden leaks, Poisson equal to a dense solve."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pictures import blend

SOFT = ("feather", "poisson")


def pictures(height, width, channels=3, seed=0):
    rng = np.random.default_rng(seed)
    original = rng.uniform(-1, 1, (height, width, channels)).astype(np.float32)
    generated = rng.uniform(-1, 1, (height, width, channels)).astype(np.float32)
    return original, generated


def smooth_pictures(height, width):
    """An original and a generated picture whose blend stays within [-1, 1]: nothing clips."""
    y, x = np.mgrid[:height, :width] / max(height, width)
    original = np.stack([0.4 * np.sin(7 * x + c) + 0.2 * y for c in range(3)], 2)
    generated = np.stack([0.3 * np.cos(5 * y + c) - 0.1 * x for c in range(3)], 2)
    return original.astype(np.float32), generated.astype(np.float32)


def mask_of(hole):
    return (~hole[:, :, None]).astype(np.float32)


def box(height, width, top, bottom, left, right):
    hole = np.zeros((height, width), bool)
    hole[top:bottom, left:right] = True
    return hole


def dense_poisson(original, generated, hole):
    """Equation 7 of Perez et al. for the picture itself, a row per hole pixel, dense."""
    unknown = {tuple(p): i for i, p in enumerate(np.argwhere(hole))}
    matrix = np.zeros((len(unknown), len(unknown)))
    right = np.zeros((len(unknown), original.shape[2]))
    for (row, column), i in unknown.items():
        for p in ((row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)):
            if not (0 <= p[0] < hole.shape[0] and 0 <= p[1] < hole.shape[1]):
                continue
            matrix[i, i] += 1
            right[i] += generated[row, column].astype(float) - generated[p]
            if p in unknown:
                matrix[i, unknown[p]] -= 1
            else:
                right[i] += original[p]
    result = original.astype(float)
    result[hole] = np.linalg.solve(matrix, right)
    return result


HOLES = {
    "inside": box(12, 15, 3, 9, 4, 11),
    "touches a border": box(12, 15, 3, 9, 0, 6),
    "touches a corner": box(12, 15, 6, 12, 9, 15),
    "half": box(12, 15, 0, 12, 0, 7),
    "band across": box(12, 15, 4, 8, 0, 15),
    "two holes": box(12, 15, 1, 4, 1, 5) | box(12, 15, 7, 11, 8, 13),
    "known island": box(12, 15, 1, 11, 1, 14) & ~box(12, 15, 5, 7, 6, 8),
    "one known pixel": ~box(12, 15, 0, 1, 3, 4),
    "speckled": np.random.default_rng(5).random((12, 15)) < 0.5,
}


@pytest.mark.parametrize("name", HOLES)
def test_poisson_equals_a_dense_solve(name):
    original, generated = smooth_pictures(12, 15)
    expected = dense_poisson(original, generated, HOLES[name])
    result = blend.blend(original, generated, mask_of(HOLES[name]), "poisson")
    assert np.abs(expected).max() < 1, "the pictures must not clip, or this compares nothing"
    np.testing.assert_allclose(result, expected, atol=1e-5)


@pytest.mark.parametrize("name", HOLES)
def test_multigrid_finds_the_solution(name):
    hole = np.kron(HOLES[name], np.ones((7, 7))) > 0
    matrix = blend.laplacian(hole)
    solution = np.random.default_rng(0).normal(size=(hole.sum(), 3))
    solution /= np.abs(solution).max()
    cycle = blend.multigrid(matrix, *np.nonzero(hole), direct_unknowns=20)
    found = blend.conjugate_gradients(matrix, matrix @ solution, cycle)
    np.testing.assert_allclose(found, solution, atol=1e-3)


def test_poisson_by_hand():
    """One row, hole between known -0.5 and 0.7; G is flat, so the fill is the straight line."""
    original = np.array([-0.5, 9, 9, 9, 9, 9, 0.7], np.float32).reshape(1, 7, 1)
    mask = np.array([1, 0, 0, 0, 0, 0, 1], np.float32).reshape(1, 7, 1)
    result = blend.blend(original, np.full_like(original, 0.3), mask, "poisson")
    np.testing.assert_allclose(result.ravel(), np.linspace(-0.5, 0.7, 7), atol=1e-6)


def test_poisson_keeps_the_gradient_of_the_generated_picture():
    """Where both pictures differ by a constant, the fill is the generated one plus it."""
    _, generated = smooth_pictures(30, 30)
    hole = box(30, 30, 5, 20, 8, 30)
    result = blend.blend(generated + np.float32(0.2), generated, mask_of(hole), "poisson")
    np.testing.assert_allclose(result, generated + 0.2, atol=1e-5)


def test_none_pastes():
    original, generated = pictures(9, 8)
    mask = mask_of(box(9, 8, 2, 6, 2, 8))
    expected = original * mask + generated * (1 - mask)
    np.testing.assert_array_equal(blend.blend(original, generated, mask, "none"), expected)


def test_feather_closes_the_seam_and_leaves_the_middle():
    original, generated = np.full((41, 41, 1), 0.5, np.float32), np.zeros((41, 41, 1), np.float32)
    result = blend.blend(original, generated, mask_of(box(41, 41, 5, 36, 5, 36)), "feather")
    middle = result[20, 5:36, 0]
    assert middle[0] == pytest.approx(0.5, abs=1e-6)
    assert middle[15] == pytest.approx(0, abs=0.01)
    assert (np.diff(middle[:16]) < 0).all()
    np.testing.assert_allclose(middle, middle[::-1], atol=1e-6)


@pytest.mark.parametrize("method", SOFT)
def test_seam_is_smaller_than_that_of_a_paste(method):
    original, generated = smooth_pictures(64, 64)
    hole = box(64, 64, 16, 48, 16, 48)
    jump = {
        m: np.abs(np.diff(blend.blend(original, generated, mask_of(hole), m)[:, 15:17], axis=1))[
            16:48
        ].mean()
        for m in ("none", method)
    }
    assert jump[method] < 0.25 * jump["none"]


@pytest.mark.parametrize("fill", [np.nan, np.inf, "noise"])
@pytest.mark.parametrize("method", blend.METHODS)
def test_hidden_content_reaches_nothing(method, fill):
    original, generated = pictures(24, 20)
    for hole in (box(24, 20, 6, 18, 5, 15), HOLES["speckled"].repeat(2, 0)[:, :10].repeat(2, 1)):
        changed = original.copy()
        noise = np.random.default_rng(9).uniform(-1, 1, changed.shape)
        changed[hole] = noise[hole] if fill == "noise" else fill
        expected = blend.blend(original, generated, mask_of(hole), method)
        result = blend.blend(changed, generated, mask_of(hole), method)
        np.testing.assert_array_equal(result, expected)


def test_seamless_clone_does_leak():
    """Why blending is our own: OpenCV's result depends on what lies under the hole."""
    rng = np.random.default_rng(0)
    original, generated = rng.integers(0, 256, (2, 40, 40, 3), np.uint8)
    hole = np.zeros((40, 40), np.uint8)
    hole[10:30, 10:30] = 255
    changed = original.copy()
    changed[hole > 0] = 255 - changed[hole > 0]
    clones = [
        cv2.seamlessClone(generated, x, hole, (20, 20), cv2.NORMAL_CLONE)
        for x in (original, changed)
    ]
    assert (clones[0] != clones[1])[hole > 0].any()


@pytest.mark.parametrize("method", blend.METHODS)
def test_without_a_known_pixel_the_generated_picture_is_the_result(method):
    original, generated = pictures(6, 7)
    result = blend.blend(np.full_like(original, np.nan), generated, np.zeros((6, 7, 1)), method)
    np.testing.assert_array_equal(result, generated)


@pytest.mark.parametrize("method", blend.METHODS)
def test_without_a_hole_the_original_is_the_result(method):
    original, generated = pictures(6, 7)
    result = blend.blend(original, generated, np.ones((6, 7, 1), np.float32), method)
    np.testing.assert_array_equal(result, original)


@pytest.mark.parametrize("method", blend.METHODS)
@settings(deadline=None, max_examples=60, derandomize=True)
@given(
    height=st.integers(1, 24),
    width=st.integers(1, 24),
    channels=st.sampled_from([1, 3]),
    hidden=st.floats(0, 1),
    seed=st.integers(0, 999),
)
def test_any_mask_size_and_channels(method, height, width, channels, hidden, seed):
    original, generated = pictures(height, width, channels, seed)
    hole = np.random.default_rng(seed + 1).random((height, width)) < hidden
    result = blend.blend(original, generated, mask_of(hole), method)
    assert result.shape == original.shape and result.dtype == np.float32
    assert (np.abs(result) <= 1).all()  # false for NaN, too
    np.testing.assert_array_equal(result[~hole], original[~hole])


@pytest.mark.parametrize("method", SOFT)
def test_a_long_hole_takes_little_memory(method):
    original, generated = pictures(1, 30_000, 1)
    hole = np.ones((1, 30_000), bool)
    hole[0, 0] = False
    result = blend.blend(original, generated, mask_of(hole), method)
    assert np.isfinite(result).all()


def test_arguments_stay_as_they_are():
    original, generated = pictures(12, 15)
    mask = mask_of(HOLES["inside"])
    before = original.copy(), generated.copy(), mask.copy()
    for method in blend.METHODS:
        blend.blend(original, generated, mask, method)
    for now, then in zip((original, generated, mask), before, strict=True):
        np.testing.assert_array_equal(now, then)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"method": "poison"}, "'poison'; choose from none, feather, poisson"),
        ({"generated": np.zeros((4, 4, 3))}, r"shapes \(4, 5, 3\) and \(4, 4, 3\)"),
        ({"mask": np.ones((4, 5))}, r"mask of shape \(4, 5\)"),
        ({"mask": np.full((4, 5, 1), 0.5)}, "only 0 and 1"),
        ({"original": np.full((4, 5, 3), np.nan)}, "not finite"),
        ({"generated": np.full((4, 5, 3), np.inf)}, "not finite"),
    ],
)
def test_wrong_arguments_are_named(change, message):
    arguments = {
        "original": np.zeros((4, 5, 3)),
        "generated": np.zeros((4, 5, 3)),
        "mask": np.ones((4, 5, 1)),
        "method": "none",
    }
    with pytest.raises(ValueError, match=message):
        blend.blend(**arguments | change)
