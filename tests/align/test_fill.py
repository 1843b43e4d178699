"""Holes of large photographs, filled piece by piece: what the whole would give, in little room."""

import cv2
import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt

from align import fill, geometry
from pictures import blend, codecs

SIZE = 300
ROWS, COLUMNS = np.mgrid[:SIZE, :SIZE]
HOLES = {
    "disc": ((ROWS - 150) ** 2 + (COLUMNS - 170) ** 2 < 110**2) & (abs(ROWS - COLUMNS) > 9),
    "at the edge": (ROWS < 100) & (COLUMNS < 150),
    "scratches": (abs(ROWS - COLUMNS) < 4) | (abs(ROWS + COLUMNS - SIZE) < 9),
    "two": (ROWS > 20) & (ROWS < 90) & (COLUMNS < 90) | (ROWS > 260) & (COLUMNS > 240),
}


@pytest.fixture(scope="module")
def pair() -> tuple[np.ndarray, np.ndarray]:
    """An original and a generated picture, (SIZE, SIZE, 3)."""
    rng = np.random.default_rng(0)
    coarse = rng.uniform(-0.7, 0.7, (2, 6, 6, 3)).astype(np.float32)
    smooth = (cv2.resize(c, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC) for c in coarse)
    noise = rng.normal(0, 0.02, (SIZE, SIZE, 3)).astype(np.float32)
    return tuple(np.clip(values + noise, -1, 1) for values in smooth)


def filled(pair, hole: np.ndarray, method: str) -> np.ndarray:
    original, generated = pair
    mismatch = np.where(hole[..., None], 0, original - generated)
    return fill.fill(
        lambda box: geometry.cut(generated, box),
        lambda box: geometry.cut(mismatch, box),
        hole,
        method,
    )


def filled_whole(pair, hole: np.ndarray, method: str, block: int) -> np.ndarray:
    """The same, from arrays as large as the photograph."""
    original, generated = pair
    mask = 1 - hole[..., None].astype(np.float32)
    if block == 1:
        return blend.blend(original, generated, mask, method)[hole]
    mismatch = np.where(hole[..., None], 0, original - generated).astype(np.float32)
    known = geometry.block_means(mask, block)
    means = geometry.block_means(mismatch, block) / np.maximum(known, 1 / block**2)
    field = 2 * blend.blend(means / 2, np.zeros_like(means), np.sign(known), method)
    size = (field.shape[1] * block, field.shape[0] * block)
    smooth = cv2.resize(field, size, interpolation=cv2.INTER_LINEAR)[:SIZE, :SIZE]
    fine = np.where(hole[..., None], 0, mismatch - smooth)
    distance = distance_transform_edt(hole)
    weight = np.clip(1 - (distance[hole] - 1) / (2 * block), 0, 1)[:, None]
    there, nearest, _ = fill.nearest_known(hole, 2 * block + 1)
    edge = np.zeros_like(fine)
    edge[there] = fine[nearest]
    values = generated[hole] + smooth[hole] + weight * edge[hole]
    return np.clip(values, -1, 1)


@pytest.mark.parametrize("hole", HOLES.values(), ids=HOLES)
def test_the_nearest_known_pixels(hole):
    distance = distance_transform_edt(hole)
    there, nearest, found = fill.nearest_known(hole, 9)
    expected = hole & (distance <= 9)
    assert expected[there].all() and len(found) == expected.sum()
    np.testing.assert_allclose(found, distance[there])
    assert not hole[nearest].any()
    np.testing.assert_allclose(np.hypot(*np.subtract(there, nearest)), found)


@pytest.mark.parametrize("method", blend.METHODS)
@pytest.mark.parametrize("block", [1, 3])
@pytest.mark.parametrize("hole", HOLES.values(), ids=HOLES)
def test_pieces_give_what_the_whole_would(monkeypatch, pair, hole, method, block):
    monkeypatch.setattr(geometry, "PIECE_ROWS", 64)
    monkeypatch.setattr(fill, "BLENDED_PIXELS", int(hole.sum() / (block - 0.5) ** 2))
    values = filled(pair, hole, method)
    expected = filled_whole(pair, hole, method, 1 if method == "none" else block)
    np.testing.assert_allclose(values, expected, atol=2e-6)


