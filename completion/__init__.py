"""The way of one picture: read, hide, place on the model's square, search, blend, paste back.

A picture of any size is placed on the model's square by a 2x3 matrix (align/geometry.py): its own
square as it is, its centre square resized, or a face aligned. Everything is hidden before anything
else is done, so what a hole hides reaches nothing; block means for the lowres mask are the one
exception, because that mask means to give them.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np

from align import geometry, landmarks
from align.paste import bounded_blend, paste_back
from model import DCGAN, Progress
from ops import block_means
from pictures import blend, codecs, masks
from search import latent, starts
from search.linear import Given, rows_by_mask
from training import losses
from training.checkpoint import cached

CONTEXTS = ("plain", "weighted")
GUIDES = ("none", "linear")
FITS = ("resize", "face")
ANCHORS = "innerEyesAndBottomLip"  # what align-dlib.py aligns training faces by, unless told else

HIDDEN_WEIGHT = 0.2  # in a guided search, of what a known pixel counts on average
THIN = 0.05  # of a picture's shorter side: holes that reach this far beyond the square are filled


@dataclass(frozen=True)
class Options:
    """How to complete. context: whether known pixels count alike or by their nearness to the hole,
    within `window` pixels; blend: one of blend.METHODS; alternatives: results for each picture;
    guide: whether the linear model of the training pictures, where the model has one, says what to
    expect in the hole, see search.
    """

    search: latent.Search = latent.Search()
    objective: losses.Objective = losses.Objective()
    context: str = "plain"
    window: int = 15
    blend: str = "none"
    alternatives: int = 1
    guide: str = "none"

    def __post_init__(self):
        for name, choices in (
            ("context", CONTEXTS),
            ("blend", blend.METHODS),
            ("guide", GUIDES),
        ):
            if (value := getattr(self, name)) not in choices:
                raise ValueError(f"{name} is {value!r}; choose from {', '.join(choices)}")
        masks.check_window(self.window)


PRESETS = {
    # The original's last version: 1,000 iterations of Adam from a random z, pasted as it is.
    "original": Options(),
    # With 8 steps teeth are lost; more than 30 change little. The Gaussian prior in place of hard
    # clipping brings identities nearer; a heavier one would keep what the model made itself from
    # being found again exactly (both on models/faces64).
    "best": Options(
        search=latent.Search("lbfgs", steps=30, start="ridge", clip="none", prior_weight=0.3),
        context="weighted",
        blend="poisson",
        guide="linear",
    ),
}


def with_changes(options: Options, changes: dict) -> Options:
    """Options with some fields changed: its own, or those of its search and its objective."""
    parts = {"search": options.search, "objective": options.objective}
    for name, part in parts.items():
        known = {f.name for f in dataclasses.fields(part)}
        parts[name] = dataclasses.replace(part, **{k: v for k, v in changes.items() if k in known})
    known = {f.name for f in dataclasses.fields(Options)} - set(parts)
    rest = {k: v for k, v in changes.items() if k in known}
    return dataclasses.replace(options, **parts, **rest)


@dataclass(frozen=True)
class Hole:
    """Which pixels are hidden: a mask file (white = hole), transparency, or a built-in kind.

    A built-in mask is made on the model's square; files and transparency count in the picture's
    own pixels, and so does dilate with them. With a file or transparency, kind counts for nothing.
    """

    kind: str = "center"
    seed: int = 0
    fraction: float = 0.2
    center_scale: float = 0.25
    file: Path | None = None
    invert: bool = False
    alpha: bool = False
    dilate: int = 0

    @property
    def lowres(self) -> bool:
        """Whether block means of what is hidden are given."""
        return self.kind == "lowres" and not (self.file or self.alpha)

    def built_in(self, size: int) -> np.ndarray:
        """The built-in mask, (size, size, 1). Raises ValueError for a bad option."""
        options = (self.seed, self.fraction, self.center_scale)
        return masks.dilate(masks.make(self.kind, (size, size), *options), self.dilate)


@dataclass(frozen=True)
class Case:
    """A picture ready for the search.

    mask: float32 (H, W, 1), 1 = known, of the picture; matrix: from the picture to the model's
    square; pixels: uint8 (S, S, C), what is known of the square; square_mask: float32 (S, S, 1);
    means: float32 (B, B, C) block means, given with the lowres mask only. The search reads neither
    picture nor mask: without_picture leaves them out while many wait, with_picture reads them.
    """

    path: Path
    picture: codecs.Picture | None
    mask: np.ndarray | None
    matrix: np.ndarray
    pixels: np.ndarray
    square_mask: np.ndarray
    means: np.ndarray | None

    def without_picture(self) -> "Case":
        return dataclasses.replace(self, picture=None, mask=None)

    def with_picture(self, hole: Hole) -> "Case":
        """Read again, with the hole it was prepared with. Raises ValueError as prepare does."""
        picture = codecs.read_picture(self.path)
        mask = _mask(self.path, picture, hole, self.matrix, len(self.pixels))
        return dataclasses.replace(self, picture=picture, mask=mask)


def prepare(
    path: Path,
    size: int,
    channels: int,
    hole: Hole,
    fit: str = "resize",
    face_points: np.ndarray | None = None,
) -> Case:
    """Read a picture, hide its hole, and place it on a square of `size` pixels.

    fit: "resize", or "face" to align the largest face found, or the one whose three `face_points`
    (inner corners of the eyes, bottom lip; x, y in pixels) are given. The face is looked for with
    the hole hidden; but a built-in hole has no place before there is a face, and is put on the one
    found in the whole picture. Raises ValueError, naming the file, where it cannot be read, hides
    nothing or everything, or no face is found.
    """
    return place(path, codecs.read_picture(path), size, channels, hole, fit, face_points)


def place(
    path: Path,
    picture: codecs.Picture,
    size: int,
    channels: int,
    hole: Hole,
    fit: str = "resize",
    face_points: np.ndarray | None = None,
) -> Case:
    """`prepare` for a picture already read; path names it in messages."""
    if face_points is not None:
        matrix = points_matrix(face_points, size)
    elif fit == "face":
        matrix = _face_matrix(path, picture.pixels, _given_mask(path, picture, hole), size)
    else:
        matrix = square_matrix(picture.pixels.shape[:2], size)
    mask = _mask(path, picture, hole, matrix, size)
    _check_reach(path, mask, matrix, size)
    coloured = with_channels(picture.pixels, channels)
    pixels, square_mask = geometry.warp_masked(coloured, mask, matrix, size)
    if not (hole.lowres or square_mask.any()):
        raise ValueError(
            f"{path}: the hole hides everything that the model would see, as a pixel of its "
            f"{size}x{size} counts as hidden if any part of it is"
        )
    means = None
    if hole.lowres:
        whole = codecs.to_float(geometry.warp(coloured, matrix, size))
        means = block_means(whole[None], losses.LOWRES_BLOCKS)[0].numpy()
    return Case(Path(path), picture, mask, matrix, pixels, square_mask, means)


def _mask(
    path: Path, picture: codecs.Picture, hole: Hole, matrix: np.ndarray, size: int
) -> np.ndarray:
    """The mask of the picture, (H, W, 1)."""
    mask = _given_mask(path, picture, hole)
    if mask is None:
        shape = picture.pixels.shape[:2]
        mask = geometry.unwarp_mask(hole.built_in(size), matrix, shape)
    return mask


def _given_mask(path: Path, picture: codecs.Picture, hole: Hole) -> np.ndarray | None:
    """The mask of a file or of transparency, (H, W, 1); None for a built-in one."""
    if hole.alpha:
        if picture.alpha is None:
            raise ValueError(f"{path}: has no transparency, which --mask-alpha takes as the hole")
        mask = masks.from_alpha(picture.alpha, path)
    elif hole.file:
        mask = masks.from_file(hole.file, picture.pixels.shape[:2], hole.invert)
    else:
        return None
    return masks.dilate(mask, hole.dilate)


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


def _face_matrix(path: Path, pixels: np.ndarray, mask: np.ndarray | None, size: int) -> np.ndarray:
    known = pixels
    if mask is not None and mask.any():
        # The hole gets the mean of what is known: no edge for the detector.
        mean = pixels[mask[..., 0] > 0].mean(axis=0)
        known = np.where(mask > 0, pixels, mean.round()).astype(np.uint8)
    faces = landmarks.find_faces(known)
    if not faces:
        raise ValueError(
            f"{path}: no face found; where the hole hides eyes or mouth, give --face-points "
            "x,y x,y x,y (inner corners of the eyes, left one first, and bottom lip)"
        )
    return geometry.matrix(faces[0].landmarks, ANCHORS, size)


def _check_reach(path: Path, mask: np.ndarray, matrix: np.ndarray, size: int) -> None:
    rest = beyond(mask, matrix, size)
    depth = cv2.distanceTransform(rest[..., 0].astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    if rest.any() and (depth.max() > THIN * min(depth.shape) or rest.sum() == (mask == 0).sum()):
        raise ValueError(
            f"{path}: {int(rest.sum()):,} pixels of the hole lie outside the square that is "
            "completed (the centre square, or with --face the face); crop the picture around it"
        )


def beyond(mask: np.ndarray, matrix: np.ndarray, size: int) -> np.ndarray:
    """Which pixels of the hole, bool (H, W, 1), lie outside the model's square."""
    inside = geometry.unwarp_mask(np.zeros((size, size, 1), np.float32), matrix, mask.shape[:2])
    return (mask == 0) & (inside > 0)


