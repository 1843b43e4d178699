"""What complete.py writes: grids and logs of each batch, results, masks, animation, report."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import numpy as np

from align import geometry
from completion import Moment
from completion.animation import COLUMNS, Animation
from completion.case import Case
from pictures import codecs, files, grids, masks
from pictures.averages import block_means
from pictures.files import Names, real, replacing, same_name
from pictures.lines import Lines
from pictures.remote import move_all

LOG_LINES = 100  # of an image that wait to be written
KEY = ("input", "modified", "settings")
READ_AT_ONCE, BETWEEN_ENTRIES = 2**16, ", \n\t\r"  # of a report
WRITTEN = (
    "results",
    "masks",
    "alternatives",
    "preview",
    "hats_imgs",
    "completed",
    "before.png",
    "masked.png",
    "lowres.png",
    "completion.gif",
    "animations",
)


def inputs(given: Sequence[Path], out_dir: Path, others: Sequence[Path] = ()) -> list[Path]:
    """The pictures that are given, or lie in folders that are: of those found in folders, all but
    what completions into out_dir have written and what is, or lies in, `others`. ValueError for a
    folder without any."""
    kept, out = {}, real(out_dir)
    for place in given:
        found = {real(path): path for path in files.find([place])}
        if place.is_dir():
            left_out = {real(other) for other in others}
            left_out = {file for file in left_out if real(place) in file.parents}
            within = is_output(real(place) / "any", out)
            found = {
                file: path
                for file, path in found.items()
                if (within or not is_output(file, out))
                and not (left_out and {file, *file.parents} & left_out)
            }
            if not found:
                raise ValueError(f"{place}: no pictures but masks and earlier results")
        for file, path in found.items():
            kept.setdefault(file, path)
    return list(kept.values())


def is_output(file: Path, out: Path) -> bool:
    """Whether a picture is one that completions into a folder have written; paths without links."""
    if not file.is_relative_to(out) or file == out:
        return False
    first = file.relative_to(out).parts[0]
    return first in WRITTEN or first.startswith("batch_")


class Batch:
    """The pictures of one batch while its search goes on, in a folder of free_folders.

    before.png  masked.png  lowres.png  hats_imgs/0000.png ...  completed/0000.png ...
    logs/hats_00.log ...  completion.gif
    """

    def __init__(self, folder: Path, cases: Sequence[Case], animation: Animation):
        self.folder, self.animation = folder, animation
        self._lines: list[list[str]] = []  # of each log, not yet written
        self._logs_mode = "w"  # once
        self._shown: int | None = None  # the step of the latest grid
        squares = np.stack([case.square for case in cases])
        known = np.stack([case.square_mask for case in cases])
        self._write("masked.png", codecs.to_bytes(np.where(known > 0, squares, -1)))
        self._means = None if cases[0].means is None else np.stack([case.means for case in cases])
        if self._means is not None:
            self._write("lowres.png", _blocks(self._means, squares.shape[1]))

    def before(self, squares: np.ndarray) -> None:
        """The whole pictures on the model's square, float32 (N, S, S, C) in [-1, 1]."""
        self._write("before.png", codecs.to_bytes(squares))

    def log(self, moment: Moment) -> None:
        """A line for each image, if there is a latent: iteration, loss, z."""
        if moment.latent is None:
            return
        if not self._lines:
            header = "iter loss " + " ".join(f"z{i}" for i in range(moment.latent.shape[1])) + "\n"
            self._lines = [[header] for _ in moment.latent]
        for lines, row, value in zip(self._lines, moment.latent, moment.loss, strict=True):
            lines.append(f"{moment.step} {value:.6f} " + " ".join(f"{x:.6f}" for x in row) + "\n")
        if len(self._lines[0]) > LOG_LINES:
            self._write_logs()

    def is_new(self, step: int) -> bool:
        """Whether there is no grid of this step."""
        return step != self._shown

    def show(self, step: int, generated: np.ndarray, completed: np.ndarray) -> None:
        """Grids of what the search has come to: G(z), float in [-1, 1], and completed squares,
        uint8, each (N, S, S, C); with the lowres mask also the block means of G(z)."""
        self._shown = step
        self._write_logs()
        self._write(f"hats_imgs/{step:04d}.png", codecs.to_bytes(generated))
        self._write(f"completed/{step:04d}.png", completed)
        if self._means is not None:
            block = generated.shape[1] // self._means.shape[1]
            means = np.stack([block_means(picture, block) for picture in generated])
            self._write(f"hats_imgs/{step:04d}.lowres.png", _blocks(means, generated.shape[1]))

    def close(self) -> None:
        """End the logs, and write the animation."""
        self._write_logs()
        self.animation.write(self.folder / "completion.gif")

    def _write_logs(self) -> None:
        (self.folder / "logs").mkdir(parents=True, exist_ok=True)
        for number, lines in enumerate(self._lines):
            log = self.folder / "logs" / f"hats_{number:02d}.log"
            with log.open(self._logs_mode) as file:
                file.writelines(lines)
            lines.clear()
        self._logs_mode = "a"

    def _write(self, name: str, squares: np.ndarray) -> None:
        codecs.write(self.folder / name, grids.grid(squares, min(COLUMNS, len(squares))))


