"""Mending pictures that are whole but bad: a network's squares, and the picture made of them.

A network trained on crops of anything mends a picture tile by tile; one trained on aligned faces
mends the faces, each taken to the network's square, and what it changed there taken back.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
from tqdm import tqdm

import cli
from align import geometry, landmarks
from align.cluster import Ray
from completion import remaking
from completion.case import points_matrix, with_channels
from completion.faces import ANCHORS, FaceNotFound, sure
from networks.unet_config import UNetConfig
from pictures import codecs
from pictures.damage import PAIRS, Damage
from training import checkpoint
from translation import tiles
from translation.cycle_recipe import DIRECTIONS, CycleConfig

WIDTH = 8  # squares computed at once; a single one is computed alone
SOFT = 8  # a face's change fades out over this part of its square
Network = Callable[[np.ndarray, float], np.ndarray]  # squares, fidelity -> squares


@dataclass(frozen=True)
class Mender:
    """A network that mends squares of size x size pixels, restored when it is first needed.

    restore makes what takes float32 (N, S, S, C) in [-1, 1] and a fidelity, and returns the same;
    aligned: whether it knows aligned faces alone; graded: whether fidelity changes what it does;
    what: it does, in a word.
    """

    path: Path
    size: int
    channels: int
    damage: Damage
    fingerprint: str
    restore: Callable[[], Network]
    aligned: bool = False
    graded: bool = True
    what: str = ""

    @classmethod
    def of(
        cls,
        folder: Path,
        direction: str | None = None,
        warn: Callable[[str], None] = lambda message: None,
    ) -> Self:
        """What a model folder holds; direction: one of DIRECTIONS, of a CycleGAN, default A-B.
        Raises ValueError where it mends nothing."""
        saved = checkpoint.load(folder, warn)
        if saved.kind == "cyclegan":
            return cls._of_cyclegan(saved, direction or "A-B")
        saved.must_be("pix2pix")
        if direction:
            raise ValueError(f"{saved.path}: knows one direction; leave out --direction")
        config = UNetConfig.from_dict(saved.config)
        if config.damage == "hole":
            raise ValueError(f"{saved.path}: fills holes; take complete.py")
        path = saved.path  # what restores refers to none of the arrays, which come anew

        def restore() -> Network:
            cli.import_tensorflow()
            from translation.pix2pix import Pix2Pix

            model = Pix2Pix.restore(path)

            def network(squares: np.ndarray, fidelity: float) -> np.ndarray:
                known = np.ones_like(squares[..., :1])
                return model.complete(squares, known, fidelity, _width(squares))

            return network

        return cls(
            path=path,
            size=config.image_size,
            channels=config.channels,
            damage=Damage(config.damage),
            fingerprint=checkpoint.fingerprint(saved.weights | saved.linear),
            restore=restore,
            aligned=config.aligned,
        )

    @classmethod
    def _of_cyclegan(cls, saved: checkpoint.Checkpoint, direction: str) -> Self:
        config, path = CycleConfig.from_dict(saved.config), saved.path

        def restore() -> Network:
            cli.import_tensorflow()
            from translation.cyclegan import CycleGAN

            model = CycleGAN.restore(path)
            return lambda squares, _: model.translate(
                squares, DIRECTIONS[direction], _width(squares)
            )

        return cls(
            path=path,
            size=config.image_size,
            channels=config.channels,
            damage=Damage(PAIRS),
            fingerprint=f"{checkpoint.fingerprint(saved.weights)}-{direction}",
            restore=restore,
            graded=False,
            what=direction,
        )

    @cached_property
    def network(self) -> Network:
        return self.restore()

    @property
    def takes(self) -> int:
        """The side of the damaged squares that it was trained on."""
        return self.size // self.damage.factor

    def describe(self) -> str:
        of = "aligned faces" if self.aligned else "pictures of any size"
        what = self.what or self.damage.name
        return f"{self.path}: {what}, {of}, {self.size}x{self.size} pixels at once"


def _width(squares: np.ndarray) -> int:
    return 1 if len(squares) == 1 else WIDTH


@dataclass(frozen=True)
class Job:
    """What translate.py was asked for. Raises ValueError for what would fail with every picture."""

    mender: Mender
    out_dir: Path
    fidelity: float = 0.0
    face: bool = False
    face_points: np.ndarray | None = None
    suffix: str = "png"

    def __post_init__(self):
        if self.face_points is not None:
            points_matrix(self.face_points, self.mender.size)

    @property
    def of_faces(self) -> bool:
        return self.face or self.face_points is not None

    def settings(self) -> dict:
        """All that decides a result and its file, for the report."""
        points = None if self.face_points is None else np.asarray(self.face_points).tolist()
        return {
            "model": self.mender.fingerprint,
            "fidelity": self.fidelity,
            "face": self.face,
            "face_points": points,
        }


def run(job: Job, paths: Sequence[Path], engine: Ray | None = None) -> tuple[int, int, int]:
    """Mend pictures one by one; returns how many are new, were done before, and are bad."""
    remaking_job = remaking.Job(
        job.out_dir,
        job.suffix,
        settings=job.settings(),
        remake=lambda path, picture, name: mended(job, path, picture),
        describe=_figures,
    )
    return remaking.run(remaking_job, paths, engine)


def mended(job: Job, path: Path, picture: codecs.Picture) -> tuple[np.ndarray, dict]:
    """A picture's result, uint8 (factor H, factor W, C), and what was measured. Raises ValueError,
    naming the file, where no face is found that has to be."""
    mender = job.mender
    given = with_channels(picture.pixels, mender.channels)
    if mender.damage.name == "grey":  # whatever tint it has: the network knows none
        given = with_channels(with_channels(given, 1), mender.channels)
    if job.of_faces:
        matrices = _faces(job, path, picture.pixels)
        result = _with_faces(job, given, matrices)
        measured = {"faces": len(matrices)}
    elif mender.aligned and given.shape[:2] != (mender.takes, mender.takes):
        height, width = given.shape[:2]
        raise ValueError(
            f"{path}: is {width}x{height} pixels; {mender.path} mends faces: those found with "
            f"--face, or aligned ones of {mender.takes}x{mender.takes}"
        )
    else:
        result, measured = _tiled(job, given), {}
    off = [mender.damage.miss(*pair) for pair in _bands(result, given, mender.damage)]
    blocks_moved = job.of_faces and mender.damage.name.startswith("mosaic")
    if off[0] is not None and not blocks_moved:
        measured["off_by"] = max(off)
    return result, measured


def _tiled(job: Job, given: np.ndarray) -> np.ndarray:
    mender = job.mender
    height, width = (side * mender.damage.factor for side in given.shape[:2])
    result = np.empty((height, width, mender.channels), np.uint8)
    top = 0
    with tqdm(total=height, unit=" rows", leave=False, delay=2) as bar:
        for band in tiles.mended(given, _network(job), mender.size, mender.damage):
            result[top : top + len(band)] = codecs.to_bytes(band)
            top += len(band)
            bar.update(len(band))
    return result


def _network(job: Job) -> tiles.Mend:
    return lambda squares: job.mender.network(squares, job.fidelity)


def _faces(job: Job, path: Path, pixels: np.ndarray) -> list[np.ndarray]:
    """The matrices that take each face to a damaged square."""
    side = job.mender.takes
    if job.face_points is not None:
        return [points_matrix(job.face_points, side)]
    factor = job.mender.damage.factor
    height, width = pixels.shape[:2]
    if factor * max(height, width) <= landmarks.DETECTION_SIDE:  # small faces escape the detector
        pixels = codecs.resize(pixels, factor * height, factor * width)
    else:
        factor = 1
    faces = landmarks.find_faces(pixels)
    if not faces:
        raise FaceNotFound(
            f"{path}: no face found; give --face-points x,y x,y x,y (inner corners of the eyes, "
            "left one first, and bottom lip)"
        )
    found = [(face.landmarks + 0.5) / factor - 0.5 for face in sure(faces)]
    return [geometry.matrix(points, ANCHORS, side) for points in found]


def _with_faces(job: Job, given: np.ndarray, matrices: Sequence[np.ndarray]) -> np.ndarray:
    """The picture with what the network changed in its faces: what is finer than the network's
    pixels, and what is beyond the faces, stays as it was."""
    damage = job.mender.damage
    height, width = (side * damage.factor for side in given.shape[:2])
    result = codecs.resize(given, height, width).copy()
    squares = [geometry.warp_masked(given, None, m, job.mender.takes)[0] for m in matrices]
    squares = np.stack([damage.enlarged(codecs.to_float(square)) for square in squares])
    changes = job.mender.network(squares, job.fidelity) - squares
    for matrix, change in zip(matrices, changes, strict=True):
        matrix = geometry.for_face(matrix, damage.factor)
        if damage.factor > 1:
            matrix = geometry.for_photograph(matrix, (damage.factor, damage.factor))
        _add(result, change * _soft(len(change)), matrix)
    if damage.name.startswith("mosaic"):  # whose blocks lie elsewhere in the photograph
        return result
    top = 0
    for band, before in _bands(result, given, damage):
        restored = damage.restored(band, before)
        result[top : top + len(band)] = codecs.to_bytes(restored)
        top += len(band)
    return result


def _add(result: np.ndarray, change: np.ndarray, matrix: np.ndarray) -> None:
    """Add to a picture, uint8, a change of its face, float32 (S, S, C)."""
    size = len(change)
    box = geometry.region(matrix, size, result.shape)
    hole = geometry.unwarp_hole(None, size, matrix=matrix, box=box)
    unwarped = geometry.Unwarped(np.float32(change / 2), matrix, box)  # which clips to [-1, 1]
    part = geometry.cut(result, box)
    for piece in geometry.pieces(hole):
        inside, pixels = geometry.cut(hole, piece)[..., None], geometry.cut(part, piece)
        changed = codecs.to_bytes(codecs.to_float(pixels) + 2 * unwarped.piece(piece))
        pixels[...] = np.where(inside, changed, pixels)


def _soft(size: int) -> np.ndarray:
    """(S, S, 1): 1 within, falling smoothly to 0 at the edges."""
    rise = np.minimum((np.arange(size) + 0.5) * SOFT / size, 1)
    ramp = np.sin(np.pi / 2 * np.minimum(rise, rise[::-1])) ** 2
    return np.float32(ramp[:, None, None] * ramp[:, None])


def _bands(result: np.ndarray, given: np.ndarray, damage: Damage):
    """Rows of a result and of what it was made of, float32, a whole number of blocks at a time."""
    rows = geometry.PIECE_ROWS // damage.block * damage.block
    for top in range(0, len(result), rows):
        before = given[top // damage.factor : (top + rows) // damage.factor]
        yield codecs.to_float(result[top : top + rows]), codecs.to_float(before)


def _figures(measured: dict) -> str:
    figures = []
    if "faces" in measured:
        figures.append(cli.counted(measured["faces"], "face"))
    if "off_by" in measured:
        figures.append(f"within {measured['off_by']:.1f} grey levels of what is known")
    return ", ".join(figures) or "mended"
