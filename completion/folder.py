"""Completing many pictures: what is done is skipped, what is bad is named, memory stays flat."""

import dataclasses
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path

import numpy as np
from tqdm import tqdm

from align import geometry
from cli import one_line
from completion import Completer, Moment
from completion.case import Case, Hole, beyond, points_matrix, prepare, with_channels
from completion.finish import finish, square_result
from completion.options import Options
from completion.outputs import Batch, Results, modified
from measuring import metrics
from pictures import codecs, masks


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
        self.hole.built_in(self.completer.size)
        if self.face_points is not None:
            points_matrix(self.face_points, self.completer.size)

    def hole_of(self, path: Path) -> Hole:
        """The hole of one picture."""
        file = self.masks_of[path] if self.masks_of else None
        return dataclasses.replace(self.hole, file=file)

    def prepare(self, path: Path) -> Case:
        """One picture, hidden and placed. Raises ValueError, naming the file."""
        case = prepare(
            path,
            size=self.completer.size,
            channels=self.completer.channels,
            hole=self.hole_of(path),
            fit=self.fit,
            face_points=self.face_points,
        )
        if self.references:
            self.truth(case)  # a wrong one is better named now than after the search
        return case

    def truth(self, case: Case) -> np.ndarray | None:
        """The true picture, uint8 (H, W, C), where it is known: given, or under a built-in hole.
        Raises ValueError, naming the file, for one of another size."""
        if not self.references:
            return None if self.hole.alpha or self.masks_of else case.picture.pixels
        path, shape = self.references[case.path], case.picture.pixels.shape
        true = codecs.read(path, shape[2])
        if true.shape != shape:
            sizes = [f"{width}x{height}" for height, width, _ in (true.shape, shape)]
            raise ValueError(f"{path}: is {sizes[0]} pixels, the picture it is true of {sizes[1]}")
        return true

    def settings(self, path: Path) -> dict:
        """All that decides a result, for the report."""
        hole = self.hole_of(path)
        values = dataclasses.asdict(self.options) | {"hole": dataclasses.asdict(hole)}
        if hole.file:
            values["hole"] |= {"file": str(hole.file), "modified": modified(hole.file)}
        values |= {"model": self._fingerprint, "fit": self.fit}
        if self.face_points is not None:
            values["face_points"] = np.asarray(self.face_points).tolist()
        if self.references:
            values["reference"] = str(self.references[path])
        return values

    @cached_property
    def _fingerprint(self) -> str:
        return self.completer.fingerprint()


def preview(job: Job, paths: Sequence[Path]) -> int:
    """Write each picture with its hole tinted to OUT/preview; returns how many could not be."""
    names = Results(job.out_dir / "preview", "png").names(paths)
    failed = 0
    for path, case in _prepared(job, paths):
        if case is None:
            failed += 1
            continue
        shown = masks.overlay(case.picture.pixels, case.mask)
        codecs.write(job.out_dir / "preview" / f"{names[path]}.png", shown)
    return failed


def run(job: Job, paths: Sequence[Path]) -> tuple[int, int, int]:
    """Complete pictures batch by batch; returns how many are new, were done before, and are bad."""
    results = Results(job.out_dir, job.suffix)
    remaining = [path for path in paths if not results.is_done(path, job.settings(path))]
    names = results.names(remaining)
    completed = 0
    found = (_Waiting.of(case) for _, case in _prepared(job, remaining) if case is not None)
    try:  # an interrupted run keeps what it has
        while batch := list(islice(found, job.batch_size)):
            for searched in _search_batch(job, batch):
                completed += _finish(job, searched, names[searched.case.path], results)
            results.save_report()
    finally:
        results.save_report()
    return completed, len(paths) - len(remaining), len(remaining) - completed


def _prepared(job: Job, paths: Sequence[Path]) -> Iterator[tuple[Path, Case | None]]:
    for path in paths:
        try:
            yield path, job.prepare(path)
        except (ValueError, OSError) as error:
            _pass_over(error)
            yield path, None


def _pass_over(error: Exception) -> None:
    print(f"passed over {one_line(error)}", file=sys.stderr)


