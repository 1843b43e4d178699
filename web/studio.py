"""What the page does, without the page: pictures, faces, holes, and a completion that is watched.

Everything that decides a result lies in completion/, as for complete.py; here are the steps between
a click and it. Pictures are read anew at every step: a session keeps a path and a few points, so
that many sessions cost little memory.
"""

import itertools
import shutil
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

import completion
from align import geometry, landmarks
from completion import Completer, Moment
from completion import case as placing
from completion.animation import Animation
from completion.animation import View as Animated
from completion.case import Case, Hole, HoleOutside
from completion.faces import FaceNotFound, displaced, sure
from completion.finish import finish_all, square_result
from completion.options import PRESETS, Options
from completion.remaking import like
from pictures import codecs, masks
from web import memory

SHOWN_SIDES = (480, 1000)  # the least and the most of the longer side of what is shown, in pixels
VIEW = 256  # side of the square by which a place in the picture is shown
SHOWN_EVERY = 10  # steps, at most
OPACITY = 128  # of paint, of 255; half of it counts as painted
PAINT, FRAME, EDGE = (255, 0, 96), (255, 255, 255), (30, 30, 30)
NAME = Path("The picture")  # in messages, where complete.py names the file


@dataclass(frozen=True, eq=False)
class Scene:
    """A picture of the page. shape: (height, width); faces: float64 (F, 3, 2), the three points
    that each face that is surely one is aligned by, the largest first; number: no other scene has
    it."""

    path: Path
    shape: tuple[int, int]
    faces: np.ndarray
    number: int = field(default_factory=itertools.count(1).__next__)

    @property
    def scale(self) -> float:
        """Shown pixels per pixel of the picture."""
        return shown_scale(self.shape)

    def side(self, points: np.ndarray | None) -> float:
        """Of the square that is completed, in shown pixels; points as in `painting`, the first."""
        first = None if points is None or not points.size else points.reshape(-1, 3, 2)[0]
        return VIEW * geometry.reduction(_matrix(self.shape, first)) * self.scale


def shown_scale(shape: Sequence[int]) -> float:
    """Shown pixels per pixel of a picture or of a part of one, (H, W, ...)."""
    least, most = SHOWN_SIDES
    longer = max(shape[:2])
    return min(most / longer, max(1.0, least / longer))


def look(path: Path | str) -> Scene:
    """Find the faces of a picture. Raises ValueError where it cannot be read."""
    pixels = read(path).pixels
    anchors = list(geometry.ANCHORS[placing.ANCHORS])
    found = [face.landmarks[anchors] for face in sure(landmarks.find_faces(pixels))]
    return Scene(Path(path), pixels.shape[:2], np.reshape(found, (-1, 3, 2)))


def read(path: Path | str) -> codecs.Picture:
    """A picture of the page."""
    with naming(path, NAME):
        return codecs.read_picture(path)


@contextmanager
def naming(path: Path | str, name: Path | str) -> Iterator[None]:
    """Tell a failure without the name of the file, which is the server's own."""
    try:
        yield
    except ValueError as error:
        error.args = (str(error).replace(str(path), str(name)),)
        raise


def painting(
    scene: Scene,
    points: np.ndarray | None,
    clicks: Sequence[tuple[float, float]] = (),
    mask: np.ndarray | None = None,
) -> np.ndarray:
    """What is painted on, uint8 (h, w, 3): the whole picture with a frame around each square that
    can be completed, with the clicks so far, and with the hole of a mask (H, W, 1) tinted.

    points: (F, 3, 2) of faces, or (3, 2) of one; None for the centre square.
    """
    pixels = placing.with_channels(read(scene.path).pixels, 3)
    image = Image.fromarray(_as_shown(pixels if mask is None else masks.overlay(pixels, mask)))
    draw = ImageDraw.Draw(image)
    for each in [None] if points is None else points.reshape(-1, 3, 2):
        corners = _corners(scene, each)
        for colour, width in ((EDGE, 4), (FRAME, 2)):
            draw.line([*corners, *corners[:2]], fill=colour, width=width, joint="curve")
    for x, y in clicks:
        x, y = x * scene.scale, y * scene.scale
        draw.ellipse((x - 5, y - 5, x + 5, y + 5), fill=PAINT, outline=FRAME)
    return np.asarray(image)


def _as_shown(pixels: np.ndarray) -> np.ndarray:
    """A picture or a part of one, uint8 (H, W, C), at the size at which it is shown."""
    factor = shown_scale(pixels.shape)
    return codecs.resize(pixels, *(max(1, round(side * factor)) for side in pixels.shape[:2]))


