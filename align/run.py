"""A folder of photographs aligned, as `align-dlib.py IN align` does: names, resuming, workers."""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np

import cli
from align import cluster, geometry, landmarks, manifest
from pictures import codecs, files

WHOLE_PIXELS = 24_000_000  # a photograph of more is read at a part of its size
WAITING_PER_WORKER = 16  # pictures handed out ahead, so that a slow one stops nobody


@dataclass(frozen=True)
class Settings:
    """How faces are aligned: recorded in every line of a manifest, the same throughout.

    landmarks: one of geometry.ANCHORS; size: pixels; predictor: dlib's file, None if installed.
    """

    landmarks: str = "innerEyesAndBottomLip"
    size: int = 64
    transform: str = "affine"
    scale: float = 1.0
    border: str = "constant"
    all_faces: bool = False
    skip_multi: bool = False
    predictor: str | None = None


@dataclass(frozen=True)
class Job:
    """A photograph, and where its face goes: `name` is OUT/name.png without the suffix."""

    path: Path
    source: str
    out: Path
    name: str


def align(
    source: Path | str,
    out: Path | str,
    settings: Settings,
    keep_tree: bool = False,
    workers: int | None = None,
    engine: cluster.Ray | None = None,
) -> Iterator[tuple[dict, bool]]:
    """Align the photographs of a folder, or one, into `out`; yield every record of the manifest.

    engine: Ray in place of so many processes.

    Yields (record, whether an earlier run had done it): the earlier ones, then the others as they
    are done, both in the order of the inputs. Stopped at any moment, it goes on when run again.
    Raises ValueError for a missing input, an unknown option, or an `out` that holds faces aligned
    with other settings or that another process is writing into.
    """
    source, out = files.path_of(source), files.path_of(out)
    landmarks.predictor_path(settings.predictor)
    geometry.anchor_positions(settings.landmarks, settings.size, settings.scale)
    inputs = find_inputs(source, out)
    with files.locked(out):
        earlier = {record["source"]: record for record in manifest.read(out)}
        _check_settings(earlier.values(), settings, out)
        jobs = list(
            _jobs(
                inputs,
                source,
                out=out,
                settings=settings,
                keep_tree=keep_tree,
                earlier=earlier,
            )
        )
        there = files.names_below(out)
        todo = [job for job in jobs if not _is_done(earlier.get(job.source), there)]
        for job in todo:
            earlier.pop(job.source, None)
        manifest.write(out, earlier.values())  # without what is redone, and without a torn line
        for job in jobs:
            if job.source in earlier:
                yield earlier[job.source], True
        append = manifest.appending(out)
        if engine:
            records = engine.each(align_picture, settings, todo, WAITING_PER_WORKER)
        else:
            records = _align_all(todo, settings, workers or default_workers())
        for record in records:
            append(record)
            yield record, False
        if todo:
            manifest.sort(out, [job.source for job in jobs])


def default_workers() -> int:
    """The processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def find_inputs(source: Path, out: Path) -> list[Path]:
    """The pictures of `source`, except those in `out`, where that lies inside."""
    inside = files.real(out)
    found = [path for path in files.find([source]) if inside not in files.real(path).parents]
    if not found:
        raise ValueError(f"{source}: no pictures besides those inside {out}")
    return found


def _jobs(
    inputs: list[Path],
    root: Path,
    out: Path,
    settings: Settings,
    keep_tree: bool,
    earlier: dict[str, dict],
) -> Iterator[Job]:
    """Give every input a name that no other has; an earlier run's names stay."""
    sources = [manifest.source(path, out) for path in inputs]
    given = {key: record["name"] for key, record in earlier.items()}
    names = files.Names(given.values(), room=len("-face999.png" if settings.all_faces else ".png"))
    for path, source in zip(inputs, sources, strict=True):
        if source not in given:
            given[source] = names.give(*_candidates(path, root, keep_tree))
        yield Job(path, source, out=out, name=given[source])


def _candidates(path: Path, root: Path, keep_tree: bool) -> list[str]:
    """a/b/c.jpg: c, else a_b_c; with keep_tree a/b/c."""
    parts = (path.relative_to(root) if path != root else Path(path.name)).with_suffix("").parts
    return ["/".join(parts)] if keep_tree else [parts[-1], "_".join(parts)]