@pytest.mark.parametrize("method", ["feather", "poisson"])
def test_a_large_hole_is_blended_as_a_small_one(monkeypatch, method):
    hole = HOLES["disc"]
    coarse = np.random.default_rng(0).uniform(-0.7, 0.7, (2, 6, 6, 3)).astype(np.float32)
    smooth = [cv2.resize(c, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC) for c in coarse]
    exact = filled(smooth, hole, method)
    monkeypatch.setattr(fill, "BLENDED_PIXELS", hole.sum() // 8)
    bounded = filled(smooth, hole, method)
    difference = np.zeros((SIZE, SIZE, 3))
    difference[hole] = np.abs(bounded - exact)
    assert difference.mean() < 0.01 and difference.max() < 0.15


def test_nothing_is_asked_for_far_from_the_hole(pair):
    hole = np.zeros((SIZE, SIZE), bool)
    hole[100:120, 200:230] = True
    asked = np.zeros((SIZE, SIZE), bool)

    def mismatch(box):
        geometry.cut(asked, box)[:] = True
        return np.zeros((box[3] - box[1], box[2] - box[0], 3), np.float32)

    for method in blend.METHODS[::2]:  # none, poisson
        fill.fill(lambda box: geometry.cut(pair[1], box), mismatch, hole, method)
    assert geometry.bounds(asked) == (199, 99, 231, 121)


def test_all_of_a_picture_and_nothing_of_it(pair):
    assert filled(pair, np.zeros((SIZE, SIZE), bool), "poisson").shape == (0, 3)
    everything = filled(pair, np.ones((SIZE, SIZE), bool), "poisson")
    np.testing.assert_array_equal(everything, pair[1].reshape(-1, 3))
    with pytest.raises(ValueError, match="unknown blending method 'glue'"):
        filled(pair, HOLES["two"], "glue")


def test_a_face_taken_back_by_pieces_is_that_of_the_whole():
    """Bit for bit; and the whole is OpenCV's."""
    rng = np.random.default_rng(0)
    face = codecs.to_float(cv2.GaussianBlur(rng.integers(0, 256, (64, 64, 3), np.uint8), (0, 0), 1))
    for _ in range(10):
        angle, scale = rng.uniform(-0.3, 0.3), rng.uniform(0.05, 0.9)
        turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        matrix = np.hstack([turn, rng.uniform(-40, 5, (2, 1))])
        box = geometry.region(matrix, 64, (600, 500))
        unwarped = geometry.Unwarped(face, matrix, box)
        width, height = box[2] - box[0], box[3] - box[1]
        whole = cv2.warpAffine(
            geometry.continued(face),
            geometry._substitute(matrix, np.ones(2), np.array(box[:2])) + [0, 0, geometry.RING],
            (width, height),
            flags=cv2.INTER_LANCZOS4 | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        left, top = rng.integers(width), rng.integers(height)
        piece = (left, top, min(left + 70, width), min(top + 50, height))
        np.testing.assert_array_equal(unwarped.piece(piece), geometry.cut(whole, piece))


@pytest.mark.parametrize("partly", [False, True])
def test_a_large_photograph_is_warped_row_by_row(monkeypatch, pair, partly):
    image = codecs.to_bytes(pair[0])
    mask = 1 - HOLES["disc"][..., None].astype(np.float32)
    matrix = np.array([[16 / SIZE, 0.01, -0.4], [-0.01, 16 / SIZE, -0.4]])
    whole = geometry.warp_masked(image, mask, matrix, 16, partly=partly)
    monkeypatch.setattr(geometry, "PIECE_ROWS", 50)
    for part, expected in zip(
        geometry.warp_masked(image, mask, matrix, 16, partly=partly), whole, strict=True
    ):
        np.testing.assert_array_equal(part, expected)