def _blocks(means: np.ndarray, side: int) -> np.ndarray:
    """Block means (N, B, B, C) in [-1, 1] as uint8 (N, side, side, C)."""
    factor = side // means.shape[1]
    return codecs.to_bytes(means).repeat(factor, axis=1).repeat(factor, axis=2)


def free_folders(out_dir: Path) -> Iterator[Path]:
    """The folders of batches to come: the folder itself, unless it has one, then batch_0001, ..."""
    if not (out_dir / "masked.png").exists():
        yield out_dir
    for number in count(1):
        if not (folder := out_dir / f"batch_{number:04d}").exists():
            yield folder


@dataclass(frozen=True)
class Written:
    """What was made of one picture, and waits to be counted: its entry in the report, the file that
    becomes its result, and a sentence for people."""

    entry: dict
    file: Path
    figures: str = ""


def write(
    out_dir: Path,
    suffix: str,
    case: Case,
    name: str,
    results: Sequence[np.ndarray],
    settings: dict,
    measured: dict,
    around: geometry.Box | None = None,
) -> Written:
    """Write one picture's results, best first, and its mask if it has one; the result itself under
    a name for the time being, until Results.add counts it. around: what of the picture to show
    where results stand side by side, default all."""
    kind = {"like": case.picture, "mask": case.mask}
    if case.mask is not None:
        codecs.write(out_dir / "masks" / f"{name}.png", masks.to_file(case.mask))
    if len(results) > 1:
        folder = out_dir / "alternatives" / name
        for number, result in enumerate(results, start=1):
            codecs.write(folder / f"{number}.{suffix}", result, **kind)
        codecs.write(out_dir / "alternatives" / f"{name}.png", _sheet(results, around))
    path = Path("results", f"{name}.{suffix}")
    file = files.temporary(out_dir / path)
    codecs.write(file, results[0], **kind)
    entry = {"name": name, "result": str(path)}
    return Written(entry | key(case.path, settings) | measured, file)


