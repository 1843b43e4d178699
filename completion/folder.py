"""Completing many pictures: what is done is skipped, what is bad is named, memory stays flat."""

import dataclasses
import math
import time
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
from tqdm import tqdm

import cli
from align import geometry
from completion import Completer, Moment, ranked
from completion.animation import Animation, View
from completion.case import Case, Hole, around, beyond, place_all, points_matrix
from completion.faces import displaced, overlooked_face
from completion.finish import finish_all, square_result
from completion.options import Options
from completion.outputs import Batch, Results, modified
from measuring import metrics
from pictures import codecs, masks

WAITING_BYTES = 2**29  # of files that wait together; more close a batch before it is full


@dataclass(frozen=True)
class Job:
    """What complete.py was asked for. masks_of: the mask file of each picture, if it has one;
    references: the true picture of each, if it has one. Raises ValueError for what would fail with
    every picture."""

    completer: Completer
    options: Options
    hole: Hole
    out_dir: Path
    fit: str = "resize"
    face_points: np.ndarray | None = None
    masks_of: dict[Path, Path] | None = None
    references: dict[Path, Path] | None = None
    interval: int = 50
    batch_size: int = 64
    suffix: str = "png"

    def __post_init__(self):
        if self.hole.kind != "cam":
            self.hole.built_in(self.completer.size)
        if self.face_points is not None:
            points_matrix(self.face_points, self.completer.size)

    def hole_of(self, path: Path) -> Hole:
        """The hole of one picture."""
        file = self.masks_of[path] if self.masks_of else None
        return dataclasses.replace(self.hole, file=file)

    def cases(self, path: Path, data: bytes) -> list[Case]:
        """One picture, from the bytes of its file, hidden and placed; several where its hole
        touches several faces. Raises ValueError, naming the file."""
        picture = codecs.decode(data, path)
        for note in (*picture.notes, *self._lost(path, picture)):
            cli.tell(f"{path}: {note}")
        cases = place_all(
            path,
            picture,
            size=self.completer.size,
            channels=self.completer.channels,
            hole=self.hole_of(path),
            fit=self.fit,
            face_points=self.face_points,
            keep_tone=self.options.keep_tone,
        )
        if self.references:
            self.truth(cases[0])  # a wrong one is better named now than after the search
        return cases

    def _lost(self, path: Path, picture: codecs.Picture) -> list[str]:
        """What of it the results cannot hold; better known now than after the search, too."""
        try:
            return codecs.what_is_lost(picture, f"{path.stem}.{self.suffix}")
        except ValueError as error:
            raise ValueError(f"{path}: {error}; choose another --format") from None

    def truth(self, case: Case) -> np.ndarray | None:
        """The true picture, uint8 (H, W, C), where it is known: given, or under a built-in hole.
        Raises ValueError, naming the file, for one of another size."""
        if not self.references:
            return None if self.hole_of(case.path).own else case.picture.pixels
        path, shape = self.references[case.path], case.picture.pixels.shape
        true = codecs.read(path, shape[2])
        if true.shape != shape:
            sizes = [f"{width}x{height}" for height, width, _ in (true.shape, shape)]
            raise ValueError(f"{path}: is {sizes[0]} pixels, the picture it is true of {sizes[1]}")
        return true

    def settings(self, path: Path) -> dict:
        """All that decides a result and its file, for the report."""
        hole = self.hole_of(path)
        values = dataclasses.asdict(self.options) | {"hole": dataclasses.asdict(hole)}
        if hole.file:
            values["hole"] |= {"file": str(hole.file), "modified": modified(hole.file)}
        values |= {"model": self._fingerprint, "fit": self.fit, "format": self.suffix}
        if self.face_points is not None:
            values["face_points"] = np.asarray(self.face_points).tolist()
        if self.references:
            values["reference"] = str(self.references[path])
        return values

    @cached_property
    def _fingerprint(self) -> str:
        return self.completer.fingerprint()


@dataclass(frozen=True)
class Waiting:
    """A picture while others of its batch are made ready, itself left out, as there is no room.

    cases: of each of its faces; data: the file as it came; hole: the mask's, compressed; shape: (H,
    W, 1) of the mask; before: the whole square of each case, float32 (S, S, C); views: of each.
    """

    cases: list[Case]
    data: bytes
    hole: bytes
    shape: tuple[int, int, int]
    before: list[np.ndarray]
    views: list[View]

    @classmethod
    def of(cls, cases: Sequence[Case], data: bytes) -> Self:
        mask = cases[0].mask
        return cls(
            cases=[dataclasses.replace(case, picture=None, mask=None) for case in cases],
            data=data,
            hole=zlib.compress(np.packbits(mask == 0), level=1),
            shape=mask.shape,
            before=[case.whole() for case in cases],
            views=[View.of(case) for case in cases],
        )

    @property
    def path(self) -> Path:
        return self.cases[0].path

    def ready(self) -> list[Case]:
        """The cases as they were, their file decoded again; their masks bool, as less room is left
        once a network is loaded."""
        bits = np.frombuffer(zlib.decompress(self.hole), np.uint8)
        hole = np.unpackbits(bits, count=math.prod(self.shape)).reshape(self.shape)
        picture = codecs.decode(self.data, self.path)
        mask = hole == 0
        return [dataclasses.replace(case, picture=picture, mask=mask) for case in self.cases]


