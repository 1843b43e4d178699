"""Completing many pictures: what is done is skipped, what is bad is named, memory stays flat."""

import dataclasses
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from tqdm import tqdm

import cli
from align.cluster import Ray
from completion import Completer, Moment, ranked
from completion.animation import Animation
from completion.case import Case, Hole, around, beyond, place_all, points_matrix
from completion.faces import displaced, overlooked_face
from completion.finish import compared, finish_all, square_result
from completion.options import Options
from completion.outputs import Batch, Results, Written, modified, write
from completion.waiting import Waiting
from pictures import codecs, files, masks

AHEAD = 2  # batches a worker
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
        values = dict(self._settings)
        if hole.file:
            values["hole"] = values["hole"] | {
                "file": str(hole.file),
                "modified": modified(hole.file),
            }
        if self.references:
            values["reference"] = str(self.references[path])
        return values

    @cached_property
    def _settings(self) -> dict:
        """Those of every picture."""
        values = dataclasses.asdict(self.options) | {"hole": dataclasses.asdict(self.hole)}
        values |= {"model": self.completer.fingerprint(), "fit": self.fit, "format": self.suffix}
        if self.face_points is not None:
            values["face_points"] = np.asarray(self.face_points).tolist()
        return values


def preview(job: Job, paths: Sequence[Path]) -> int:
    """Write each picture with its hole tinted to OUT/preview; returns how many could not be."""
    names = Results(job.out_dir, job.suffix).names(paths)
    shown = 0
    for (case, *_), _ in _cases(job, paths, ask=True):
        tinted = masks.overlay(case.picture.pixels, case.mask)
        codecs.write(job.out_dir / "preview" / f"{names[case.path]}.png", tinted)
        shown += 1
    return len(paths) - shown


def run(job: Job, paths: Sequence[Path], engine: Ray | None = None) -> tuple[int, int, int]:
    """Complete pictures batch by batch, in this process or by an engine; returns how many are new,
    were done before, and are bad."""
    results = Results(job.out_dir, job.suffix)
    remaining = [path for path in paths if not results.is_done(path, job.settings(path))]
    parts = _parts(job, results.names(remaining), results.folders(remaining))
    # A worker gets the job once, and what each picture has of its own with the part.
    shared = dataclasses.replace(job, masks_of=None, references=None)
    if engine:
        each = engine.each(_completed, shared, parts, AHEAD)
    else:
        each = ([written] for part in parts for written in _written(shared, part))
    completed = 0
    with results.reporting():
        for done in filter(None, each):
            for path, written in zip(results.add(*done), done, strict=True):
                completed += 1
                print(f"{path}: {written.figures}")
    return completed, len(paths) - len(remaining), len(remaining) - completed


@dataclass(frozen=True)
class Part:
    """Pictures that are completed together: the names of their results, their masks and references
    as in Job, and the folder for grids of all. first: of a run."""

    names: dict[Path, str]
    folder: Path
    masks_of: dict[Path, Path] | None
    references: dict[Path, Path] | None
    first: bool


def _parts(job: Job, names: dict[Path, str], folders: Iterator[Path]) -> Iterator[Part]:
    """All pictures in their order, so many together as are given and find room."""
    waiting, size, first = {}, 0, True

    def own(given: dict[Path, Path] | None) -> dict[Path, Path] | None:
        return given and {path: given[path] for path in waiting}

    for number, (path, name) in enumerate(names.items(), start=1):
        waiting[path] = name
        size += path.stat().st_size if path.exists() else 0
        if len(waiting) == job.batch_size or size >= WAITING_BYTES or number == len(names):
            yield Part(waiting, next(folders), own(job.masks_of), own(job.references), first)
            waiting, size, first = {}, 0, False


def _completed(shared: Job, part: Part) -> list[Written]:
    return list(_written(shared, part))


def _written(shared: Job, part: Part) -> Iterator[Written]:
    """Complete the pictures of a part, each written under its name."""
    job = dataclasses.replace(shared, masks_of=part.masks_of, references=part.references)
    cases = _cases(job, [*part.names], ask=part.first)
    if waiting := [Waiting.of(*one) for one in cases]:
        for end in _complete(job, waiting, part.folder):
            if written := _finish(job, end, part.names[end.waiting.path]):
                yield written


def _cases(
    job: Job, paths: Sequence[Path], ask: bool = False
) -> Iterator[tuple[list[Case], bytes]]:
    """What can be completed, and the bytes of its file; the others are named. ask: whether to say
    that a face would be missed, once: what holds for one picture of a run holds for the others."""
    ask = ask and job.fit == "resize" and job.face_points is None
    for path in paths:
        try:
            data = codecs.load(path)
            cases = job.cases(path, data)
        except (ValueError, OSError) as error:
            cli.pass_over(error)
            continue
        if ask and min(cases[0].mask.shape[:2]) > job.completer.size:
            ask = False
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


@dataclass(frozen=True)
class _End:
    """What came of one picture. generated: of each case, float (A, S, S, C) of its alternatives,
    best first."""

    waiting: Waiting
    generated: list[np.ndarray]
    measured: dict


def _complete(job: Job, waiting: Sequence[Waiting], folder: Path) -> Iterator[_End]:
    started = time.perf_counter()
    cases = [case for one in waiting for case in one.cases]
    views = [view for one in waiting for view in one.views]
    batch = Batch(folder, cases, Animation(views, total=job.completer.steps(job.options)))
    batch.before(np.stack([square for one in waiting for square in one.before]))
    ends = []  # the first and the last moment of each alternative
    for alternative in range(job.options.alternatives):
        ends.append(
            _moments(job, cases, alternative=alternative, batch=batch if alternative == 0 else None)
        )
    batch.close()
    seconds = (time.perf_counter() - started) / len(cases)
    grids = str(folder.relative_to(files.path_of(job.out_dir)))
    row = 0
    for one in waiting:
        rows = range(row, row + len(one.cases))
        row += len(one.cases)
        orders = [
            ranked(job.completer, case, [last.generated[i] for _, last in ends])
            for i, case in zip(rows, one.cases, strict=True)
        ]
        first, last = ends[orders[0][0]]
        measured = {"grids": grids, "steps": last.step, "seconds": seconds * len(rows)}
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


def _finish(job: Job, end: _End, name: str) -> Written | None:
    """Fill the picture and write it; None where that cannot be done."""
    path = end.waiting.path
    try:
        cases = end.waiting.ready()
        case = cases[0]
        pictures = [
            finish_all(cases, generated, job.options.blend)
            for generated in zip(*end.generated, strict=True)
        ]
        true = job.truth(case)
        measured = end.measured | ({} if true is None else compared(pictures[0], true, case.mask))
        _tell_displaced(job, cases, pictures[0])
        figures, box = _figures(cases, measured), around(cases)
        # The picture as it was may be large, and is not needed to write the other.
        picture = dataclasses.replace(case.picture, pixels=pictures[0])
        case = dataclasses.replace(case, picture=picture)
        del cases
        written = write(
            job.out_dir,
            job.suffix,
            case,
            name,
            results=pictures,
            settings=job.settings(path),
            measured=measured,
            around=box,
        )
    except (ValueError, OSError) as error:
        cli.pass_over(error)
        return None
    return dataclasses.replace(written, figures=figures)


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
