"""A picture made ready to complete: read, hidden, and placed on the model's square.

A picture of any size is placed on the model's square by a 2x3 matrix (align/geometry.py): its own
square as it is, its centre square resized, or a face aligned. Everything is hidden before anything
else is done, so what a hole hides reaches nothing; block means for the lowres mask are the one
exception, because that mask means to give them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

import cli
from align import geometry
from completion.faces import ANCHORS, FaceNotFound, face_matrices, outside, touched_by
from pictures import averages, codecs, files, masks, tone
from search.objective import LOWRES_BLOCKS

FITS = ("resize", "face")
THIN = 0.05  # of a picture's shorter side: holes that reach this far beyond the square are filled


@dataclass(frozen=True)
class Hole:
    """Which pixels are hidden: a mask file, transparency, scratches, or a built-in kind.

    paint: what of a mask file is the hole, one of masks.PAINTS; None where the file tells it.

    A built-in mask is made on the model's square; files, transparency and scratches, as they are
    detected, count in the picture's own pixels, and so does dilate with them. With one of them,
    kind counts for nothing. Kind "cam" is where an ImageNet network looks for the class looked_for,
    see networks.looking, and shows: what it hides has been read.
    """

    kind: str = "center"
    seed: int = 0
    fraction: float = 0.2
    center_scale: float = 0.25
    file: Path | None = None
    paint: str | None = None
    alpha: bool = False
    dilate: int = 0
    scratches: bool = False
    looked_for: str = ""

    @property
    def own(self) -> bool:
        """Whether it is a part of the picture or of its file of a mask, and not built in."""
        return bool(self.file or self.alpha or self.scratches)

    @property
    def lowres(self) -> bool:
        """Whether block means of what is hidden are given."""
        return self.kind == "lowres" and not self.own

    def built_in(self, size: int) -> np.ndarray:
        """The built-in mask, (size, size, 1), unless it is cam. Raises ValueError for a bad
        option."""
        options = (self.seed, self.fraction, self.center_scale)
        return masks.dilate(masks.make(self.kind, (size, size), *options), self.dilate)


class HoleOutside(ValueError):
    """Much of the hole lies where nothing is completed."""


@dataclass(frozen=True)
class Case:
    """A picture ready to complete.

    mask: float32 (H, W, 1), 1 = known, of the picture; matrix: from the picture to the model's
    square; square: float32 (S, S, C) in [-1, 1], what is known of it, and something where nothing
    is; square_mask: float32 (S, S, 1); means: float32 (B, B, C) block means, given with the lowres
    mask only; tone: of a toned picture, see pictures.tone, where it is to be kept. Completers read
    no more than seen, square_mask and means; picture and mask are None in a case that
    is Waiting.
    """

    path: Path
    picture: codecs.Picture | None
    mask: np.ndarray | None
    matrix: np.ndarray
    square: np.ndarray
    square_mask: np.ndarray
    means: np.ndarray | None
    tone: np.ndarray | None = None

    @property
    def seen(self) -> np.ndarray:
        """The square as completers see it: a toned one in grey."""
        return self.square if self.tone is None else tone.to_grey(self.square)

    def whole(self) -> np.ndarray:
        """The picture on the model's square as it came, hole included: float32 (S, S, C)."""
        return _whole(self.picture, self.matrix, *self.square.shape[1:])


def prepare(
    path: Path,
    size: int,
    channels: int,
    hole: Hole,
    fit: str = "resize",
    face_points: np.ndarray | None = None,
    keep_tone: bool = False,
) -> Case:
    """Read a picture, hide its hole, and place it on a square of `size` pixels.

    fit: "resize", or "face" to align the face that the hole touches, or the one whose three
    `face_points` (inner corners of the eyes, bottom lip; x, y in pixels) are given. The face is
    looked for with the hole hidden; but a built-in hole has no place before there is a face, and is
    put on the largest found in the whole picture. keep_tone: whether a toned picture, sepia or
    grey, stays so. Raises ValueError, naming the file, where it cannot be read, hides nothing or
    everything, or no face is found.
    """
    return place(
        path,
        codecs.read_picture(path),
        size=size,
        channels=channels,
        hole=hole,
        fit=fit,
        face_points=face_points,
        keep_tone=keep_tone,
    )