def preview(job: Job, paths: Sequence[Path]) -> int:
    """Write each picture with its hole tinted to OUT/preview; returns how many could not be."""
    names = Results(job.out_dir / "preview", "png").names(paths)
    shown = 0
    for (case, *_), _ in _cases(job, paths):
        tinted = masks.overlay(case.picture.pixels, case.mask)
        codecs.write(job.out_dir / "preview" / f"{names[case.path]}.png", tinted)
        shown += 1
    return len(paths) - shown


def run(job: Job, paths: Sequence[Path]) -> tuple[int, int, int]:
    """Complete pictures batch by batch; returns how many are new, were done before, and are bad."""
    results = Results(job.out_dir, job.suffix)
    remaining = [path for path in paths if not results.is_done(path, job.settings(path))]
    names = results.names(remaining)
    completed = 0
    waiting = (Waiting.of(cases, data) for cases, data in _cases(job, remaining))
    with results.reporting():
        for batch in _batches(waiting, job.batch_size):
            for end in _complete(job, batch):
                completed += _finish(job, end, name=names[end.waiting.path], results=results)
    return completed, len(paths) - len(remaining), len(remaining) - completed


def _cases(job: Job, paths: Sequence[Path]) -> Iterator[tuple[list[Case], bytes]]:
    """What can be completed, and the bytes of its file; the others are named."""
    asked = job.fit != "resize" or job.face_points is not None
    for path in paths:
        try:
            data = codecs.load(path)
            cases = job.cases(path, data)
        except (ValueError, OSError) as error:
            cli.pass_over(error)
            continue
        if not asked and min(cases[0].mask.shape[:2]) > job.completer.size:
            asked = True  # once: what holds for one picture of a run holds for the others
            if _misses_face(job, cases[0]):
                cli.tell(f"{path}: its centre square is completed, not the face; that takes --face")
        yield cases, data


def _misses_face(job: Job, case: Case) -> bool:
    return overlooked_face(
        case.picture.pixels,
        case.mask,
        matrix=case.matrix,
        size=job.completer.size,
        painted=job.hole_of(case.path).own,
    )


def _batches(waiting: Iterable[Waiting], most: int) -> Iterator[list[Waiting]]:
    batch: list[Waiting] = []
    for one in waiting:
        batch.append(one)
        if len(batch) == most or sum(len(w.data) for w in batch) >= WAITING_BYTES:
            yield batch
            batch = []
    if batch:
        yield batch


@dataclass(frozen=True)
class _End:
    """What came of one picture. generated: of each case, float (A, S, S, C) of its alternatives,
    best first."""

    waiting: Waiting
    generated: list[np.ndarray]
    measured: dict


def _complete(job: Job, waiting: Sequence[Waiting]) -> Iterator[_End]:
    started = time.perf_counter()
    cases = [case for one in waiting for case in one.cases]
    views = [view for one in waiting for view in one.views]
    batch = Batch(job.out_dir, cases, Animation(views, total=job.completer.steps(job.options)))
    batch.before(np.stack([square for one in waiting for square in one.before]))
    ends = []  # the first and the last moment of each alternative
    for alternative in range(job.options.alternatives):
        ends.append(
            _moments(job, cases, alternative=alternative, batch=batch if alternative == 0 else None)
        )
    batch.close()
    seconds = (time.perf_counter() - started) / len(cases)
    row = 0
    for one in waiting:
        rows = range(row, row + len(one.cases))
        row += len(one.cases)
        orders = [
            ranked(job.completer, case, [last.generated[i] for _, last in ends])
            for i, case in zip(rows, one.cases, strict=True)
        ]
        first, last = ends[orders[0][0]]
        measured = {"steps": last.step, "seconds": seconds * len(rows)}
        if last.loss is not None:
            measured |= {
                "first_loss": _loss(first, rows[0]),
                "last_loss": _loss(last, rows[0]),
                "losses": [_loss(ends[draw][1], rows[0]) for draw in orders[0]],
            }
        made = [
            np.stack([ends[draw][1].generated[i] for draw in order])
            for i, order in zip(rows, orders, strict=True)
        ]
        yield _End(one, made, measured)


def _loss(moment: Moment, row: int) -> float | None:
    return None if moment.loss is None else float(moment.loss[row])


