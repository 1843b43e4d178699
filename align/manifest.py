"""The record of an alignment: OUT/manifest.jsonl, a line per input.

source       the photograph, relative to OUT
name         OUT/name.png is its aligned face; no other input has the name
status       one of STATUSES
source_size  [width, height] in pixels, upright
box          [left, top, right, bottom] of the face in the photograph
matrix       2x3, from the photograph to the aligned face, as in align.geometry
output       the aligned face, relative to OUT
others       with --all-faces: box, matrix and output of every further face
reason       why, where nothing was aligned
notes        what else was done to the picture, if anything: colours converted, a first frame taken
settings     what the face was aligned with
"""

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pictures import files

FILE = "manifest.jsonl"
STATUSES = ("aligned", "no face", "several faces", "unreadable")


def faces(record: dict) -> list[dict]:
    """The aligned faces of a manifest record, each with box, matrix and output."""
    return [record, *record.get("others", ())] if record["status"] == "aligned" else []


def read(folder: Path | str) -> list[dict]:
    """The records of folder/manifest.jsonl, none if there is no such file.

    A last line without its end, as a power cut leaves it, is dropped. Raises ValueError for any
    other line that is not a record.
    """
    path = Path(folder, FILE)
    lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
    if lines and not lines[-1].endswith(b"\n"):
        lines.pop()
    return [_record(line, f"{path}:{number}") for number, line in enumerate(lines, 1)]


def _record(line: bytes, place: str) -> dict:
    try:
        record = json.loads(line.decode(errors="surrogateescape"))
        if record["status"] in STATUSES and record["source"] and record["name"] is not None:
            return record
    except (ValueError, KeyError, TypeError):
        pass
    raise ValueError(f"{place}: not a record of align-dlib.py; delete the manifest to start afresh")


def write(folder: Path, records: Iterable[dict]) -> None:
    with files.replacing(folder / FILE) as temporary:
        temporary.write_bytes(b"".join(map(_line, records)))


def _line(record: dict) -> bytes:
    return json.dumps(record, ensure_ascii=False).encode(errors="backslashreplace") + b"\n"


@contextmanager
def appending(folder: Path) -> Iterator[Callable[[dict], None]]:
    """A function that adds a record: one unbuffered write, which no interruption tears."""
    with open(folder / FILE, "ab", buffering=0) as file:
        yield lambda record: file.write(_line(record))


def sort(out: Path, sources: list[str]) -> None:
    """Bring the records into the order of the inputs, as if one run had written them all."""
    place = {source: number for number, source in enumerate(sources)}
    records = read(out)
    write(out, sorted(records, key=lambda record: place.get(record["source"], len(place))))
