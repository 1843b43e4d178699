"""Completing many pictures: what is done is skipped, what is bad is named, memory stays flat."""

import dataclasses
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from tqdm import tqdm

import completion
import images
import masks
import metrics
from align import geometry
from completion import Case, Hole, Options
from model import DCGAN, Progress
from outputs import Batch, Results


@dataclass(frozen=True)
class Job:
    """What complete.py was asked for. masks_of: the mask file of each picture, if it has one;
    references: the true picture of each, if it has one."""

    model: DCGAN
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

    def prepare(self, path: Path) -> Case:
        """One picture, hidden and placed. Raises ValueError, naming the file."""
        hole = self.hole
        if self.masks_of:
            hole = dataclasses.replace(hole, file=self.masks_of[path])
        config = self.model.config
        return completion.prepare(
            path, config.image_size, config.channels, hole, self.fit, self.face_points
        )

    def settings(self, path: Path) -> dict:
        """All that decides a result, for the report."""
        values = dataclasses.asdict(self.options) | {"hole": dataclasses.asdict(self.hole)}
        values["hole"]["file"] = str(self.masks_of[path]) if self.masks_of else None
        values["model"], values["fit"] = self.model.fingerprint(), self.fit
        if self.face_points is not None:
            values["face_points"] = np.asarray(self.face_points).tolist()
        return values


def preview(job: Job, paths: Sequence[Path]) -> int:
    """Write each picture with its hole tinted to OUT/preview; returns how many could not be."""
    failed = 0
    for path, case in _prepared(job, paths):
        if case is None:
            failed += 1
            continue
        shown = masks.overlay(case.picture.pixels, case.mask)
        images.write(job.out_dir / "preview" / f"{path.stem}.png", shown)
    return failed


def run(job: Job, paths: Sequence[Path]) -> tuple[int, int, int]:
    """Complete pictures batch by batch; returns how many are new, were done before, and are bad."""
    results = Results(job.out_dir, job.suffix)
    remaining = [path for path in paths if not results.is_done(path, job.settings(path))]
    names = results.names(remaining)
    completed = 0
    found = ((path, case) for path, case in _prepared(job, remaining) if case is not None)
    while batch := list(islice(found, job.batch_size)):
        cases = [case for _, case in batch]
        _complete_batch(job, cases, [names[path] for path, _ in batch], results)
        results.save_report()
        completed += len(cases)
    return completed, len(paths) - len(remaining), len(remaining) - completed


def _prepared(job: Job, paths: Sequence[Path]) -> Iterator[tuple[Path, Case | None]]:
    for path in paths:
        try:
            yield path, job.prepare(path)
        except ValueError as error:
            print(f"passed over {error}", file=sys.stderr)
            yield path, None


def _complete_batch(job: Job, cases: list[Case], names: list[str], results: Results) -> None:
    started = time.perf_counter()
    batch = Batch(job.out_dir, cases)
    batch.before(np.stack([_whole_square(case) for case in cases]))
    found = []  # the first and the last moment of each alternative's search
    for alternative in range(job.options.alternatives):
        watch = batch if alternative == 0 else None
        found.append(_search(job, cases, alternative, watch))
    batch.close()
    seconds = (time.perf_counter() - started) / len(cases)
    for i, (case, name) in enumerate(zip(cases, names, strict=True)):
        best_first = sorted(found, key=lambda ends: ends[1].loss[i])
        pictures = [
            completion.finish(case, last.generated[i], job.options.blend) for _, last in best_first
        ]
        first, last = best_first[0]
        measured = {
            "first_loss": float(first.loss[i]), "last_loss": float(last.loss[i]),
            "losses": [float(last.loss[i]) for _, last in best_first],
            "steps": last.step, "seconds": seconds,
        } | _compared(job, case, pictures[0])  # fmt: skip
        path = results.write(case, name, pictures, job.settings(case.path), measured)
        figures = f", {measured['psnr']:.1f} dB in the hole" if "psnr" in measured else ""
        print(f"{path}: loss {first.loss[i]:.1f} -> {last.loss[i]:.1f}, {last.step} steps{figures}")


def _search(
    job: Job, cases: list[Case], alternative: int, batch: Batch | None
) -> tuple[Progress, Progress]:
    """The first and the last moment of one search; what lies between goes to `batch`."""
    first = last = None
    shown = -1
    total = job.options.search.steps * job.options.search.restarts
    with tqdm(total=total, desc=f"{len(cases)} pictures", unit="step", leave=False) as bar:
        for last in completion.search(job.model, cases, job.options, alternative):
            first = first or last
            bar.update(last.step - bar.n)
            if batch:
                bar.set_postfix(loss=f"{last.loss.mean():.1f}", refresh=False)
                batch.log(last.step, last.z, last.loss)
                if last.step % job.interval == 0:
                    _show(job, cases, last, batch)
                    shown = last.step
    if batch and shown != last.step:
        _show(job, cases, last, batch)
    return first, last


def _show(job: Job, cases: list[Case], moment: Progress, batch: Batch) -> None:
    completed = [
        completion.square_result(case, generated, job.options.blend)
        for case, generated in zip(cases, moment.generated, strict=True)
    ]
    batch.show(moment.step, moment.generated, np.stack(completed))


def _whole_square(case: Case) -> np.ndarray:
    """The picture on the model's square as it came, hole included: what before.png shows."""
    size, channels = case.pixels.shape[0], case.pixels.shape[2]
    pixels = completion.with_channels(case.picture.pixels, channels)
    return geometry.warp(pixels, case.matrix, size)


def _compared(job: Job, case: Case, result: np.ndarray) -> dict:
    """PSNR and SSIM of the hole, where the truth is known: under a built-in mask, or given."""
    if job.references:
        true = images.read(job.references[case.path], result.shape[2])
        if true.shape != result.shape:
            return {}
    elif job.hole.alpha or job.masks_of:
        return {}
    else:
        true = case.picture.pixels
    if not (case.mask == 0).any():
        return {}
    pair = images.to_float(result)[None], images.to_float(true)[None], case.mask[None]
    measured = {"psnr": float(metrics.psnr(*pair)[0])}
    if min(result.shape[:2]) >= 11:  # SSIM's window
        measured["ssim"] = float(metrics.ssim(*pair)[0])
    return measured