def with_channels(pixels: np.ndarray, channels: int) -> np.ndarray:
    """uint8 (H, W, 1 or 3) as grey (1) or colour (3)."""
    if pixels.shape[2] == channels:
        return pixels
    if channels == 3:
        return np.repeat(pixels, 3, axis=2)
    return np.rint(pixels @ np.array([[0.299], [0.587], [0.114]])).astype(np.uint8)


def search(
    model: DCGAN,
    cases: Sequence[Case],
    options: Options,
    alternative: int = 0,
    width: int | None = None,
) -> Iterator[Progress]:
    """Search for all cases together; yields every step. `alternative` numbers the starts.

    A guided search also agrees, less strictly, with what the linear model of the training pictures
    expects in the hole. To what G then makes it adds what that model expects there of its
    difference from the known pixels: a generator misses much of every photograph, and what it
    misses around a hole tells of what it misses within. Alternatives expect a draw, not the mean.
    Where block means are given, they are the guide and the linear model is not asked.
    """
    pictures = np.stack([codecs.to_float(case.pixels) for case in cases])
    square_masks = np.stack([case.square_mask for case in cases])
    weights = square_masks
    if options.context == "weighted":
        weights = np.empty_like(square_masks)
        for rows in rows_by_mask(square_masks):
            weights[rows] = masks.neighbourhood_weights(square_masks[rows[0]], options.window)
    seed = options.search.seed
    linear = model.linear if options.guide == "linear" and cases[0].means is None else None
    expected, evidence = None, (pictures, square_masks)
    if linear:
        given = Given(linear, square_masks)
        expected = given.expected(pictures, alternative, seed)
        hidden = HIDDEN_WEIGHT * weights.sum(axis=(1, 2, 3)) / square_masks.sum(axis=(1, 2, 3))
        weights = np.where(square_masks > 0, weights, hidden[:, None, None, None])
        evidence = np.where(square_masks > 0, pictures, expected), np.ones_like(square_masks)
    kind = options.search.start
    fitted = fitted_starts(model) if kind != "random" else None
    first = alternative * options.search.restarts
    z = [
        starts.start(kind, *evidence, model.config.z_dim, seed, restart, fitted)
        for restart in range(first, first + options.search.restarts)
    ]
    objective, means = options.objective, None
    if cases[0].means is not None:
        objective = dataclasses.replace(objective, lowres=True)
        means = np.stack([case.means for case in cases])
    second_order = fitted and options.search.approach == "lbfgs"
    preconditioner = fitted.preconditioner(weights) if second_order else None
    moments = model.complete(
        pictures,
        square_masks,
        options.search,
        objective,
        weights,
        z,
        means,
        expected,
        preconditioner,
        width,
    )
    for moment in moments:
        yield Guided(**vars(moment), given=given, draw=alternative, seed=seed) if linear else moment


