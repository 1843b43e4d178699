"""A face of which a part is hidden: found as well as it can be, and told where that is in doubt."""

from pathlib import Path

import numpy as np
import pytest

from align import geometry, landmarks
from completion import faces
from pictures import codecs

SIZE = 64
PHOTOGRAPH = Path(__file__).parents[2] / "examples" / "astronaut.jpg"
EYES = np.s_[14:30, 4:60]


@pytest.fixture(scope="module")
def photograph() -> np.ndarray:
    return codecs.read(PHOTOGRAPH)[0:256, 96:352]


@pytest.fixture(scope="module")
def truth(photograph) -> np.ndarray:
    """The matrix by which the face is aligned where nothing is hidden."""
    [face] = landmarks.find_faces(photograph)
    return geometry.matrix(face.landmarks, faces.ANCHORS, SIZE)


def hidden(photograph, truth, part) -> np.ndarray:
    """The mask of a part of the aligned face."""
    mask = np.ones((SIZE, SIZE, 1), np.float32)
    mask[part] = 0
    return geometry.unwarp_mask(mask, truth, photograph.shape)


def off(matrix, truth) -> float:
    """How far apart two alignments put the corners of a square, in its pixels, on average."""
    corners = np.array([(x, y, 1) for x in (0, SIZE) for y in (0, SIZE)], float)
    whole = np.vstack([truth, (0, 0, 1)])
    return np.linalg.norm(
        corners @ (matrix @ np.linalg.inv(whole)).T - corners[:, :2], axis=1
    ).mean()


def test_a_face_whose_eyes_are_hidden_is_found_by_what_is_around_them(photograph, truth):
    mask = hidden(photograph, truth, EYES)
    blanked = np.where(mask > 0, photograph, 0).astype(np.uint8)
    assert not landmarks.find_faces(blanked)
    [matrix] = faces.face_matrices(PHOTOGRAPH, blanked, mask, SIZE)
    assert off(matrix, truth) < 2


def test_of_several_fillings_the_most_confident_face_is_kept(monkeypatch, photograph, truth):
    mask = hidden(photograph, truth, EYES)
    points = np.zeros((68, 2))
    points[[39, 42, 57]] = (110, 100), (140, 100), (125, 140)
    box = (80, 70, 170, 160)
    found = iter([landmarks.Face(box, points, 0.2), landmarks.Face(box, points + 3, 0.9)])
    monkeypatch.setattr(faces.landmarks, "find_faces", lambda pixels: [next(found)])
    [matrix] = faces.face_matrices(PHOTOGRAPH, photograph, mask, SIZE)
    assert np.allclose(matrix, geometry.matrix(points + 3, faces.ANCHORS, SIZE))


def test_what_is_hardly_a_face_is_none_that_the_hole_misses():
    """Her face is hidden; the badge on her sleeve is taken for one, with a score of .16."""
    pixels = codecs.read(PHOTOGRAPH)
    mask = np.ones((*pixels.shape[:2], 1), np.float32)
    mask[60:170, 160:290] = 0
    with pytest.raises(faces.FaceNotFound, match="no face found; .*--face-points"):
        faces.face_matrices(PHOTOGRAPH, pixels, mask, SIZE)


def test_a_face_that_comes_out_elsewhere_is_told_with_its_points(photograph, truth):
    assert faces.displaced(photograph, truth, SIZE) is None
    moved = truth + np.array([[0, 0, 3], [0, 0, 0]])
    points = faces.displaced(photograph, moved, SIZE)
    assert np.allclose(points @ truth[:, :2].T + truth[:, 2], anchors(), atol=1.5)
    elsewhere = truth + np.array([[0, 0, SIZE / 2], [0, 0, 0]])
    assert faces.displaced(photograph, elsewhere, SIZE) is None  # another face, or none


def anchors() -> np.ndarray:
    return geometry.anchor_positions(faces.ANCHORS, SIZE)
