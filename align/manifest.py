"""The record of an alignment: OUT/manifest.jsonl, a line per input.

source       the photograph, relative to OUT; if one of them is a URL, absolute
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
import os
from collections.abc import Callable, Iterable
from pathlib import Path

from pictures import files
from pictures.lines import Lines
from pictures.remote import Remote

FILE = files.MANIFEST
STATUSES = ("aligned", "no face", "several faces", "unreadable")


def faces(record: dict) -> list[dict]:
    """The aligned faces of a manifest record, each with box, matrix and output."""
    return [record, *record.get("others", ())] if record["status"] == "aligned" else []


def source(photograph: Path, out: Path) -> str:
    """What a manifest in `out` calls a photograph."""
    if isinstance(photograph, Remote) or isinstance(out, Remote):
        return str(photograph if isinstance(photograph, Remote) else photograph.absolute())
    return os.path.relpath(photograph.absolute(), files.real(out))


def photograph(source: str, out: Path) -> Path:
    """The file that a manifest in `out` calls so."""
    named = files.path_of(source)
    return named if isinstance(named, Remote) or named.is_absolute() else out / named


def read(folder: Path | str) -> list[dict]:
    """The records of folder/manifest.jsonl, none if there is no such file.

    A last line without its end, as a power cut leaves it, is dropped. Raises ValueError for any
    other line that is not a record.
    """
    path = files.path_of(folder) / FILE
    return [_record(line, f"{path}:{number}") for number, line in enumerate(Lines(path), 1)]


def _record(line: bytes, place: str) -> dict:
    try:
        record = json.loads(line.decode(errors="surrogateescape"))
        if record["status"] in STATUSES and record["source"] and record["name"] is not None:
            return record
    except (ValueError, KeyError, TypeError):
        pass
    raise ValueError(f"{place}: not a record of align-dlib.py; delete the manifest to start afresh")


def write(folder: Path, records: Iterable[dict]) -> None:
    Lines(folder / FILE).replace(map(_line, records))


def _line(record: dict) -> bytes:
    return json.dumps(record, ensure_ascii=False).encode(errors="backslashreplace") + b"\n"


def appending(folder: Path) -> Callable[[dict], None]:
    """A function that adds a record."""
    lines = Lines(folder / FILE)
    return lambda record: lines.add(_line(record))


def sort(out: Path, sources: list[str]) -> None:
    """Bring the records into the order of the inputs, as if one run had written them all."""
    place = {source: number for number, source in enumerate(sources)}
    records = {record["source"]: record for record in read(out)}.values()
    write(out, sorted(records, key=lambda record: place.get(record["source"], len(place))))
