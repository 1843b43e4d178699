"""align.geometry: anchors, matrices, warps with and without a hole, and the way back."""

import cv2
import numpy as np
import pytest

from align import geometry

INNER = "innerEyesAndBottomLip"
OUTER = "outerEyesAndNose"
MATRICES = {
    "OpenFace's reduction": np.array([[0.68, 0.04, -58.0], [-0.01, 0.74, -70.0]]),
    "over the edge": np.array([[0.5, 0.0, 12.3], [0.1, 0.6, -4.0]]),
    "enlarged": np.array([[2.6, 0.1, -300.0], [-0.1, 2.7, -310.0]]),
    "averaged over 3x3": np.array([[0.31, 0.02, -10.0], [-0.02, 0.3, -12.5]]),
}


@pytest.fixture(params=MATRICES)
def matrix(request) -> np.ndarray:
    return MATRICES[request.param]


@pytest.fixture
def photograph() -> np.ndarray:
    """Smooth shapes with some noise, uint8 (250, 230, 3)."""
    rng = np.random.default_rng(1)
    coarse = rng.integers(0, 256, (12, 12, 3)).astype(np.uint8)
    image = cv2.resize(coarse, (230, 250), interpolation=cv2.INTER_CUBIC).astype(float)
    return np.clip(image + rng.normal(0, 4, image.shape), 0, 255).astype(np.uint8)


@pytest.fixture
def mask() -> np.ndarray:
    """A blob, a line one pixel wide and a single pixel are hidden: (250, 230, 1)."""
    mask = np.ones((250, 230, 1), np.float32)
    mask[120:150, 110:141] = 0
    mask[60:180, 100] = 0
    mask[135, 160] = 0
    return mask


def apply(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    return np.asarray(points) @ matrix[:, :2].T + matrix[:, 2]


def psnr(first: np.ndarray, second: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / np.mean((first.astype(float) - second) ** 2)))


def test_anchor_positions_are_openfaces():
    expected = [(0.363785, 0.177947), (0.618963, 0.172778), (0.500204, 0.750584)]
    np.testing.assert_allclose(geometry.anchor_positions(INNER, 1), expected, atol=1e-6)
    expected = [(0.194157, 0.169267), (0.788859, 0.158171), (0.494951, 0.514441)]
    np.testing.assert_allclose(geometry.anchor_positions(OUTER, 1), expected, atol=1e-6)


def test_scale_draws_the_anchors_towards_the_centre():
    wide = geometry.anchor_positions(INNER, 64, scale=2)
    np.testing.assert_allclose(wide - 32, (geometry.anchor_positions(INNER, 64) - 32) / 2)


@pytest.mark.parametrize("anchors, indices", [(INNER, (39, 42, 57)), (OUTER, (36, 45, 33))])
def test_an_affine_matrix_meets_the_three_landmarks(anchors, indices):
    landmarks = np.random.default_rng(0).uniform(0, 200, (68, 2))
    matrix = geometry.matrix(landmarks, anchors, 96)
    expected = geometry.anchor_positions(anchors, 96)
    np.testing.assert_allclose(apply(matrix, landmarks[list(indices)]), expected)


def test_a_similarity_does_not_shear_and_is_exact_where_it_can_be():
    landmarks = np.random.default_rng(0).uniform(0, 200, (3, 2))
    linear = geometry.matrix_from_points(landmarks, INNER, 64, transform="similarity")[:, :2]
    scale = np.linalg.det(linear)
    np.testing.assert_allclose(linear @ linear.T, scale * np.eye(2), atol=1e-12)

    turned = np.array([[0.6, -0.8], [0.8, 0.6]]) * 3
    points = geometry.anchor_positions(INNER, 64) @ turned.T + (40, 50)
    for transform in geometry.TRANSFORMS:
        matrix = geometry.matrix_from_points(points, INNER, 64, transform=transform)
        np.testing.assert_allclose(matrix[:, :2] @ turned, np.eye(2), atol=1e-12)