@dataclass(frozen=True)
class Guided(Progress):
    """A moment of a guided search; given, draw, seed: what is expected, see Given."""

    given: Given
    draw: int
    seed: int

    @cached_property
    def generated(self) -> np.ndarray:
        """G(z) with what the linear model expects that it missed, (N, S, S, C) in [-1, 1]."""
        generated = self.model.generate(self.z, self.width)
        missed = self.given.expected_differences(self.known - generated, self.draw, self.seed)
        return np.clip(generated + missed, -1, 1)


def fitted_starts(model: DCGAN) -> starts.Starts:
    """What ridge and bank starts know of a model: fitted once, then kept beside its weights."""
    if model.starts is None:
        arrays = cached(
            model.path,
            "starts",
            model.fingerprint(),
            lambda: starts.Starts.fit(model.generate, model.config.z_dim).to_arrays(),
        )
        model.starts = starts.Starts.from_arrays(arrays)
    return model.starts


def finish(case: Case, generated: np.ndarray, method: str) -> np.ndarray:
    """The picture, uint8 (H, W, C), with its hole filled from G(z), float (S, S, C), and blended.

    Known pixels are bit for bit what they were. What the hole has beyond the model's square, the
    ends of a scratch, is filled smoothly from what is around it.
    """
    face = codecs.to_bytes(generated)
    result = paste_back(case.picture.pixels, face, case.matrix, None, case.mask, method)
    rest = beyond(case.mask, case.matrix, len(face))
    if rest.any():
        filled = codecs.to_float(result)
        mask = 1 - rest.astype(np.float32)
        filled = bounded_blend(filled, np.zeros_like(filled), mask, "poisson")
        result = np.where(rest, codecs.to_bytes(filled), result)
    return result


def square_result(case: Case, generated: np.ndarray, method: str) -> np.ndarray:
    """The model's square, uint8 (S, S, C), with its hole filled from G(z) and blended."""
    known = codecs.to_float(case.pixels)
    filled = codecs.to_bytes(blend.blend(known, generated, case.square_mask, method))
    return np.where(case.square_mask > 0, case.pixels, filled)


def like_input(case: Case) -> codecs.Picture:
    """The input's kind of picture, for codecs.write; what is filled is opaque from now on."""
    if case.picture.alpha is None:
        return case.picture
    alpha = np.where(case.mask[..., 0] > 0, case.picture.alpha, 255).astype(np.uint8)
    return dataclasses.replace(case.picture, alpha=alpha)
