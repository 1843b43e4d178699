"""Aligning a folder of photographs, and pasting completed faces back: what align-dlib.py calls.

OUT/manifest.jsonl holds a line per input:
    source       the photograph, relative to OUT
    status       one of STATUSES
    source_size  [width, height] in pixels, upright
    box          [left, top, right, bottom] of the face in the photograph
    matrix       2x3, from the photograph to the aligned face
    output       the aligned face, relative to OUT
    others       with --all-faces: box, matrix and output of every further face
    reason       why, where nothing was aligned
    settings     what the face was aligned with
"""

import json
import multiprocessing
import os
import signal
import threading
import warnings
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import ExifTags, Image

import cli
import images
from align import geometry, landmarks

MANIFEST = "manifest.jsonl"
STATUSES = ("aligned", "no face", "several faces", "unreadable")
WHOLE_PIXELS = 27_000_000  # a photograph of more is read at a part of its size
WAITING_PER_WORKER = 16  # pictures handed out ahead, so that a slow one stops nobody


@dataclass(frozen=True)
class Settings:
    """How faces are aligned; every value is recorded in the manifest and must stay the same in a folder.

    landmarks: one of geometry.ANCHORS; size: pixels; predictor: dlib's file, or None for the installed.
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


def align(source: Path | str, out: Path | str, settings: Settings, keep_tree: bool = False,
          workers: int | None = None) -> Iterator[tuple[dict, bool]]:
    """Align the photographs of a folder, or one, into `out`; yield each manifest record as it is done.

    Yields (record, whether it was done by an earlier run), in the order of the inputs, the earlier ones
    first. Stopped at any moment it can be run again, and goes on. Raises ValueError for a missing input, an
    unknown option, or an `out` that holds faces aligned with other settings.
    """
    out = Path(out)
    landmarks.predictor_path(settings.predictor)
    geometry.anchor_positions(settings.landmarks, settings.size, settings.scale)
    inputs = find_inputs(Path(source), out)
    out.mkdir(parents=True, exist_ok=True)
    earlier = {record["source"]: record for record in read_manifest(out)}
    _check_settings(earlier.values(), settings, out)
    jobs = list(_jobs(inputs, Path(source), out, keep_tree, earlier))
    done = [job for job in jobs if _is_done(earlier.get(job.source), out)]
    for job in done:
        yield earlier[job.source], True
    # What is redone leaves the manifest first: a line and its picture are never of two runs.
    finished = set(done)
    todo = [job for job in jobs if job not in finished]
    for job in todo:
        earlier.pop(job.source, None)
    write_manifest(out, earlier.values())
    with open(out / MANIFEST, "ab", buffering=0) as manifest:
        for record in _align_all(todo, settings, workers or default_workers()):
            manifest.write(_line(record))  # one write per line: no interruption tears it
            earlier[record["source"]] = record
            yield record, False
    order = [job.source for job in jobs]
    rest = [name for name in earlier if name not in set(order)]
    write_manifest(out, (earlier[name] for name in order + rest))


def default_workers() -> int:
    """The processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def find_inputs(source: Path, out: Path) -> list[Path]:
    """The pictures of `source`, except those in `out`, where that lies inside."""
    inside = out.resolve()
    found = [path for path in images.find([source]) if inside not in path.resolve().parents]
    if not found:
        raise ValueError(f"{source}: no pictures besides those aligned before, in {out}")
    return found


def _jobs(inputs: list[Path], root: Path, out: Path, keep_tree: bool,
          earlier: dict[str, dict]) -> Iterator[Job]:
    """Give every input a name that no other has, whatever the case; an earlier run's names stay."""
    sources = [os.path.relpath(path.resolve(), out.resolve()) for path in inputs]
    names = {key: record["name"] for key, record in earlier.items()}
    taken = {name.casefold() for name in names.values()}
    for path, source in zip(inputs, sources, strict=True):
        if source not in names:
            candidates = _candidates(path, root, keep_tree)
            names[source] = next(name for name in candidates if name.casefold() not in taken)
            taken.add(names[source].casefold())
        yield Job(path, source, out, names[source])


def _candidates(path: Path, root: Path, keep_tree: bool) -> Iterator[str]:
    """a/b/c.jpg: c, then a_b_c, then a_b_c_2, ...; with keep_tree a/b/c, then a/b/c_2, ..."""
    parts = (path.relative_to(root) if path != root else Path(path.name)).with_suffix("").parts
    if not keep_tree:
        yield parts[-1]
    whole = ("/" if keep_tree else "_").join(parts)
    yield whole
    number = 2
    while True:
        yield f"{whole}_{number}"
        number += 1


def _is_done(record: dict | None, out: Path) -> bool:
    """Nothing is left to do: no face was found, or every aligned picture is still there."""
    if record is None or record["status"] == "unreadable":
        return False
    return all((out / face["output"]).is_file() for face in faces_of(record))


def faces_of(record: dict) -> list[dict]:
    """The aligned faces of a manifest record, each with box, matrix and output."""
    return [record, *record.get("others", ())] if record["status"] == "aligned" else []


def _recorded(settings: Settings) -> dict:
    predictor = settings.predictor and Path(settings.predictor).name
    return asdict(settings) | {"predictor": predictor}


def _check_settings(records: Iterable[dict], settings: Settings, out: Path) -> None:
    wanted = _recorded(settings)
    for record in records:
        for key, value in record["settings"].items():
            if wanted[key] != value:
                raise ValueError(f"{out} holds faces aligned with {key} = {value}, not "
                                 f"{wanted[key]}: choose another folder, or delete it")