class Results:
    """results/NAME.png, masks/NAME.png, alternatives/NAME/ and report.json of an output folder.

    The report lists every completion whose result is there; with it a second run skips what is
    done, and gives a new name to what would overwrite something else. While a run goes on, what it
    has done is in report.jsonl, a line for each picture, so that a kill loses nothing. Entries are
    read one by one: there may be millions.
    """

    def __init__(self, out_dir: Path, suffix: str):
        self.folder, self.suffix = files.path_of(out_dir), suffix
        self._report = self.folder / "report.json"
        self._journal = Lines(self.folder / "report.jsonl")
        self._done: set[bytes] = set()
        self._names: list[str] = []
        self._stale = not self._report.exists()  # what it says is not what is there
        for entry, _ in self._entries():
            self._done.add(_digest({name: entry.get(name) for name in KEY}))
            self._names.append(entry["name"])

    def is_done(self, path: Path, settings: dict) -> bool:
        """Whether this file, as it is now, has been completed with these settings."""
        return bool(self._done) and _digest(key(path, settings)) in self._done

    def names(self, paths: Iterable[Path]) -> dict[Path, str]:
        """A name for each input that nothing else has: its stem, else its folder's before it."""
        paths = list(paths)
        stems = Counter(same_name(path.stem).casefold() for path in paths)
        written = (self.folder / "results").glob(f"*.{self.suffix}")
        taken = [*self._names, *(file.stem for file in written)]
        given = Names(taken, room=max(len(self.suffix), len("png")) + 1)
        names = {}
        for path in paths:
            longer = f"{real(path).parent.name}_{path.stem}"
            alone = stems[same_name(path.stem).casefold()] == 1
            candidates = (path.stem, longer) if alone else (longer,)
            names[path] = given.give(*candidates, numbered="{}-{}")
        return names

    def add(self, *written: Written) -> list[Path]:
        """Count results: put them in their places, and their entries in the report."""
        self._journal.add(*(json.dumps(one.entry).encode() + b"\n" for one in written))
        paths = [self.folder / one.entry["result"] for one in written]
        # The last: it makes the entries count.
        move_all(zip([one.file for one in written], paths, strict=True))
        return paths

    @contextmanager
    def reporting(self) -> Iterator[None]:
        """While pictures are completed; makes report.json of what is done before and after."""
        self._save_report()
        try:
            yield
        finally:
            self._save_report()

    def _save_report(self) -> None:
        """Make the report of what is there, and remove what was never counted."""
        files.remove_leftovers(self.folder / "results")
        if not (self._stale or self._journal.exists()):
            return
        with replacing(self._report) as temporary, temporary.open("w") as file:
            end = "[]"
            for number, (_, text) in enumerate(self._entries()):
                file.write(f"{',' if number else '['}\n {text}")
                end = "\n]"
            file.write(f"{end}\n")
        self._journal.remove()
        self._stale = False

    def _entries(self) -> Iterator[tuple[dict, str]]:
        """The entries whose results are there, each once, and their text as the report has it."""
        listed, there = set(), files.names_below(self.folder / "results")
        for entry, text in _of_report(self._report):
            if Path(entry["result"]).name in there:
                listed.add(entry["result"])
                yield entry, text
            else:
                self._stale = True
        for entry in map(json.loads, self._journal):
            if entry["result"] not in listed and Path(entry["result"]).name in there:
                yield entry, json.dumps(entry, indent=1).replace("\n", "\n ")


def key(path: Path, settings: dict) -> dict:
    """What of an entry says whether a picture is done."""
    return dict(zip(KEY, (str(path), modified(path), settings), strict=True))


def _digest(given: dict) -> bytes:
    return hashlib.sha256(json.dumps(given, sort_keys=True).encode()).digest()


def modified(path: Path) -> float | None:
    """When a file was last changed, in seconds; None where there is none."""
    return path.stat().st_mtime if path.exists() else None


def _of_report(path: Path) -> Iterator[tuple[dict, str]]:
    """The entries of a report.json, and the text of each. Raises ValueError for any other file."""
    if not path.exists():
        return
    decoder = json.JSONDecoder()
    try:
        with path.open() as file:
            text = file.read(READ_AT_ONCE).lstrip()
            if not text.startswith("["):
                raise ValueError
            text = text[1:]
            while not (text := text.lstrip(BETWEEN_ENTRIES)).startswith("]"):
                try:
                    entry, end = decoder.raw_decode(text)
                except ValueError:
                    if not (more := file.read(READ_AT_ONCE)):
                        raise
                    text += more
                    continue
                if not all(isinstance(entry[key], str) for key in ("name", "input", "result")):
                    raise ValueError
                yield entry, text[:end]
                text = text[end:]
    except (ValueError, LookupError, TypeError):
        raise ValueError(
            f"{path}: not a report of this program; move it away, or use another folder"
        ) from None


def _sheet(
    results: Sequence[np.ndarray], around: geometry.Box | None, side: int = 256
) -> np.ndarray:
    """What a box holds of results, side by side, each at most `side` pixels high and wide; a part
    of a picture is enlarged to that."""
    whole = results[0].shape
    if around:
        results = [geometry.cut(result, around) for result in results]
    height, width = results[0].shape[:2]
    factor = side / max(height, width)
    if results[0].shape == whole:
        factor = min(1, factor)
    size = max(1, round(height * factor)), max(1, round(width * factor))
    return grids.grid(np.stack([codecs.resize(result, *size) for result in results]), len(results))