def place(
    path: Path,
    picture: codecs.Picture,
    size: int,
    channels: int,
    hole: Hole,
    fit: str = "resize",
    face_points: np.ndarray | None = None,
    keep_tone: bool = False,
) -> Case:
    """`prepare` for a picture already read; path names it in messages. Of several faces that the
    hole touches, the one with most of it."""
    return place_all(
        path,
        picture,
        size=size,
        channels=channels,
        hole=hole,
        fit=fit,
        face_points=face_points,
        keep_tone=keep_tone,
    )[0]


def place_all(
    path: Path,
    picture: codecs.Picture,
    size: int,
    channels: int,
    hole: Hole,
    fit: str = "resize",
    face_points: np.ndarray | None = None,
    keep_tone: bool = False,
) -> list[Case]:
    """A picture as a case, or with fit "face" as one for each face that the hole touches, the one
    with most of it first: to be completed one after the other. face_points may be those of several
    faces, (F, 3, 2), of which it takes those that the hole touches.

    What a file or transparency hides, hides every pixel of the square that it reaches into. A
    built-in hole is made on the square, which is hidden exactly where it says; in the picture it
    is what lies under that, and a pixel of the square at its edge is made of those that remain.
    What is fully transparent in the picture is not known, but no part of the hole.
    """
    mask = _given_mask(path, picture, hole)
    if face_points is not None:
        matrices = _matrices(path, np.asarray(face_points), mask, size)
    elif fit == "face":
        matrices = face_matrices(path, picture.pixels, mask=mask, size=size)
    else:
        matrices = [square_matrix(picture.pixels.shape[:2], size)]
    if mask is not None:
        _check_reach(path, mask, matrices=matrices, size=size)
    return [
        _placed(
            path,
            picture,
            mask=mask,
            matrix=matrix,
            size=size,
            channels=channels,
            hole=hole,
            keep_tone=keep_tone,
        )
        for matrix in matrices
    ]