def test_faults_name_the_value_and_the_choices():
    points = np.array([(10, 10), (50, 10), (30, 40)])
    with pytest.raises(ValueError, match="'eyes'.*innerEyesAndBottomLip, outerEyesAndNose"):
        geometry.matrix(np.zeros((68, 2)), "eyes", 64)
    with pytest.raises(ValueError, match="'shear'.*affine, similarity"):
        geometry.matrix_from_points(points, INNER, 64, transform="shear")
    with pytest.raises(ValueError, match="'mirror'.*constant, replicate"):
        geometry.warp(np.zeros((9, 9, 3), np.uint8), MATRICES["enlarged"], 8, "mirror")
    for wrong in ([(1, 1), (2, 2), (3, 3)], [(1, 1), (1, 1), (3, 4)]):
        with pytest.raises(ValueError, match="on a line"):
            geometry.matrix_from_points(wrong, INNER, 64)
    with pytest.raises(ValueError, match="three points"):
        geometry.matrix_from_points([(1, 1), (2, 2)], INNER, 64)
    with pytest.raises(ValueError, match="three points"):
        geometry.matrix_from_points([(1, 1), (2, np.nan), (5, 1)], INNER, 64)


@pytest.mark.parametrize("border", geometry.BORDERS)
def test_the_warp_is_openfaces(photograph, border):
    matrix = MATRICES["over the edge"]
    expected = cv2.warpAffine(photograph, matrix, (64, 64), borderMode=geometry.BORDERS[border])
    np.testing.assert_array_equal(geometry.warp(photograph, matrix, 64, border), expected)


def test_a_grey_photograph_keeps_its_single_channel(photograph, matrix):
    assert geometry.warp(photograph[..., :1], matrix, 64).shape == (64, 64, 1)


def test_a_large_photograph_gives_the_face_of_a_small_one(photograph):
    matrix = MATRICES["OpenFace's reduction"]
    large = cv2.resize(photograph, None, fx=9, fy=9, interpolation=cv2.INTER_CUBIC)
    rng = np.random.default_rng(0)
    large = np.clip(large + rng.normal(0, 40, large.shape), 0, 255).astype(np.uint8)  # fine grain
    large_matrix = geometry.for_photograph(matrix, (9, 9))
    assert geometry.reduction(large_matrix) == pytest.approx(9 * geometry.reduction(matrix))

    small_face = geometry.warp(photograph, matrix, 64)
    sampled = cv2.warpAffine(large, large_matrix, (64, 64))
    assert psnr(geometry.warp(large, large_matrix, 64), small_face) > 28
    assert psnr(sampled, small_face) < 22


def test_block_means_continue_the_edge():
    image = np.array([[0, 2, 10], [4, 6, 20]], np.uint8)[..., None]
    np.testing.assert_array_equal(geometry.block_means(image, 2)[..., 0], [[3, 15]])
    np.testing.assert_array_equal(geometry.block_means(image, 1), image)


def test_a_resized_face_has_the_same_content(photograph):
    matrix = MATRICES["OpenFace's reduction"]
    double = geometry.warp(photograph, geometry.for_face(matrix, 2), 128)
    assert psnr(geometry.block_means(double, 2), geometry.warp(photograph, matrix, 64)) > 35


@pytest.mark.parametrize("border", geometry.BORDERS)
def test_nothing_hidden_reaches_a_warped_face(photograph, mask, matrix, border):
    noise = np.random.default_rng(2).integers(0, 256, photograph.shape).astype(np.uint8)
    other = np.where(mask > 0, photograph, noise)
    face, face_mask = geometry.warp_masked(photograph, mask, matrix, 64, border)
    other_face, other_mask = geometry.warp_masked(other, mask, matrix, 64, border)
    np.testing.assert_array_equal(face, other_face)
    np.testing.assert_array_equal(face_mask, other_mask)