def read_manifest(folder: Path | str) -> list[dict]:
    """The records of folder/manifest.jsonl, none if there is no such file.

    A last line without its end, as a power cut leaves it, is dropped. Raises ValueError for any other
    line that is not a record.
    """
    path = Path(folder, MANIFEST)
    lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
    if lines and not lines[-1].endswith(b"\n"):
        lines.pop()
    return [_record(line, f"{path}:{number}") for number, line in enumerate(lines, 1)]


def _record(line: bytes, place: str) -> dict:
    try:
        record = json.loads(line)
        if record["status"] in STATUSES and record["source"] and record["name"] is not None:
            return record
    except (ValueError, KeyError, TypeError):
        pass
    raise ValueError(f"{place}: not a record of align-dlib.py; delete the manifest to start afresh")


def write_manifest(folder: Path, records: Iterable[dict]) -> None:
    with cli.replacing(folder / MANIFEST) as temporary:
        temporary.write_bytes(b"".join(map(_line, records)))


def _line(record: dict) -> bytes:
    return json.dumps(record, ensure_ascii=False).encode(errors="surrogateescape") + b"\n"


def _align_all(jobs: list[Job], settings: Settings, workers: int) -> Iterator[dict]:
    """The records of all jobs, in their order, whatever the number of worker processes."""
    workers = min(workers, len(jobs))
    if workers <= 1:
        yield from (align_picture(job, settings) for job in jobs)
        return
    context = multiprocessing.get_context("spawn")  # forking a process with threads can deadlock
    pool = ProcessPoolExecutor(workers, context, initializer=_start_worker)
    try:
        yield from _in_order(pool, jobs, settings, WAITING_PER_WORKER * workers)
    except BrokenProcessPool:
        raise ValueError("a worker process was ended from outside, perhaps for its memory: run "
                         "again to go on, with fewer --workers") from None
    finally:
        pool.shutdown(cancel_futures=True)


def _in_order(pool: ProcessPoolExecutor, jobs: list[Job], settings: Settings,
              waiting: int) -> Iterator[dict]:
    futures = deque()
    for job in jobs:
        futures.append(pool.submit(align_picture, job, settings))
        if len(futures) >= waiting:
            yield futures.popleft().result()
    while futures:
        yield futures.popleft().result()


def _start_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    cv2.setNumThreads(1)  # the processes share the cores already
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    multiprocessing.parent_process().join()
    os._exit(1)


def align_picture(job: Job, settings: Settings) -> dict:
    """Align the face, or faces, of one photograph, write them, and return its manifest record."""
    record = {"source": job.source, "name": job.name, "status": "unreadable"}
    try:
        image, size = read_reduced(job.path)
    except ValueError as error:
        return record | {"reason": cli.one_line(error), "settings": _recorded(settings)}
    record |= {"source_size": list(size)}
    found = landmarks.find_faces(image, settings.predictor)
    if not found:
        record |= {"status": "no face", "reason": "no face found"}
    elif len(found) > 1 and settings.skip_multi:
        record |= {"status": "several faces", "reason": f"{len(found)} faces, and --skipMulti"}
    else:
        faces = [_align_face(image, size, face, job, settings, number)
                 for number, face in enumerate(found if settings.all_faces else found[:1], 1)]
        record |= {"status": "aligned", **faces[0]}
        if settings.all_faces:
            record["others"] = faces[1:]
    return record | {"settings": _recorded(settings)}


def _align_face(image: np.ndarray, size: tuple[int, int], face: landmarks.Face, job: Job,
                settings: Settings, number: int) -> dict:
    """Write an aligned face of `image`, a photograph read at whatever size; describe it at full size."""
    matrix = geometry.matrix(face.landmarks, settings.landmarks, settings.size, settings.scale,
                             settings.transform)
    pixels = geometry.warp(image, matrix, settings.size, settings.border)
    # Every name gets its number, or two photographs' names could meet: a-face1 is a name, too.
    output = f"{job.name}-face{number}.png" if settings.all_faces else f"{job.name}.png"
    images.write(job.out / output, pixels)
    factors = np.array(image.shape[1::-1]) / size
    box = np.rint(np.array(face.box).reshape(2, 2) / factors).astype(int).ravel()
    return {"box": box.tolist(), "matrix": geometry.for_photograph(matrix, 1 / factors).tolist(),
            "output": output}


def read_reduced(path: Path | str) -> tuple[np.ndarray, tuple[int, int]]:
    """A photograph as uint8 (H, W, 3), upright, and its full (width, height).

    One of more than WHOLE_PIXELS is read at 1/2, 1/4 or 1/8 of its size, which bounds the memory; alpha is
    ignored then. Raises ValueError if it cannot be read.
    """
    full = _size(path)
    divisor = next((d for d in (1, 2, 4) if full[0] * full[1] <= d * d * WHOLE_PIXELS), 8)
    if divisor == 1:
        return images.read(path), full
    image = cv2.imread(str(path), getattr(cv2, f"IMREAD_REDUCED_COLOR_{divisor}"))
    if image is None:
        raise ValueError(f"{path}: not a readable picture (damaged)")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB), full


def _size(path: Path | str) -> tuple[int, int]:
    """(width, height) of a picture file once it is upright; (0, 0) if it is none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                turned = image.getexif().get(ExifTags.Base.Orientation, 1) >= 5
                return image.size[::-1] if turned else image.size
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return 0, 0  # images.read tells why