def _placed(
    path: Path,
    picture: codecs.Picture,
    mask: np.ndarray | None,
    matrix: np.ndarray,
    size: int,
    channels: int,
    hole: Hole,
    keep_tone: bool,
) -> Case:
    """A picture on one square; mask: (H, W, 1), or None for a built-in hole."""
    partly = mask is None
    if partly:
        asked = hole.built_in(size)
        mask = geometry.unwarp_mask(asked, matrix, picture.pixels.shape)
    seen = seen_of(picture)
    known = mask if seen is None else mask * seen[..., None]
    square, square_mask = geometry.warp_masked(
        picture.pixels, known, matrix=matrix, size=size, partly=partly
    )
    if partly:  # nothing is seen where pixels of the picture are larger than the square's
        square_mask = asked * square_mask
    if not (hole.lowres or square_mask.any()):
        raise ValueError(
            f"{path}: the hole hides everything that the model would see, as a pixel of its "
            f"{size}x{size} counts as hidden if any part of it is"
        )
    means = None
    if hole.lowres:
        whole = _whole(picture, matrix, size=size, channels=channels)
        means = averages.block_means(whole, size // LOWRES_BLOCKS)
    square = with_channels(codecs.to_float(square), channels)
    kept = tone.of(picture.pixels, known[..., 0] > 0) if keep_tone and channels == 3 else None
    return Case(
        path=files.path_of(path),
        picture=picture,
        mask=mask,
        matrix=matrix,
        square=square,
        square_mask=square_mask,
        means=means,
        tone=kept,
    )


def seen_of(picture: codecs.Picture) -> np.ndarray | None:
    """Which pixels of a picture are not fully transparent, bool (H, W); None where all are."""
    return None if picture.alpha is None or picture.alpha.all() else picture.alpha > 0


def _whole(picture: codecs.Picture, matrix: np.ndarray, size: int, channels: int) -> np.ndarray:
    """A picture on the model's square, hole included: float32 (size, size, channels)."""
    square, _ = geometry.warp_masked(picture.pixels, None, matrix=matrix, size=size)
    return with_channels(codecs.to_float(square), channels)


def _given_mask(path: Path, picture: codecs.Picture, hole: Hole) -> np.ndarray | None:
    """The mask of a file, of transparency or of what the picture shows, (H, W, 1); None for a
    built-in one."""
    if hole.alpha:
        if picture.alpha is None:
            raise ValueError(f"{path}: has no transparency, which --mask-alpha takes as the hole")
        mask = masks.from_alpha(picture.alpha, path)
    elif hole.file:
        mask = masks.from_file(
            hole.file, picture.pixels.shape[:2], paint=hole.paint, turn=picture.turn
        )
    elif hole.scratches:
        mask = masks.detect_scratches(picture.pixels, path)
    elif hole.kind == "cam":
        cli.import_tensorflow()
        from networks import looking

        mask = looking.mask(picture.pixels, hole.looked_for)
    else:
        return None
    return masks.dilate(mask, hole.dilate)


def _matrices(
    path: Path, points: np.ndarray, mask: np.ndarray | None, size: int
) -> list[np.ndarray]:
    """Of the faces with these points, (3, 2) or (F, 3, 2); a built-in hole is put on the first."""
    if points.ndim < 3:
        return [points_matrix(points, size)]
    matrices = [points_matrix(each, size) for each in points]
    if mask is None:
        return matrices[:1]
    if touched := touched_by(mask[..., 0] == 0, matrices, size):
        return touched
    raise FaceNotFound(f"{path}: the hole touches none of the {len(points)} faces given")


def points_matrix(points: np.ndarray, size: int) -> np.ndarray:
    """The matrix that aligns the face with these inner corners of the eyes, in either order, and
    bottom lip (3, 2) to size x size pixels. Raises ValueError if they place no face."""
    matrix = geometry.matrix_from_points(points, ANCHORS, size)
    if np.linalg.det(matrix[:, :2]) < 0:  # the right eye first would turn the face into its mirror
        matrix = geometry.matrix_from_points(np.asarray(points)[[1, 0, 2]], ANCHORS, size)
    return matrix


def square_matrix(shape: tuple[int, int], size: int) -> np.ndarray:
    """The matrix that takes the centre square of a picture (H, W) to size x size pixels."""
    height, width = shape
    side = min(shape)
    scale = size / side
    corner = np.array([(width - side) // 2, (height - side) // 2])
    shift = (0.5 - corner) * scale - 0.5  # pixel centres lie at whole numbers
    return np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])


def _check_reach(path: Path, mask: np.ndarray, matrices: list[np.ndarray], size: int) -> None:
    hole = mask[..., 0] == 0
    rest = outside(hole, matrices, size)
    if not rest.any():
        return
    part = geometry.cut(rest, geometry.bounds(rest, margin=1)).astype(np.uint8)
    depth = cv2.distanceTransform(part, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    if depth.max() > THIN * min(rest.shape) or rest.sum() == hole.sum():
        raise HoleOutside(
            f"{path}: {int(rest.sum()):,} pixels of the hole lie outside the square that is "
            "completed (the centre square, or with --face the face); crop the picture around it, "
            "or with several faces complete one after the other, by --face-points"
        )


def around(cases: Sequence[Case]) -> geometry.Box:
    """The box of a picture that holds the squares of all its cases."""
    shape = cases[0].mask.shape
    boxes = np.array([geometry.region(c.matrix, len(c.square), shape, margin=0) for c in cases])
    left, top, right, bottom = (*boxes[:, :2].min(axis=0), *boxes[:, 2:].max(axis=0))
    return int(left), int(top), int(right), int(bottom)


def beyond(cases: Sequence[Case]) -> np.ndarray:
    """Which pixels of a picture's hole, bool (H, W), lie outside the squares of all its cases."""
    matrices = [case.matrix for case in cases]
    return outside(cases[0].mask[..., 0] == 0, matrices, len(cases[0].square))


def reduced(case: Case, size: int) -> Case:
    """A case for a model of fewer pixels, an even part of its square's: each of them is known where
    all are that it is the mean of."""
    block = len(case.square) // size
    if block == 1:
        return case
    known = averages.block_means(case.square_mask, block) == 1
    return replace(
        case,
        square=averages.block_means(case.square, block),
        square_mask=np.float32(known),
    )


def enlarged(generated: np.ndarray, size: int) -> np.ndarray:
    """What a model of fewer pixels made, float32 (S, S, C) in [-1, 1], at size x size."""
    if len(generated) == size:
        return generated
    large = cv2.resize(generated, (size, size), interpolation=cv2.INTER_CUBIC)
    return np.clip(large.reshape(size, size, -1), -1, 1)


def with_channels(pixels: np.ndarray, channels: int) -> np.ndarray:
    """(H, W, 1 or 3), uint8 or float32, as grey (1) or colour (3)."""
    if pixels.shape[2] == channels:
        return pixels
    if channels == 3:
        return np.repeat(pixels, 3, axis=2)
    grey = averages.grey(pixels)
    return grey if pixels.dtype == np.float32 else np.rint(grey).astype(pixels.dtype)
