"""python -m data.download NAME DIR: fetch a known set of faces, verify it, unpack it into
DIR/NAME."""

import argparse
import shutil
import stat
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

import cli  # before packages, of which it says which is missing

# isort: split
import pooch
import requests
from tqdm import tqdm

from pictures.files import locked


@dataclass(frozen=True)
class Source:
    """Where a set comes from. checksum: "sha256:..." or "md5:..."; page: where people get it."""

    file: str
    address: str
    checksum: str
    terms: str
    page: str


_LFW_TERMS = (
    "Labeled Faces in the Wild: photographs of news agencies, published for research; "
    "no licence covers any other use."
)
SOURCES = {
    # The mirror that scikit-learn uses; the publisher's own site is gone.
    "lfw": Source(
        "lfw.tgz",
        "https://ndownloader.figshare.com/files/5976018",
        "sha256:055f7d9c632d7370e6fb4afc7468d40f970c34a80d4c6f50ffec63f5a8d536c0",
        _LFW_TERMS,
        page="https://ndownloader.figshare.com/files/5976018",
    ),
    "lfw-funneled": Source(
        "lfw-funneled.tgz",
        "https://ndownloader.figshare.com/files/5976015",
        "sha256:b47c8422c8cded889dc5a13418c4bc2abbda121092b3533a83306f90d900100a",
        _LFW_TERMS,
        page="https://ndownloader.figshare.com/files/5976015",
    ),
    "celeba": Source(
        "img_align_celeba.zip",
        "https://drive.usercontent.google.com/download"
        "?id=0B7EVK8r0v71pZjFTYXZWM3FlRnM&export=download&confirm=t",
        "md5:00d2c5bc6d35e252742224ab0c1e8fcb",
        "CelebA: for non-commercial research only, by its publishers' agreement.",
        page="https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html",
    ),
}


def download(name: str, folder: Path | str, retries: int = 3) -> Path:
    """Fetch the set `name` of SOURCES and unpack it into folder/name, which is returned.

    An archive that lies in `folder` already and has the right checksum is not fetched again; a set
    that is unpacked is left alone. Raises ValueError, one line that says what to do by hand, if the
    address is dead, sends a web page or a damaged file, the archive holds what it must not, or
    another process is writing into `folder`.
    """
    source, target = SOURCES[name], Path(folder) / name
    if not target.exists():
        with locked(folder):
            unpack(fetch(source, Path(folder), retries), target)
    return target


def fetch(source: Source, folder: Path, retries: int = 3) -> Path:
    """The verified archive, as folder/source.file. ValueError as in download."""
    pooch.get_logger().setLevel("ERROR")
    archives = pooch.create(
        folder,
        base_url="",
        registry={source.file: source.checksum},
        urls={source.file: source.address},
        retry_if_failed=retries,
    )
    try:
        return Path(archives.fetch(source.file, downloader=_download_archive))
    except requests.RequestException as error:
        why = f"the download failed ({type(error).__name__})"
    except ValueError:
        why = "wrong checksum, so a damaged file or another one"
    except _Refused as error:
        why = str(error)
    raise ValueError(
        f"{source.address}: {why}; by hand: get {source.file} from {source.page}, "
        f"put it into {folder}, and run this command again"
    )


class _Refused(Exception):
    """An answer that asking again would not change; pooch repeats only ValueError and faults of
    the connection."""


def _download_archive(address: str, output: str, archives: pooch.Pooch) -> None:
    """Download as pooch does, but tell an absent file and a web page from other faults."""
    try:
        pooch.HTTPDownloader(progressbar=True)(address, output, archives)
    except requests.HTTPError as error:
        status = error.response.status_code
        if status < 500:
            raise _Refused(f"the server says {status} {error.response.reason}") from None
        raise
    with open(output, "rb") as file:
        start = file.read(512).lstrip().lower()
    if start.startswith((b"<!doctype html", b"<html")):
        raise _Refused("the server sent a web page instead of the archive")


def unpack(archive: Path, target: Path) -> None:
    """Unpack a .tgz or .zip into the folder `target`, which exists only once it is whole.

    A single folder at the top of the archive becomes `target` itself. Raises ValueError, one line,
    for a damaged archive and for one with links, devices or a path that leads outside.
    """
    staging = target.with_name(f".{target.name}.unpacking")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    try:
        with _members(archive) as members:
            for name, content in tqdm(members, f"unpacking {archive.name}", unit=" files", delay=1):
                _write(staging / _inside(archive, name), content)
        entries = list(staging.iterdir())
        root = entries[0] if len(entries) == 1 and entries[0].is_dir() else staging
        root.rename(target)
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise ValueError(f"{archive}: damaged archive ({cli.one_line(error)})") from None
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _write(path: Path, content: IO[bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as file, content:
        shutil.copyfileobj(content, file)


def _inside(archive: Path, name: str) -> str:
    """The name of a member, if it stays in the folder it is unpacked into."""
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or ":" in name:
        raise ValueError(f"{archive}: refused, {name!r} leads outside the folder")
    return str(path)


@contextmanager
def _members(archive: Path) -> Iterator[Iterator[tuple[str, IO[bytes]]]]:
    """Name and content of each file of an archive. Writing the files ourselves, rather than letting
    the archive do it, leaves no room for links, owners or modes."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as content:
            yield _zip_members(archive, content)
    else:
        with tarfile.open(archive) as content:
            yield _tar_members(archive, content)


def _tar_members(archive: Path, content: tarfile.TarFile) -> Iterator[tuple[str, IO[bytes]]]:
    for member in content:
        if member.isfile():
            yield member.name, content.extractfile(member)
        elif not member.isdir():
            raise ValueError(f"{archive}: refused, {member.name!r} is a link or a device")


def _zip_members(archive: Path, content: zipfile.ZipFile) -> Iterator[tuple[str, IO[bytes]]]:
    for member in content.infolist():
        mode = member.external_attr >> 16
        if stat.S_ISLNK(mode):
            raise ValueError(f"{archive}: refused, {member.filename!r} is a link or a device")
        if not member.is_dir():
            yield member.filename, content.open(member)


def parser() -> argparse.ArgumentParser:
    parser = cli.Parser(
        prog="python -m data.download",
        description="Fetch a known set of faces, verify it and unpack it into DIR/NAME.",
        epilog=" ".join(dict.fromkeys(source.terms for source in SOURCES.values())),
    )
    parser.add_argument("name", metavar="NAME", choices=SOURCES, help=" | ".join(SOURCES))
    parser.add_argument("folder", metavar="DIR", type=Path, help="where the set goes")
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    options = parser().parse_args(arguments)
    print(SOURCES[options.name].terms, file=sys.stderr)
    print(download(options.name, options.folder))


if __name__ == "__main__":
    cli.run(main)
