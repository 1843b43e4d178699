"""What complete.py writes: grids and logs of each batch, results, masks, animation, report."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path

import numpy as np

from align import geometry, manifest
from completion import Moment
from completion.animation import COLUMNS, Animation
from completion.case import Case
from pictures import codecs, files, grids, masks
from pictures.averages import block_means
from pictures.files import Names, real, replacing, same_name
from pictures.lines import Lines
from pictures.remote import move_all

LOG_LINES = 100  # of an image that wait to be written
KEY = ("source", "modified", "settings")
NAMED = ("name", "result", "input", "source")
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
    """The pictures of one batch while its search goes on, in a folder of Results.folders; what an
    earlier batch left there is removed.

    before.png  masked.png  lowres.png  hats_imgs/0000.png ...  completed/0000.png ...
    logs/hats_00.log ...  completion.gif
    """

    def __init__(self, folder: Path, cases: Sequence[Case], animation: Animation):
        self.folder, self.animation = folder, animation
        self._lines: list[list[str]] = []  # of each log, not yet written
        self._logs_mode = "w"  # once
        self._shown: int | None = None  # the step of the latest grid
        if (folder / "masked.png").exists():
            _remove_grids(folder)
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


def _remove_grids(folder: Path) -> None:
    """Those that a batch with fewer steps, or another mask, would not replace."""
    for place, pattern in (
        (folder / "hats_imgs", "[0-9]*.png"),
        (folder / "completed", "[0-9]*.png"),
        (folder / "logs", "hats_[0-9]*.log"),
        (folder, "lowres.png"),
    ):
        for path in place.glob(pattern):
            path.unlink()


@dataclass(frozen=True)
class Written:
    """What was made of one picture, and waits to be counted: its entry in the report, its files and
    their places in the output folder, the result last, and a sentence for people."""

    entry: dict
    files: dict[Path, Path]
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
    """Write one picture's results, best first, and its mask if it has one, under names for the time
    being, until Results.add puts them in their places. around: what of the picture to show where
    results stand side by side, default all."""
    kind = {"like": case.picture, "mask": case.mask}
    waiting = {}

    def put(place: str, pixels: np.ndarray, **kind) -> None:
        file = files.temporary(out_dir / "results" / Path(place).name)
        codecs.write(file, pixels, **kind)
        waiting[file] = Path(place)

    if case.mask is not None:
        put(f"masks/{name}.png", masks.to_file(case.mask))
    if len(results) > 1:
        for number, result in enumerate(results, start=1):
            put(f"alternatives/{name}/{number}.{suffix}", result, **kind)
        put(f"alternatives/{name}.png", _sheet(results, around))
    put(f"results/{name}.{suffix}", results[0], **kind)
    entry = {"name": name, "result": f"results/{name}.{suffix}", "input": str(case.path)}
    return Written(entry | key(out_dir, case.path, settings) | measured, waiting)


class Results:
    """results/NAME.png, masks/NAME.png, alternatives/NAME/ and report.json of an output folder.

    The report lists every completion whose result is there; with it a second run skips what is
    done, replaces what was made of the same file by other settings, and gives a new name to what
    would overwrite something else. While a run goes on, what it has done is in report.jsonl, a line
    for each picture, so that a kill loses nothing. Entries are read one by one: there may be
    millions.
    """

    def __init__(self, out_dir: Path, suffix: str):
        self.folder, self.suffix = files.path_of(out_dir), suffix
        self._report = self.folder / "report.json"
        self._journal = Lines(self.folder / "report.jsonl")
        self._done: set[bytes] = set()
        self._made: dict[str, tuple[str, str | None]] = {}  # of a source: name, folder of grids
        self._stale = not self._report.exists()  # what it says is not what is there
        for entry, _ in self._entries():
            self._done.add(_digest({name: entry.get(name) for name in KEY}))
            self._made[entry.get("source", entry["result"])] = entry["name"], entry.get("grids")

    def is_done(self, path: Path, settings: dict) -> bool:
        """Whether this file, as it is now, has been completed with these settings."""
        return bool(self._done) and _digest(key(self.folder, path, settings)) in self._done

    def names(self, paths: Iterable[Path]) -> dict[Path, str]:
        """A name for each input: the one it has, else one that nothing else has: its stem, else its
        folder's before it."""
        paths = list(paths)
        stems = Counter(same_name(path.stem).casefold() for path in paths)
        written = (self.folder / "results").glob(f"*.{self.suffix}")
        taken = [*(name for name, _ in self._made.values()), *(file.stem for file in written)]
        given = Names(taken, room=max(len(self.suffix), len("png")) + 1)
        names = {}
        for path in paths:
            if self._made and (earlier := self._made.get(manifest.source(real(path), self.folder))):
                names[path] = earlier[0]
                continue
            longer = f"{real(path).parent.name}_{path.stem}"
            alone = stems[same_name(path.stem).casefold()] == 1
            candidates = (path.stem, longer) if alone else (longer,)
            names[path] = given.give(*candidates, numbered="{}-{}")
        return names

    def folders(self, paths: Iterable[Path]) -> Iterator[Path]:
        """For the grids of each batch of these inputs: the output folder itself, then batch_0001,
        ...; not those that show other inputs as they were completed last."""
        again = {manifest.source(real(path), self.folder) for path in paths if self._made}
        shown = {grids for _, grids in self._made.values()}
        kept = {grids for made, (_, grids) in self._made.items() if made not in again}
        if "." in shown - kept or not (self.folder / "masked.png").exists():
            yield self.folder
        for number in count(1):
            if (name := f"batch_{number:04d}") not in kept:
                yield self.folder / name

    def add(self, *written: Written) -> list[Path]:
        """Count results: put them in their places, and their entries in the report."""
        again = [one for one in written if one.entry["source"] in self._made]
        # Killed before it is known to be replaced, a result counts as nothing that is done.
        first = [
            {name: one.entry[name] for name in NAMED} if one in again else one.entry
            for one in written
        ]
        self._add_lines(first)
        placed = [[(file, self.folder / to) for file, to in one.files.items()] for one in written]
        for _, to in chain(*placed):
            to.parent.mkdir(parents=True, exist_ok=True)
        move_all(pair for one in placed for pair in one[:-1])
        # The last: it makes the entries count.
        move_all(one[-1] for one in placed)
        for one in again:
            self._remove_alternatives(one)
        self._add_lines([one.entry for one in again])
        return [one[-1][1] for one in placed]

    def _add_lines(self, entries: Iterable[dict]) -> None:
        if lines := [json.dumps(entry).encode() + b"\n" for entry in entries]:
            self._journal.add(*lines)

    def _remove_alternatives(self, written: Written) -> None:
        """Those of an earlier completion that this one has not replaced."""
        folder = self.folder / "alternatives" / written.entry["name"]
        new = {self.folder / to for to in written.files.values()}
        for path in {*folder.glob("[0-9]*"), folder.with_name(f"{folder.name}.png")} - new:
            path.unlink(missing_ok=True)
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()

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
        """The entries whose results are there, the last of each, and their text as the report has
        it."""
        there = files.names_below(self.folder / "results")
        lines = {json.loads(line)["result"]: n for n, line in enumerate(self._journal)}
        for entry, text in _of_report(self._report):
            if entry["result"] not in lines and Path(entry["result"]).name in there:
                yield entry, text
            else:
                self._stale = True
        for number, line in enumerate(self._journal):
            entry = json.loads(line)
            if lines[entry["result"]] == number and Path(entry["result"]).name in there:
                yield entry, json.dumps(entry, indent=1).replace("\n", "\n ")


def key(out_dir: Path, path: Path, settings: dict) -> dict:
    """What of an entry says whether a picture is done: its file, seen from the output folder."""
    source = manifest.source(real(path), out_dir)
    return dict(zip(KEY, (source, modified(path), settings), strict=True))


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
