"""A file that grows by lines, on a disk or in an object store, which cannot add to files."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from pictures.files import replacing
from pictures.remote import Remote

PART = 100  # lines of one object


class Lines:
    """Lines of bytes, each with its end, that are added one after the other: one that is added is
    neither lost nor torn, whenever the process is killed.

    On a disk a line is one unbuffered write. In a store they lie in objects of up to PART lines
    beside the file, FILE-parts/000001 and on, of which the last is put again with every line.
    """

    def __init__(self, path: Path | Remote):
        self.path = path
        self._folder = path.with_name(f"{path.name}-parts")
        self._part, self._lines = None, []  # the last object

    def __iter__(self) -> Iterator[bytes]:
        """All but a last line without its end, as a power cut leaves it."""
        for path in (self.path, *self._parts()):
            if path.exists():
                with path.open("rb") as lines:
                    yield from (line for line in lines if line.endswith(b"\n"))

    def exists(self) -> bool:
        return self.path.exists() or bool(self._parts())

    def add(self, *lines: bytes) -> None:
        if not isinstance(self.path, Remote):
            with self.path.open("ab", buffering=0) as file:
                file.write(b"".join(lines))
            return
        if self._part is None or len(self._lines) >= PART:
            last = max((int(part.name) for part in self._parts()), default=0)
            self._part, self._lines = self._folder / f"{last + 1:06d}", []
        self._lines += lines
        self._part.write_bytes(b"".join(self._lines))

    def replace(self, lines: Iterable[bytes]) -> None:
        """Other lines in place of all."""
        with replacing(self.path) as temporary, temporary.open("wb") as file:
            file.writelines(lines)
        self._forget()

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)
        self._forget()

    def _parts(self) -> list[Remote]:
        return sorted(self._folder.glob("[0-9]*")) if isinstance(self.path, Remote) else []

    def _forget(self) -> None:
        for part in self._parts():
            part.unlink()
        self._part = None
