"""Pictures made anew as a whole, one by one: what is done is skipped, what is bad is named, and
what a picture's file holds besides is kept."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

import cli
from align.cluster import Ray
from completion.outputs import Results, Written, write
from pictures import codecs

AHEAD = 4  # pictures a worker
# A picture's file, the picture, the name of its result -> uint8 (H, W, C), and what was measured
Remake = Callable[[Path, codecs.Picture, str], tuple[np.ndarray, dict]]


@dataclass(frozen=True)
class Remade:
    """A picture and where it came from, as outputs.Results writes it."""

    path: Path
    picture: codecs.Picture
    mask: None = None


@dataclass(frozen=True)
class Job:
    """How pictures are made anew. settings: all that decides a result, for the report, but its
    format; describe: what was measured, for people."""

    out_dir: Path
    suffix: str
    settings: dict
    remake: Remake
    describe: Callable[[dict], str]


def run(job: Job, paths: Sequence[Path], engine: Ray | None = None) -> tuple[int, int, int]:
    """Make pictures anew, in this process or by an engine; returns how many are new, were done
    before, and are bad."""
    job = replace(job, settings=job.settings | {"format": job.suffix})
    results = Results(job.out_dir, job.suffix)
    remaining = [path for path in paths if not results.is_done(path, job.settings)]
    named = results.names(remaining).items()
    each = engine.each(_remade, job, named, AHEAD) if engine else (_remade(job, n) for n in named)
    done = 0
    with results.reporting():
        for written in filter(None, each):
            done += 1
            print(f"{results.add(written)[0]}: {written.figures}")
    return done, len(paths) - len(remaining), len(remaining) - done


def _remade(job: Job, named: tuple[Path, str]) -> Written | None:
    """One picture, made anew and written under its name; None for a bad one, which is said."""
    path, name = named
    try:
        picture = codecs.read_picture(path)
        _say_what_is_lost(path, picture, job.suffix)
        started = time.perf_counter()
        pixels, measured = job.remake(path, picture, name)
        measured["seconds"] = time.perf_counter() - started
        remade = Remade(path, like(picture, pixels))
        written = write(job.out_dir, job.suffix, remade, name, [pixels], job.settings, measured)
    except (ValueError, OSError) as error:
        cli.pass_over(error)
        return None
    return replace(written, figures=job.describe(measured))


def like(picture: codecs.Picture, pixels: np.ndarray) -> codecs.Picture:
    """What a picture's file holds besides, for the result: not the profile of a grey one that got
    colours, and transparency at its size."""
    alpha, keep = picture.alpha, dict(picture.keep)
    if alpha is not None and alpha.shape != pixels.shape[:2]:
        alpha = cv2.resize(alpha, pixels.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    if picture.pixels.shape[2] != pixels.shape[2]:
        keep.pop("icc_profile", None)
    return replace(picture, pixels=pixels, alpha=alpha, keep=keep, own=None)


def _say_what_is_lost(path: Path, picture: codecs.Picture, suffix: str) -> None:
    notes = list(picture.notes)
    if picture.own is not None and picture.own.dtype == np.uint16:
        notes.append("8 bits of its 16 are used")
    try:
        notes += codecs.what_is_lost(replace(picture, own=None), f"{path.stem}.{suffix}")
    except ValueError as error:
        raise ValueError(f"{path}: {error}; choose another --format") from None
    for note in notes:
        cli.tell(f"{path}: {note}")
