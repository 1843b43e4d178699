"""Shards: TFRecord files of decoded pictures, with an index that makes them random access.

A prepared folder holds manifest.json and, per shard, two files:

    shard-00003-of-00012.tfrecord   a record per picture, its payload the bytes of uint8 (S, S, C):
                                    tf.io.decode_raw(record, tf.uint8) reads it anywhere
    shard-00003-of-00012.json       names and labels of the pictures, skipped files, checksums

Payloads are bare bytes rather than tf.train.Example, so that all records have one length and
picture i lies at i * length: any order of any pictures costs one read each, and no shuffle buffer.

Who checks what: opening a folder checks that every shard is there and has its length, which takes
no time. Every record read is checked by its CRC, so that no damaged byte reaches the training. The
SHA-256 of whole shards would take minutes for a large set at every start; data.prepare checks it,
when it is run again, and makes anew what differs.
"""

import hashlib
import json
import re
import zlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from pictures.files import replacing

MANIFEST = "manifest.json"
FORMAT = 1
# A file of a prepared folder, also under its temporary name (files.replacing).
OUR_FILE = re.compile(r"\.?(manifest|shard-\d{5}-of-\d{5})(\.[0-9a-f]{8})?\.(tfrecord|json)")
# A record is the payload's length (8 bytes), the length's CRC (4), the payload, its CRC (4).
_HEADER_BYTES, _FOOTER_BYTES = 12, 4
_REPAIR = "run data.prepare again with the same arguments to make it anew"


def record_bytes(image_size: int, channels: int) -> int:
    return _HEADER_BYTES + image_size * image_size * channels + _FOOTER_BYTES


def shard_path(folder: Path, number: int, total: int) -> Path:
    return folder / f"shard-{number:05d}-of-{total:05d}.tfrecord"


def index_path(shard: Path) -> Path:
    return shard.with_suffix(".json")


def write_shard(path: Path, pictures: Iterable[np.ndarray], length: int) -> dict:
    """Write uint8 pictures of one shape to path, under a temporary name until it is whole.

    length: bytes per record. Returns count, bytes, sha256 of the file, and crc32, eight hexadecimal
    digits per record.
    """
    import tensorflow as tf  # takes seconds, and reading does without

    with replacing(path) as temporary:
        try:
            with tf.io.TFRecordWriter(str(temporary)) as writer:
                for picture in pictures:
                    writer.write(picture.tobytes())
        except tf.errors.OpError as error:
            raise OSError(f"{path}: cannot be written ({error.message})") from None
        digest, checksums = hashlib.sha256(), []
        with open(temporary, "rb") as file:
            while record := file.read(length):
                digest.update(record)
                checksums.append(zlib.crc32(record))
    packed = np.array(checksums, ">u4").tobytes().hex()
    count = len(checksums)
    return dict(count=count, bytes=count * length, sha256=digest.hexdigest(), crc32=packed)


def sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_json(path: Path, content: dict) -> None:
    with replacing(path) as temporary:
        # A name that is no text, as of old archives, is written with JSON's own escapes.
        text = json.dumps(content, indent=1, ensure_ascii=False)
        temporary.write_bytes(text.encode(errors="backslashreplace"))


def read_json(path: Path) -> dict:
    """The object in a JSON file; ValueError, one line, if it is missing or not whole."""
    try:
        content = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise ValueError(f"{path}: missing; {_REPAIR}") from None
    except ValueError as error:
        raise ValueError(f"{path}: damaged ({error}); {_REPAIR}") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path}: not written by data.prepare")
    return content


def is_prepared(folder: Path | str) -> bool:
    """Whether the folder holds shards. ValueError if it holds some, but was never finished."""
    folder = Path(folder)
    if (folder / MANIFEST).is_file():
        return True
    if folder.is_dir() and any(folder.glob("shard-*-of-*.tfrecord")):
        raise ValueError(f"{folder}: unfinished, no {MANIFEST}; run data.prepare again")
    return False


class Shards:
    """A prepared folder: count pictures in the order of their names, read by number.

    Raises ValueError, one line that names the file, if a shard is missing, has a wrong length or,
    when it is read, a damaged record. Memory: 4 bytes per picture; nothing read is kept.
    """

    def __init__(self, folder: Path | str):
        self.folder = Path(folder)
        self.manifest = read_json(self.folder / MANIFEST)
        if self.manifest.get("format") != FORMAT:
            found = self.manifest.get("format")
            raise ValueError(f"{self.folder / MANIFEST}: format {found!r}, expected {FORMAT}")
        self.shape = (*[self.manifest["image_size"]] * 2, self.manifest["channels"])  # (S, S, C)
        self.length = record_bytes(self.manifest["image_size"], self.manifest["channels"])
        self.files = [self.folder / shard["file"] for shard in self.manifest["shards"]]
        self.ends = np.cumsum([shard["count"] for shard in self.manifest["shards"]])
        self.count = int(self.ends[-1])
        self.checksums = [self._checksums(i) for i in range(len(self.files))]

    def _checksums(self, number: int) -> np.ndarray:
        """CRCs of a shard's records, after a look at its length."""
        file, expected = self.files[number], self.manifest["shards"][number]
        if not file.is_file():
            raise ValueError(f"{file}: missing shard; {_REPAIR}")
        if file.stat().st_size != expected["bytes"]:
            raise ValueError(
                f"{file}: {file.stat().st_size} bytes instead of {expected['bytes']}; {_REPAIR}"
            )
        index = read_json(index_path(file))
        if index.get("sha256") != expected["sha256"]:
            raise ValueError(f"{index_path(file)}: belongs to another {file.name}; {_REPAIR}")
        return np.frombuffer(bytes.fromhex(index["crc32"]), ">u4")

    def names(self) -> list[str]:
        """The paths of the pictures in the folder that was prepared, in order."""
        return [name for file in self.files for name in read_json(index_path(file))["names"]]

    def must_hold(self, image_size: int, channels: int, crop: int | None) -> None:
        """ValueError if they were prepared in another way; crop None takes them as they are."""
        prepared = self.manifest
        for flag, wanted, held in (
            ("--image-size", image_size, prepared["image_size"]),
            ("--channels", channels, prepared["channels"]),
            ("--crop", crop, prepared["crop"]),
        ):
            if wanted != held and not (flag == "--crop" and wanted is None):
                raise ValueError(f"{self.folder}: prepared with {held}, not with {flag} {wanted}")

    def read(self, indices: np.ndarray) -> np.ndarray:
        """Pictures by number, integers (N,), as uint8 (N, S, S, C)."""
        pictures = np.empty((len(indices), *self.shape), np.uint8)
        shards = np.searchsorted(self.ends, indices, side="right")
        # A shard is opened once per batch: no descriptors are held, however many shards there are.
        for shard in np.unique(shards):
            with open(self.files[shard], "rb", buffering=0) as file:
                start = self.ends[shard] - len(self.checksums[shard])
                for position in np.flatnonzero(shards == shard):
                    pictures[position] = self._picture(file, shard, indices[position] - start)
        return pictures

    def _picture(self, file, shard: int, number: int) -> np.ndarray:
        file.seek(int(number) * self.length)
        record = file.read(self.length)
        if zlib.crc32(record) != self.checksums[shard][number]:
            raise ValueError(
                f"{self.files[shard]}: record {number} is damaged (wrong checksum); {_REPAIR}"
            )
        payload = record[_HEADER_BYTES:-_FOOTER_BYTES]
        return np.frombuffer(payload, np.uint8).reshape(self.shape)
