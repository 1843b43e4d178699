"""Which face of a picture to complete: found while its hole is hidden."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import cv2
import numpy as np

from align import geometry, landmarks

ANCHORS = "innerEyesAndBottomLip"  # what align-dlib.py aligns training faces by, unless told else
INPAINTING_RADIUS = 4  # pixels
BLANKING_MARGIN = 8  # pixels, of what tells the colour around a hole
INPAINTED_PIXELS = 4_000_000  # at most, a second's worth
LOOKED_AT = 640  # pixels of the longer side, where a face is only asked for
SURE = 0.3  # score of the detector, from which on what it finds is a face
SAME = 0.5  # of overlap, from which on two boxes show one face
DISPLACED, ANOTHER = 1.5 / 64, 0.25  # of the square's side: off by that much, and another face


class FaceNotFound(ValueError):
    """There is no face, or none that the hole touches."""


def face_matrices(
    path: Path, pixels: np.ndarray, mask: np.ndarray | None, size: int
) -> list[np.ndarray]:
    """Of the faces that the hole touches, the one with most of it first, and others as far as they
    have more of it; without a mask, of the largest face."""
    if mask is None:
        faces = _must_be_faces(path, landmarks.find_faces(pixels))
        return [geometry.matrix(faces[0].landmarks, ANCHORS, size)]
    hole = mask[..., 0] == 0
    faces = _most_confident(
        face for fill in FILLINGS for face in landmarks.find_faces(fill(pixels, hole))
    )
    matrices = [geometry.matrix(face.landmarks, ANCHORS, size) for face in faces]
    if touched := touched_by(hole, matrices, size):
        return touched
    others = _must_be_faces(path, [face for face in faces if face.score >= SURE])
    places = ", ".join("{},{} to {},{}".format(*face.box) for face in others)
    raise FaceNotFound(
        f"{path}: the hole touches none of the faces found (at {places}); give --face-points "
        "x,y x,y x,y for the one it is in, or leave --face out"
    )


def _most_confident(found: Iterable[landmarks.Face]) -> list[landmarks.Face]:
    """Of faces found in several fillings of one picture each once, as it was found best."""
    faces: list[landmarks.Face] = []
    for face in sorted(found, key=lambda face: -face.score):
        if all(_overlap(face.box, other.box) < SAME for other in faces):
            faces.append(face)
    return faces


def sure(faces: Sequence[landmarks.Face]) -> Sequence[landmarks.Face]:
    """Those that are surely faces; of others, where there is none, the first."""
    return [face for face in faces if face.score >= SURE] or faces[:1]


def displaced(pixels: np.ndarray, matrix: np.ndarray, size: int) -> np.ndarray | None:
    """Inner corners of the eyes and bottom lip, (3, 2), of a face in its completed picture, uint8
    (H, W, C), where they are not at what it was aligned by; None where they are, or no face is
    seen. matrix: from the picture to the square of `size` pixels that was completed.

    Measured on 150 completed holes in 40 photographs of faces: in the completed picture a face is
    found a little nearer to where it is, and where that is off by more than DISPLACED, of three,
    the alignment is wrong by twice as much as on average.
    """
    square = geometry.region(matrix, size, pixels.shape)
    margin = max(square[2] - square[0], square[3] - square[1]) // 2
    box = geometry.wider(square, margin, pixels.shape)
    points = [
        face.landmarks[list(geometry.ANCHORS[ANCHORS])] + box[:2]
        for face in landmarks.find_faces(geometry.cut(pixels, box))
    ]
    targets = geometry.anchor_positions(ANCHORS, size)
    off = [
        np.linalg.norm(each @ matrix[:, :2].T + matrix[:, 2] - targets, axis=1).mean() / size
        for each in points
    ]
    if not off or not DISPLACED < min(off) < ANOTHER:
        return None
    return points[int(np.argmin(off))]


def _must_be_faces(path: Path, faces: list[landmarks.Face]) -> list[landmarks.Face]:
    if not faces:
        raise FaceNotFound(
            f"{path}: no face found; where the hole hides eyes or mouth, give --face-points "
            "x,y x,y x,y (inner corners of the eyes, left one first, and bottom lip)"
        )
    return faces


def touched_by(hole: np.ndarray, matrices: Sequence[np.ndarray], size: int) -> list[np.ndarray]:
    """Of faces, by their matrices, those that a hole, bool (H, W), touches: the one with most of it
    first, and others as far as they have more of it."""
    before = np.count_nonzero(hole)
    share = [before - np.count_nonzero(outside(hole, [matrix], size)) for matrix in matrices]
    touched = []
    for number in np.argsort(share)[::-1]:
        left = np.count_nonzero(outside(hole, [*touched, matrices[number]], size))
        if left < before:
            touched.append(matrices[number])
            before = left
    return touched


def _blanked(pixels: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """With the mean of what is known about the hole in it, the face's as a rule, which shows a
    detector little of an edge."""
    box = geometry.bounds(hole, margin=BLANKING_MARGIN)
    around, known = ~geometry.cut(hole, box), pixels.copy()
    if not around.any():
        return known
    known[hole] = np.round(geometry.cut(pixels, box)[around].mean(axis=0))
    return known


def _inpainted(pixels: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """With what is around the hole continued into it (Telea 2004), for a detector alone."""
    box = geometry.bounds(hole, margin=INPAINTING_RADIUS)
    part, known = geometry.cut(hole, box), pixels.copy()
    if hole.all() or part.size > INPAINTED_PIXELS:
        return _blanked(pixels, hole)
    around = np.ascontiguousarray(geometry.cut(_blanked(pixels, hole), box))
    filled = cv2.inpaint(around, np.uint8(part), INPAINTING_RADIUS, cv2.INPAINT_TELEA)
    geometry.cut(known, box)[...] = filled.reshape(around.shape)
    return known


# A face under many thin scratches is found by what is around them; one of which a part is hidden,
# now in the one, now in the other. Of 36 photographs with the lower half of the face hidden: in 15,
# where the mean of the whole picture in place of that around the hole finds 10.
FILLINGS = (_blanked, _inpainted)


def outside(hole: np.ndarray, matrices: Sequence[np.ndarray], size: int) -> np.ndarray:
    """Which pixels of a hole, bool (H, W), lie outside all of these squares."""
    rest = hole.copy()
    for matrix in matrices:
        box = geometry.region(matrix, size, hole.shape)
        geometry.cut(rest, box)[:] &= ~geometry.unwarp_hole(None, size, matrix=matrix, box=box)
    return rest


def overlooked_face(
    pixels: np.ndarray, mask: np.ndarray, matrix: np.ndarray, size: int, painted: bool
) -> bool:
    """Whether a picture (H, W, C) with a hole, mask (H, W, 1), shows a face in another place or
    size than what `matrix` takes to the model's square: if the hole is painted, a face that it
    touches, looked for with the hole hidden. Faces of an eighth of the longer side and more are
    found, which takes a moment."""
    height, width = mask.shape[:2]
    small = [max(1, round(side * min(1, LOOKED_AT / max(mask.shape)))) for side in (width, height)]
    reduced = cv2.resize(pixels, small, interpolation=cv2.INTER_AREA)
    reduced = reduced.reshape(small[1], small[0], -1)
    if painted:
        hidden = cv2.resize(np.float32(mask), small, interpolation=cv2.INTER_AREA) < 1
        reduced = _inpainted(reduced, hidden) if hidden.any() else reduced
    seen = geometry.region(matrix, size, mask.shape, margin=0)
    for face in landmarks.find_faces(reduced):
        points = (face.landmarks + 0.5) * np.divide((width, height), small) - 0.5
        box = geometry.region(geometry.matrix(points, ANCHORS, size), size, mask.shape, margin=0)
        if not painted or not geometry.cut(mask, box).all():
            return _overlap(box, seen) < SAME
    return False


def _overlap(box: geometry.Box, other: geometry.Box) -> float:
    """What two boxes share, of what they cover together."""
    width, height = (min(box[i + 2], other[i + 2]) - max(box[i], other[i]) for i in (0, 1))
    shared = max(width, 0) * max(height, 0)
    areas = [(b[2] - b[0]) * (b[3] - b[1]) for b in (box, other)]
    return shared / (sum(areas) - shared)
