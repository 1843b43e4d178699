"""What the page does, without the page: pictures, faces, holes, and a search that is watched.

Everything that decides a result lies in completion.py, as for complete.py; here are the steps
between a click and it. Pictures are read anew at every step: a session keeps a path and a few
points, so that many sessions cost little memory.
"""

import shutil
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

import completion
from align import geometry, landmarks
from completion import Completer
from completion import case as placing
from completion.case import Case, Hole
from completion.finish import finish, square_result
from completion.options import Options
from pictures import codecs, grids, masks

SHOWN_SIDE = 900  # pixels of the longer side of what is shown to be clicked on
CANVAS_SIDES = (480, 800)  # the least and the most of what is painted on
VIEW = 256  # side of the square by which a place in the picture is shown
FRAMES = 20  # of the animation of a search
SHOWN_EVERY = 10  # steps, at most
GIF_SIDE = 256
ACCENT, QUIET = (255, 0, 96), (255, 255, 255)
NAME = Path("The picture")  # in messages, where complete.py names the file


@dataclass(frozen=True, eq=False)
class Scene:
    """An uploaded picture. shape: (height, width); faces: boxes (left, top, right, bottom) with the
    three points (3, 2) each is aligned by, the largest first."""

    path: Path
    shape: tuple[int, int]
    faces: tuple[tuple[tuple[int, int, int, int], np.ndarray], ...]

    @property
    def scale(self) -> float:
        """Shown pixels per pixel of the picture."""
        return min(1.0, SHOWN_SIDE / max(self.shape))

    def face_at(self, x: float, y: float) -> int | None:
        """The number of the face whose box holds a position, the smallest if several do."""
        for number in reversed(range(len(self.faces))):
            left, top, right, bottom = self.faces[number][0]
            if left <= x < right and top <= y < bottom:
                return number
        return None


def look(path: Path | str) -> Scene:
    """Find the faces of a picture. Raises ValueError where it cannot be read."""
    pixels = read(path).pixels
    anchors = list(geometry.ANCHORS[placing.ANCHORS])
    found = tuple((face.box, face.landmarks[anchors]) for face in landmarks.find_faces(pixels))
    return Scene(Path(path), pixels.shape[:2], found)


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
        raise ValueError(str(error).replace(str(path), str(name))) from None


def outlined(scene: Scene, points: np.ndarray | None, clicks: Sequence[tuple]) -> np.ndarray:
    """The picture, uint8 (h, w, 3), with its faces framed, the chosen square and the clicks."""
    pixels = placing.with_channels(read(scene.path).pixels, 3)
    height, width = (max(1, round(length * scene.scale)) for length in scene.shape)
    image = Image.fromarray(codecs.resize(pixels, height, width))
    draw = ImageDraw.Draw(image)
    for number, (box, _) in enumerate(scene.faces, start=1):
        left, top, right, bottom = (value * scene.scale for value in box)
        draw.rectangle((left, top, right, bottom), outline=QUIET, width=2)
        draw.text(
            (left + 6, top + 3),
            str(number),
            fill=QUIET,
            font_size=20,
            stroke_width=1,
            stroke_fill=(60, 60, 60),
        )
    draw.polygon(_corners(scene, points), outline=ACCENT, width=3)
    for x, y in clicks:
        x, y = x * scene.scale, y * scene.scale
        draw.ellipse((x - 5, y - 5, x + 5, y + 5), fill=ACCENT, outline=QUIET)
    return np.asarray(image)


def _corners(scene: Scene, points: np.ndarray | None) -> list[tuple[float, float]]:
    """Of the square that is completed, in shown pixels."""
    matrix = _matrix(scene.shape, points)
    ends = (-0.5, VIEW - 0.5)
    square = np.array([(x, y) for x, y in zip(ends + ends[::-1], np.repeat(ends, 2), strict=True)])
    corners = np.linalg.solve(matrix[:, :2], (square - matrix[:, 2]).T).T
    return [tuple(corner) for corner in corners * scene.scale]