def _corners(scene: Scene, points: np.ndarray | None) -> list[tuple[float, float]]:
    """Of the square that is completed, in shown pixels."""
    matrix = _matrix(scene.shape, points)
    ends = (-0.5, VIEW - 0.5)
    square = np.array([(x, y) for x, y in zip(ends + ends[::-1], np.repeat(ends, 2), strict=True)])
    corners = np.linalg.solve(matrix[:, :2], (square - matrix[:, 2]).T).T
    return [tuple(corner) for corner in corners * scene.scale]


def _matrix(shape: tuple[int, int], points: np.ndarray | None) -> np.ndarray:
    if points is None:
        return placing.square_matrix(shape, VIEW)
    return placing.points_matrix(points, VIEW)


def painted(hole: np.ndarray) -> np.ndarray:
    """A layer as the editor has them, uint8 (h, w, 4), with the brush over a hole, bool (h, w)."""
    return np.uint8(hole[..., None] * [*PAINT, OPACITY])


def painted_mask(layers: Sequence[np.ndarray], folder: Path) -> Path:
    """Write the mask file of what was painted, white = hole, into the folder.

    layers: uint8 (h, w, 4) each, as the editor has them over `painting`. Raises ValueError where
    nothing is painted.
    """
    paint = np.max([layer[..., 3] for layer in layers], axis=0) if layers else np.zeros(1)
    if not (paint >= OPACITY // 2).any():
        raise ValueError("Nothing is painted yet: paint over what is to be filled")
    path = folder / "painted.png"
    codecs.write(path, np.uint8(255 * (paint >= OPACITY // 2))[..., None])
    return path


def prepare(
    path: Path,
    completer: Completer,
    hole: Hole,
    points: np.ndarray | None = None,
    fit: str = "resize",
    keep_tone: bool = False,
) -> list[Case]:
    """case.place_all for a picture of the page: a case for each face that the hole touches.

    points: (F, 3, 2) of the faces found in the picture as it is; where the hole touches none, they
    are looked for with the hole hidden. Or (3, 2) of the one to take. Raises ValueError, in words
    for the page.
    """
    picture = read(path)
    if points is not None:
        fit = "face"

    def place(points: np.ndarray | None) -> list[Case]:
        return placing.place_all(
            NAME,
            picture,
            size=completer.size,
            channels=completer.channels,
            hole=hole,
            fit=fit,
            face_points=points,
            keep_tone=keep_tone,
        )

    try:
        with naming(hole.file, "The mask"):
            try:
                return place(points if points is not None and points.size else None)
            except FaceNotFound:
                if points is None or not points.size:
                    raise
                return place(None)
    except FaceNotFound:
        raise ValueError(
            "No face is found at what is to be filled. Choose “Points I click” to show where one "
            "is, or “Centre square”"
        ) from None
    except HoleOutside:
        raise ValueError(
            "Much of what is to be filled lies outside of the white frames, where nothing is "
            "completed. Erase that part, or choose another place"
        ) from None


def rehearse(path: Path, completer: Completer) -> None:
    """Do once, with a photograph of a face, what takes its time when it is done first."""
    cases = prepare(path, completer, Hole("center"), fit="face")
    completer.ready()
    for moment in completer.complete(cases, completer.checked(PRESETS["best"])):
        _squares(cases, moment.generated, "poisson")
        if moment.step:
            break


class View(NamedTuple):
    """What is shown of a search. step: of `steps`, of one alternative; squares: those that are
    completed, side by side, uint8 (h, w, 3)."""

    draw: int
    step: int
    steps: int
    squares: np.ndarray


@dataclass(frozen=True)
class Version:
    """A picture before or after. picture: the file at its own size; face: what lies around the
    squares that were completed; whole: all of it, as it is shown."""

    picture: Path
    face: Path
    whole: Path


@dataclass(frozen=True)
class Result:
    """What was found so far, best first. ended: "done", "stopped" or "time"; None while other
    alternatives are yet to come."""

    before: Version
    completed: list[Version]
    mask: Path
    animation: Path
    ended: str | None


def complete(
    completer: Completer,
    cases: Sequence[Case],
    path: Path,
    options: Options,
    folder: Path,
    stop: threading.Event,
    seconds: float,
) -> Iterator[View | Result]:
    """Complete a picture of one or several cases, whose file is `path`: yield a Result with each
    alternative found, and Views while a search for one goes on.

    Ends early, with the best that was found so far, when `stop` is set or after `seconds`.
    """
    options = completer.checked(options)
    steps = completer.steps(options)
    writer = _Writer(cases, path=path, folder=folder, blend=options.blend)
    animation = Animation([Animated.of(case) for case in cases], steps)
    deadline, ended, found = time.monotonic() + seconds, None, []

    def why_to_end() -> str | None:
        return "stopped" if stop.is_set() else "time" if time.monotonic() > deadline else None

    for draw in range(options.alternatives):
        best = None
        for moment in completer.complete(cases, options, draw):
            if best is None or moment.loss is None or moment.loss.sum() < best.loss.sum():
                best = moment
            if (found or steps > 1) and (ended := why_to_end()):
                break
            yield from _watch(moment, draw, cases, options, steps, animation)
        if not (found and ended):  # of alternatives, those count that came to their end
            # A search that ran to its end counts by its end, as for complete.py.
            found.append((best if ended else moment).generated)
            writer.write(found[-1])
        if draw == 0:
            animation.add(moment.step, _squares(cases, found[0], options.blend))
            animation.write(writer.animation)
        if draw == options.alternatives - 1:
            ended = ended or "done"
        order = completion.ranked(completer, cases[0], [generated[0] for generated in found])
        yield writer.result(order, ended)
        if ended:
            return


def _watch(
    moment: Moment,
    draw: int,
    cases: Sequence[Case],
    options: Options,
    steps: int,
    animation: Animation,
) -> Iterator[View]:
    """A View where one is due, and a frame."""
    frame = draw == 0 and moment.step < steps and animation.is_due(moment.step)
    view = steps > 1 and moment.step % SHOWN_EVERY == 0
    if frame or view:
        squares = _squares(cases, moment.generated, options.blend)
        if frame:
            animation.add(moment.step, squares)
        if view:
            larger = [codecs.resize(square, VIEW, VIEW) for square in squares]
            shown = placing.with_channels(np.concatenate(larger, axis=1), 3)
            yield View(draw, moment.step, steps=steps, squares=shown)


def _squares(cases: Sequence[Case], generated: np.ndarray, blend: str) -> np.ndarray:
    """The completed squares of the cases, uint8 (N, S, S, C)."""
    pairs = zip(cases, generated, strict=True)
    return np.stack([square_result(case, square, blend) for case, square in pairs])


def is_displaced(cases: Sequence[Case], result: Result) -> bool:
    """Whether a face came out elsewhere than where it was placed."""
    pixels = codecs.read(result.completed[0].picture)
    size = len(cases[0].square)
    return any(displaced(pixels, case.matrix, size) is not None for case in cases)


class _Writer:
    """Writes what was found by names of our own."""

    def __init__(self, cases: Sequence[Case], path: Path, folder: Path, blend: str):
        self.cases, self.folder, self.blend = cases, folder, blend
        self.mask, self.animation = folder / "mask.png", folder / "completion.gif"
        codecs.write(self.mask, masks.to_file(cases[0].mask))
        self.before = self._shown(path, cases[0].picture.pixels, "before")
        self.completed: list[Version] = []

    def write(self, generated: np.ndarray) -> None:
        """generated: float32 (N, S, S, C), of all cases."""
        picture, number = self.cases[0].picture, len(self.completed) + 1
        pixels = finish_all(self.cases, generated, self.blend)
        path = self.folder / f"completed-{number}.png"
        codecs.write(path, pixels, like=picture, mask=self.cases[0].mask, compress_level=1)
        self.completed.append(self._shown(path, pixels, f"shown-{number}"))

    def _shown(self, path: Path, pixels: np.ndarray, name: str) -> Version:
        face, whole = self.folder / f"{name}-face.png", self.folder / f"{name}-whole.png"
        part = geometry.cut(pixels, placing.around(self.cases))
        for file, shown in ((face, part), (whole, pixels)):
            codecs.write(file, _as_shown(shown), compress_level=1)
        return Version(Path(path), face=face, whole=whole)

    def result(self, order: Sequence[int], ended: str | None) -> Result:
        completed = [self.completed[draw] for draw in order]
        return Result(self.before, completed, self.mask, self.animation, ended)


def write_beside(picture: codecs.Picture, pixels: np.ndarray, path: Path) -> tuple[str, str]:
    """Write what a picture was made into, uint8 (H, W, C), and the picture at its size: the files
    before and after."""
    before = path.with_name("before.png")
    codecs.write(before, codecs.resize(picture.pixels, *pixels.shape[:2]), compress_level=1)
    codecs.write(path, pixels, like=like(picture, pixels), compress_level=1)
    return str(before), str(path)


@contextmanager
def own_folder(root: Path) -> Iterator[Path]:
    """A new folder below `root`, by a name that nobody can guess; removed if the block fails."""
    folder = root / uuid.uuid4().hex
    folder.mkdir(parents=True)
    try:
        yield folder
    except BaseException:  # an error, or a client that has left, which closes the generator
        shutil.rmtree(folder)
        raise
    finally:
        memory.give_back()