@pytest.mark.parametrize("border", geometry.BORDERS)
def test_a_pixel_is_hole_wherever_a_hidden_pixel_contributes(photograph, mask, matrix, border):
    face, face_mask = geometry.warp_masked(photograph, mask, matrix, 64, border)
    assert set(np.unique(face_mask)) == {0, 1}
    known = face_mask[..., 0] == 1
    for value in (0, 255):
        filled = np.where(mask > 0, photograph, value).astype(np.uint8)
        plain = geometry.warp(filled.astype(np.float32), matrix, 64, border)
        np.testing.assert_array_equal(face[known], plain[known])


def test_a_hole_is_not_wider_than_the_warp_reaches(photograph):
    mask = np.ones((250, 230, 1), np.float32)
    mask[140, 130] = 0
    for matrix in MATRICES.values():
        face_mask = geometry.warp_masked(photograph, mask, matrix, 128)[1]
        reach = 2 / min(geometry.reduction(matrix), 1) + 2  # pixels of the face, either side
        assert (face_mask == 0).sum() <= (2 * reach) ** 2


def test_hidden_pixels_take_the_colour_of_known_neighbours(mask, matrix):
    image = np.full((250, 230, 3), 90, np.uint8)
    face, face_mask = geometry.warp_masked(image, mask, matrix, 64, "replicate")
    edge = (face_mask[..., 0] == 0) & (face[..., 0] > 0)
    assert np.abs(face[edge].astype(int) - 90).max() <= 1


def test_a_photograph_without_a_hole_is_warped_as_ever(photograph, matrix):
    face, face_mask = geometry.warp_masked(photograph, np.ones((250, 230, 1)), matrix, 64)
    np.testing.assert_array_equal(face, geometry.warp(photograph.astype(np.float32), matrix, 64))
    assert face_mask.min() == 1


def test_a_region_holds_the_square_and_stays_in_the_photograph():
    identity = np.array([[1.0, 0, -20], [0, 1, -30]])
    assert geometry.region(identity, 10, (100, 200, 3)) == (18, 28, 32, 42)
    assert geometry.region(identity, 300, (100, 200, 3)) == (18, 28, 200, 100)
    outside = np.array([[1.0, 0, 500], [0, 1, 500]])
    assert geometry.region(outside, 10, (100, 200, 3)) == (0, 0, 1, 1)


def test_unwarp_takes_a_face_back(photograph):
    matrix = geometry.for_face(MATRICES["OpenFace's reduction"], 2)
    box = geometry.region(matrix, 128, photograph.shape)
    left, top, right, bottom = box
    part = photograph[top:bottom, left:right]
    face = geometry.warp(photograph, matrix, 128)
    layer = geometry.Unwarped(face, matrix, box).piece((0, 0, right - left, bottom - top))
    hole = geometry.unwarp_hole(None, 128, matrix, box)
    assert layer.shape == part.shape and hole.shape == part.shape[:2]
    assert psnr(layer[hole], part[hole]) > 32


def test_the_hole_covers_the_pixels_whose_centres_lie_in_it():
    matrix = np.array([[0.5, 0, -10.25], [0, 0.5, -20.25]])
    face_mask = np.ones((8, 8, 1), np.float32)
    face_mask[2, 3] = 0
    whole = geometry.unwarp_mask(face_mask, matrix, (100, 100, 3))
    # x from 2.5 to 3.5 comes from columns 25.5 to 27.5, y from 1.5 to 2.5 from rows 43.5 to 45.5.
    assert np.argwhere(whole[..., 0] == 0).tolist() == [[44, 26], [44, 27], [45, 26], [45, 27]]


def test_a_hole_never_leaves_the_face_square(matrix):
    shape = (250, 230)
    whole = geometry.unwarp_mask(np.zeros((64, 64, 1), np.float32), matrix, shape)
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    inside = apply(matrix, np.stack([columns, rows], axis=-1).reshape(-1, 2)).reshape(*shape, 2)
    slack = 1 / 32  # OpenCV's positions
    outside = ((inside < -0.5 - slack) | (inside > 63.5 + slack)).any(axis=-1)
    well_inside = ((inside > -0.5 + slack) & (inside < 63.5 - slack)).all(axis=-1)
    assert whole[outside].min() == 1
    assert not whole[well_inside].any()