def _matrix(shape: tuple[int, int], points: np.ndarray | None, size: int = VIEW) -> np.ndarray:
    if points is None:
        return placing.square_matrix(shape, size)
    return placing.points_matrix(points, size)


def _box(shape: tuple[int, int], points: np.ndarray | None) -> geometry.Box:
    return geometry.region(_matrix(shape, points), VIEW, shape, margin=0)


def canvas(scene: Scene, points: np.ndarray | None) -> np.ndarray:
    """The part of the picture that can be painted on, uint8 (h, w, 3): what the model does not
    reach is dimmed."""
    box = _box(scene.shape, points)
    part = geometry.cut(placing.with_channels(read(scene.path).pixels, 3), box)
    square = geometry.cut(np.uint8(255 * _square(scene.shape, points, VIEW)), box)
    pixels = _fitted(part)
    return np.where(_fitted(square) >= masks.THRESHOLD, pixels, pixels // 4 + 96)


def _fitted(part: np.ndarray) -> np.ndarray:
    """A part of a picture, uint8 (h, w, C), at a size to paint on."""
    least, most = CANVAS_SIDES
    longer = max(part.shape[:2])
    factor = min(most / longer, max(1.0, least / longer))
    return codecs.resize(part, *(max(1, round(length * factor)) for length in part.shape[:2]))


def _square(shape: tuple[int, int], points: np.ndarray | None, size: int) -> np.ndarray:
    """bool (H, W, 1): what of the picture the model's square covers."""
    covered = np.zeros((size, size, 1), np.float32)
    return geometry.unwarp_mask(covered, _matrix(shape, points, size), shape) == 0


def painted_mask(
    scene: Scene, points: np.ndarray | None, paint: np.ndarray | None, size: int, folder: Path
) -> Path:
    """Write the mask file of what was painted, white = hole, at the picture's own size.

    paint: uint8 (h, w), the brush's opacity over `canvas`; size: side of the model's square,
    beyond which nothing counts; folder: of the file. Raises ValueError where nothing is painted.
    """
    if paint is None or not (paint >= masks.THRESHOLD).any():
        raise ValueError("Nothing is painted yet: paint over what is to be filled")
    stroke, path = folder / "painted.png", folder / "hole.png"
    codecs.write(stroke, paint[..., None])
    left, top, right, bottom = _box(scene.shape, points)
    with naming(stroke, "The brush"):
        known = masks.from_file(stroke, (bottom - top, right - left), "white")
    hole = np.zeros((*scene.shape, 1), bool)
    geometry.cut(hole, (left, top, right, bottom))[...] = known == 0
    hole &= _square(scene.shape, points, size)
    codecs.write(path, np.uint8(255 * hole))
    return path


def preview(case: Case, points: np.ndarray | None) -> np.ndarray:
    """The canvas with the hole of a case tinted, uint8 (h, w, 3)."""
    tinted = masks.overlay(case.picture.pixels, case.mask)
    shown = geometry.cut(tinted, _box(case.mask.shape[:2], points))
    return _fitted(shown)


def prepare(
    path: Path,
    completer: Completer,
    hole: Hole,
    fit: str = "resize",
    points: np.ndarray | None = None,
) -> Case:
    """case.place for a picture of the page. Raises ValueError, in words for the page."""
    with naming(hole.file, "The mask"):
        return placing.place(
            NAME,
            read(path),
            size=completer.size,
            channels=completer.channels,
            hole=hole,
            fit=fit,
            face_points=points,
        )


class Models:
    """Models by the name of their folder; each is restored when first asked for."""

    def __init__(self, folders: Sequence[Path]):
        self.folders = {str(folder): folder for folder in folders}
        self._lock = threading.Lock()
        self._restored: dict[str, Completer] = {}

    @property
    def names(self) -> list[str]:
        return list(self.folders)

    def get(self, name: str | None = None) -> Completer:
        """The model of that name, or the first. Raises ValueError where there is none."""
        name = name or self.names[0]
        if name not in self.folders:
            raise ValueError(f"There is no model {name!r}; choose from {', '.join(self.names)}")
        with self._lock:
            if name not in self._restored:
                self._restored[name] = completion.restore(self.folders[name])
            return self._restored[name]


class View(NamedTuple):
    """What is shown of a moment. step: of `steps` over all alternatives; square: uint8 (S, S, C),
    completed; loss: None where there is none."""

    step: int
    steps: int
    loss: float | None
    square: np.ndarray


@dataclass(frozen=True)
class Result:
    """Files of a finished search, pictures best first with their losses. ended: "done", "stopped"
    or "time"."""

    pictures: list[Path]
    details: list[np.ndarray]  # the squares they were completed in, uint8 (h, w, 3)
    losses: list[float | None]
    mask: Path
    animation: Path
    ended: str


def complete(
    completer: Completer,
    case: Case,
    options: Options,
    folder: Path,
    stop: threading.Event,
    seconds: float,
) -> Iterator[View | Result]:
    """Complete; yield a View every few steps and the Result at the end.

    Ends early, with the best that was found so far, when `stop` is set or after `seconds`.
    """
    deadline = time.monotonic() + seconds
    options = completer.checked(options)
    found: list[Found] = []
    ended = "done"
    steps = completer.steps(options)
    interval = max(1, min(steps // FRAMES, SHOWN_EVERY))
    for alternative in range(options.alternatives):
        best, frames = None, []
        for moment in completer.complete([case], options, alternative):
            loss = None if moment.loss is None else float(moment.loss[0])
            if best is None or loss is None or loss < best.loss[0]:
                best = moment
            if stop.is_set() or time.monotonic() > deadline:
                ended = "stopped" if stop.is_set() else "time"
                break
            if moment.step % interval == 0:
                square = square_result(case, moment.generated[0], options.blend)
                frames.append(square)
                step = alternative * steps + moment.step
                yield View(step, steps=options.alternatives * steps, loss=loss, square=square)
        # A search that ran to its end counts by its end, as for complete.py.
        kept = moment if ended == "done" else best
        loss = None if kept.loss is None else float(kept.loss[0])
        found.append(Found(loss, kept.generated[0], frames))
        if ended != "done":
            break
    order = completion.ranked(completer, case, [one.generated for one in found])
    found = [found[draw] for draw in order]
    yield _written(case, found, blend=options.blend, folder=folder, ended=ended)


class Found(NamedTuple):
    """What one search came to. generated: float32 (S, S, C); frames: uint8 (S, S, C) on its way."""

    loss: float | None
    generated: np.ndarray
    frames: list[np.ndarray]


def _written(case: Case, found: list[Found], blend: str, folder: Path, ended: str) -> Result:
    """Write what was found, best first, by names of our own."""
    pictures, details = [], []
    box = geometry.region(case.matrix, len(case.square), case.mask.shape, margin=0)
    for number, one in enumerate(found, start=1):
        pixels = finish(case, one.generated, blend)
        pictures.append(folder / f"completed-{number}.png")
        codecs.write(pictures[-1], pixels, like=case.picture, mask=case.mask, compress_level=1)
        details.append(placing.with_channels(_fitted(geometry.cut(pixels, box)), 3))
    last = square_result(case, found[0].generated, blend)
    seen = found[0].frames[:: -(-len(found[0].frames) // FRAMES) or 1]
    frames = [codecs.resize(frame, GIF_SIDE, GIF_SIDE) for frame in [*seen, last]]
    mask, animation = folder / "mask.png", folder / "search.gif"
    codecs.write(mask, masks.to_file(case.mask))
    grids.write_gif(animation, frames, seconds_per_frame=0.2)
    return Result(
        pictures,
        details=details,
        losses=[one.loss for one in found],
        mask=mask,
        animation=animation,
        ended=ended,
    )


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