def _finish(job: Job, end: _End, name: str, results: Results) -> bool:
    """Fill the picture and write it; whether that could be done."""
    path = end.waiting.path
    try:
        cases = end.waiting.ready()
        case = cases[0]
        pictures = [
            finish_all(cases, generated, job.options.blend)
            for generated in zip(*end.generated, strict=True)
        ]
        measured = end.measured | _compared(job, case, pictures[0])
        _tell_displaced(job, cases, pictures[0])
        figures, box = _figures(cases, measured), around(cases)
        # The picture as it was may be large, and is not needed to write the other.
        picture = dataclasses.replace(case.picture, pixels=pictures[0])
        case = dataclasses.replace(case, picture=picture)
        del cases
        written = results.write(
            case,
            name,
            results=pictures,
            settings=job.settings(path),
            measured=measured,
            around=box,
        )
    except (ValueError, OSError) as error:
        cli.pass_over(error)
        return False
    print(f"{written}: {figures}")
    return True


def _tell_displaced(job: Job, cases: list[Case], result: np.ndarray) -> None:
    """Say where a face, found with its hole hidden, came out elsewhere than it was aligned by."""
    path = cases[0].path
    if job.fit != "face" or job.face_points is not None or not job.hole_of(path).own:
        return
    for case in cases:
        points = displaced(result, case.matrix, len(case.square))
        if points is not None:
            where = " ".join(f"{x:.0f},{y:.0f}" for x, y in points)
            cli.tell(
                f"{path}: with a part of the face hidden, eyes and mouth may lie elsewhere; "
                f"if it looks displaced, try --face-points {where}"
            )


def _figures(cases: list[Case], measured: dict) -> str:
    figures = []
    if "last_loss" in measured:
        figures.append(f"loss {measured['first_loss']:.1f} -> {measured['last_loss']:.1f}")
        figures.append(cli.counted(measured["steps"], "step"))
    if "psnr" in measured:
        figures.append(f"{measured['psnr']:.1f} dB in the hole")
    if len(cases) > 1:
        figures.append(f"{len(cases)} faces")
    if rest := np.count_nonzero(beyond(cases)):
        figures.append(
            f"{cli.counted(rest, 'pixel')} of the hole beyond what the model sees, smoothed over"
        )
    return ", ".join(figures) or "completed"


def _moments(
    job: Job, cases: list[Case], alternative: int, batch: Batch | None
) -> tuple[Moment, Moment]:
    """The first and the last moment of one completion; what lies between goes to `batch`."""
    first = last = None
    total = job.completer.steps(job.options)
    with tqdm(
        total=total, desc=cli.counted(len(cases), "picture"), unit="step", leave=False
    ) as bar:
        for last in job.completer.complete(cases, job.options, alternative):
            first = first or last
            bar.update(last.step - bar.n)
            if batch:
                if last.loss is not None:
                    bar.set_postfix(loss=f"{last.loss.mean():.1f}", refresh=False)
                batch.log(last)
                _show(job, cases, moment=last, batch=batch)
    if batch:
        _show(job, cases, moment=last, batch=batch, final=True)
    return first, last


def _show(job: Job, cases: list[Case], moment: Moment, batch: Batch, final: bool = False) -> None:
    """Grids at every interval, frames where they are due, and both of what it ends with."""
    step = moment.step
    grid = batch.is_new(step) and (final or step % job.interval == 0)
    frame = batch.animation.is_due(step, final)
    if not (grid or frame):
        return
    completed = np.stack(
        [
            square_result(case, generated, job.options.blend)
            for case, generated in zip(cases, moment.generated, strict=True)
        ]
    )
    if grid:
        batch.show(step, moment.generated, completed)
    if frame:
        batch.animation.add(step, completed)


def _compared(job: Job, case: Case, result: np.ndarray) -> dict:
    """PSNR and SSIM of the hole, where the truth is known."""
    true = job.truth(case)
    if true is None or not (case.mask == 0).any():
        return {}
    hole = case.mask[..., 0] == 0
    inside = [codecs.to_float(pixels[hole])[None, :, None] for pixels in (result, true)]
    measured = {"psnr": float(metrics.psnr(*inside)[0])}
    if min(result.shape[:2]) >= metrics.SSIM_WINDOW:
        measured["ssim"] = _ssim_of_hole(result, true, hole)
    return {name: value for name, value in measured.items() if np.isfinite(value)}


def _ssim_of_hole(result: np.ndarray, true: np.ndarray, hole: np.ndarray) -> float:
    """metrics.ssim over the hole, bool (H, W), piece by piece: no array of floats is as large as
    the picture."""
    total = 0.0
    for box in geometry.pieces(hole):
        wide = geometry.wider(box, metrics.SSIM_WINDOW // 2, hole.shape)
        parts = [codecs.to_float(geometry.cut(pixels, wide))[None] for pixels in (result, true)]
        mask = np.ones((*parts[0].shape[:3], 1), np.float32)
        left, top = box[0] - wide[0], box[1] - wide[1]
        inner = (left, top, left + box[2] - box[0], top + box[3] - box[1])
        geometry.cut(mask[0], inner)[geometry.cut(hole, box)] = 0
        total += np.count_nonzero(mask == 0) * float(metrics.ssim(*parts, mask)[0])
    return total / np.count_nonzero(hole)