@dataclass(frozen=True)
class _Waiting:
    """A case of a batch, without its picture: memory is that of the squares. before: the picture on
    the model's square as it came, hole included, uint8 (S, S, C): what before.png shows."""

    case: Case
    before: np.ndarray

    @classmethod
    def of(cls, case: Case) -> "_Waiting":
        size, channels = case.pixels.shape[0], case.pixels.shape[2]
        pixels = with_channels(case.picture.pixels, channels)
        return cls(case.without_picture(), geometry.warp(pixels, case.matrix, size))


@dataclass(frozen=True)
class _Searched:
    """What came of one case. generated: float (A, S, S, C) of its alternatives, best first."""

    case: Case
    generated: np.ndarray
    measured: dict


def _search_batch(job: Job, waiting: Sequence[_Waiting]) -> Iterator[_Searched]:
    started = time.perf_counter()
    cases = [one.case for one in waiting]
    batch = Batch(job.out_dir, cases)
    batch.before(np.stack([one.before for one in waiting]))
    ends = []  # the first and the last moment of each alternative's search
    for alternative in range(job.options.alternatives):
        ends.append(_search(job, cases, alternative, batch if alternative == 0 else None))
    batch.close()
    seconds = (time.perf_counter() - started) / len(cases)
    for i, case in enumerate(cases):
        measured = {"seconds": seconds}
        if ends[0][1].loss is not None:
            ends = sorted(ends, key=lambda pair: pair[1].loss[i])
            measured |= {
                "first_loss": float(ends[0][0].loss[i]),
                "last_loss": float(ends[0][1].loss[i]),
                "losses": [float(last.loss[i]) for _, last in ends],
            }
        measured["steps"] = ends[0][1].step
        yield _Searched(case, np.stack([last.generated[i] for _, last in ends]), measured)


def _finish(job: Job, searched: _Searched, name: str, results: Results) -> bool:
    """Fill the picture and write it; whether that could be done."""
    path = searched.case.path
    try:
        case = searched.case.with_picture(job.hole_of(path))
        pictures = [finish(case, g, job.options.blend) for g in searched.generated]
        measured = searched.measured | _compared(job, case, pictures[0])
        written = results.write(case, name, pictures, job.settings(path), measured)
    except (ValueError, OSError) as error:
        _pass_over(error)
        return False
    figures = f"{measured['steps']} steps"
    if "last_loss" in measured:
        losses = f"{measured['first_loss']:.1f} -> {measured['last_loss']:.1f}"
        figures = f"loss {losses}, {figures}"
    if "psnr" in measured:
        figures += f", {measured['psnr']:.1f} dB in the hole"
    if rest := int(beyond(case.mask, case.matrix, len(case.pixels)).sum()):
        figures += f", {rest:,} pixels beyond its square filled from around"
    print(f"{written}: {figures}")
    return True


def _search(
    job: Job, cases: list[Case], alternative: int, batch: Batch | None
) -> tuple[Moment, Moment]:
    """The first and the last moment of one search; what lies between goes to `batch`."""
    first = last = None
    shown = -1
    total = job.completer.steps(job.options)
    with tqdm(total=total, desc=f"{len(cases)} pictures", unit="step", leave=False) as bar:
        for last in job.completer.complete(cases, job.options, alternative):
            first = first or last
            bar.update(last.step - bar.n)
            if batch:
                if last.loss is not None:
                    bar.set_postfix(loss=f"{last.loss.mean():.1f}", refresh=False)
                batch.log(last)
                if last.step % job.interval == 0:
                    _show(job, cases, last, batch)
                    shown = last.step
    if batch and shown != last.step:
        _show(job, cases, last, batch)
    return first, last


def _show(job: Job, cases: list[Case], moment: Moment, batch: Batch) -> None:
    completed = [
        square_result(case, generated, job.options.blend)
        for case, generated in zip(cases, moment.generated, strict=True)
    ]
    batch.show(moment.step, moment.generated, np.stack(completed))


def _compared(job: Job, case: Case, result: np.ndarray) -> dict:
    """PSNR and SSIM of the hole, where the truth is known."""
    true = job.truth(case)
    if true is None or not (case.mask == 0).any():
        return {}
    pair = codecs.to_float(result)[None], codecs.to_float(true)[None], case.mask[None]
    measured = {"psnr": float(metrics.psnr(*pair)[0])}
    if min(result.shape[:2]) >= 11:  # SSIM's window
        measured["ssim"] = float(metrics.ssim(*pair)[0])
    return {name: value for name, value in measured.items() if np.isfinite(value)}