def _is_done(record: dict | None, there: set[str]) -> bool:
    """Nothing is left to do: no face was found, or every aligned picture is still there."""
    if record is None or record["status"] == "unreadable":
        return False
    return all(face["output"] in there for face in manifest.faces(record))


def _recorded(settings: Settings) -> dict:
    predictor = settings.predictor and Path(settings.predictor).name
    return asdict(settings) | {"predictor": predictor}


def _check_settings(records: Iterable[dict], settings: Settings, out: Path) -> None:
    wanted = _recorded(settings)
    for record in records:
        for key, value in record["settings"].items():
            if wanted[key] != value:
                raise ValueError(
                    f"{out} holds faces aligned with {key} = {value}, not "
                    f"{wanted[key]}: choose another folder, or delete it"
                )


def _align_all(jobs: list[Job], settings: Settings, workers: int) -> Iterator[dict]:
    """The records of all jobs, in their order, whatever the number of worker processes."""
    workers = min(workers, len(jobs))
    if workers <= 1:
        yield from (align_picture(settings, job) for job in jobs)
        return
    context = multiprocessing.get_context("spawn")  # forking a process with threads can deadlock
    pool = ProcessPoolExecutor(workers, context, initializer=_start_worker)
    try:
        futures = deque()
        for job in jobs:
            futures.append(pool.submit(align_picture, settings, job))
            if len(futures) >= WAITING_PER_WORKER * workers:
                yield futures.popleft().result()
        while futures:
            yield futures.popleft().result()
    except BrokenProcessPool:
        raise ValueError(
            "a worker process was ended from outside, perhaps for its memory: run "
            "again to go on, with fewer --workers"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def _start_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    cv2.setNumThreads(1)  # the processes share the cores already
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    multiprocessing.parent_process().join()
    os._exit(1)


def align_picture(settings: Settings, job: Job) -> dict:
    """Align the face, or faces, of one photograph, write them, and return its manifest record."""
    record = {"source": job.source, "name": job.name, "status": "unreadable"}
    try:
        image, size, notes = codecs.read_reduced(job.path, 3, WHOLE_PIXELS)
    except ValueError as error:
        reason = cli.one_line(error).removeprefix(f"{job.path}: ")
        return record | {"reason": reason, "settings": _recorded(settings)}
    record |= {"source_size": list(size)} | ({"notes": list(notes)} if notes else {})
    found = landmarks.find_faces(image, settings.predictor)
    placed = [place for face in found if (place := _place(face, settings, image=image, size=size))]
    if not placed:
        record |= {"status": "no face", "reason": "no face found"}
    elif len(found) > 1 and settings.skip_multi:
        record |= {"status": "several faces", "reason": f"{len(found)} faces, and --skipMulti"}
    else:
        faces = _write_faces(image, size, placed=placed, job=job, settings=settings)
        record |= {"status": "aligned", **faces[0]}
        if settings.all_faces:
            record["others"] = faces[1:]
    return record | {"settings": _recorded(settings)}


def _place(
    face: landmarks.Face, settings: Settings, image: np.ndarray, size: tuple[int, int]
) -> tuple[list[int], np.ndarray] | None:
    """Box and matrix of a face found in `image`, at the photograph's full size (W, H).

    None where the detector took for a face what has its landmarks on one line.
    """
    factors = size / np.array(image.shape[1::-1])
    try:
        matrix = geometry.matrix(
            face.landmarks,
            settings.landmarks,
            size=settings.size,
            scale=settings.scale,
            transform=settings.transform,
        )
    except ValueError:
        return None
    box = np.rint(np.reshape(face.box, (2, 2)) * factors).astype(int)
    return box.ravel().tolist(), geometry.for_photograph(matrix, factors)


def _write_faces(
    image: np.ndarray, size: tuple[int, int], placed: list, job: Job, settings: Settings
) -> list[dict]:
    """Write the largest of the faces, or all, and describe them."""
    written = []
    for number, (box, matrix) in enumerate(placed if settings.all_faces else placed[:1], 1):
        # Every name gets its number, or two photographs' could meet: a-face2 is a name, too.
        output = f"{job.name}-face{number}.png" if settings.all_faces else f"{job.name}.png"
        in_image = geometry.for_photograph(matrix, np.array(image.shape[1::-1]) / size)
        codecs.write(
            job.out / output,
            geometry.warp(image, in_image, size=settings.size, border=settings.border),
        )
        written.append({"box": box, "matrix": matrix.tolist(), "output": output})
    return written
