"""Files as people have them, made by hand where no library writes them so."""

import io
import struct
import zlib

import numpy as np
from PIL import Image

from pictures.metadata import PNG_HEADER

TURNED = (0x112, 3, 1, struct.pack("<H", 6))


def encoded(pixels, form="PNG", **options) -> bytes:
    data = io.BytesIO()
    image = Image.fromarray(pixels) if isinstance(pixels, np.ndarray) else pixels
    image.save(data, form, **options)
    return data.getvalue()


def chunk(name: bytes, content: bytes) -> bytes:
    check = struct.pack(">I", zlib.crc32(name + content))
    return struct.pack(">I", len(content)) + name + content + check


def png(pixels: np.ndarray, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG of uint8 or uint16 (H, W, 1 to 4), with chunks before its pixels."""
    height, width, channels = pixels.shape
    depth, kind = 8 * pixels.itemsize, {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    rows = b"".join(b"\0" + row.tobytes() for row in pixels.astype(f">u{pixels.itemsize}"))
    parts = [(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)), *chunks]
    parts += [(b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return PNG_HEADER + b"".join(chunk(*part) for part in parts)


def exif(*entries: tuple, thumbnail: bytes = b"") -> bytes:
    """EXIF of (tag, type, count, value) in one table, and a thumbnail in a second one."""
    entries = sorted(entries)
    follows = 8 + 2 + 12 * len(entries)
    table, data, start = struct.pack("<H", len(entries)), b"", follows + 4
    for tag, kind, count, value in entries:
        table += struct.pack("<HHI", tag, kind, count)
        if len(value) <= 4:
            table += value.ljust(4, b"\0")
        else:
            table += struct.pack("<I", start + len(data))
            data += value + b"\0" * (len(value) % 2)
    second = start + len(data) if thumbnail else 0
    tiff = b"II*\0" + struct.pack("<I", 8) + table + struct.pack("<I", second) + data
    if thumbnail:
        place = len(tiff) + 2 + 24 + 4
        tiff += struct.pack("<HHHIIHHII", 2, 0x201, 4, 1, place, 0x202, 4, 1, len(thumbnail))[:26]
        tiff += struct.pack("<I", 0) + thumbnail
    return b"Exif\0\0" + tiff


def with_exif(jpeg: bytes, payload: bytes) -> bytes:
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(payload) + 2) + payload + jpeg[2:]


def icc(gamma: float = 1.8, kind: bytes = b"RGB ") -> bytes:
    """A profile of far wider colours than sRGB's (ProPhoto), or of grey, ICC version 2."""

    def fixed(*numbers: float) -> bytes:
        return b"".join(struct.pack(">i", round(number * 65536)) for number in numbers)

    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256)) + b"\0\0"
    desc = b"desc\0\0\0\0" + struct.pack(">I", 5) + b"made\0" + b"\0" * 78 + b"\0"
    tags = {b"desc": desc.ljust(92, b"\0"), b"cprt": b"text\0\0\0\0made\0\0\0\0"}
    tags[b"wtpt"] = b"XYZ \0\0\0\0" + fixed(0.9642, 1, 0.8249)
    if kind == b"GRAY":
        tags[b"kTRC"] = curve
    else:
        for name, column in zip(
            (b"rXYZ", b"gXYZ", b"bXYZ"),
            ((0.79767, 0.28804, 0), (0.13519, 0.71188, 0), (0.03134, 0.00009, 0.82491)),
            strict=True,
        ):
            tags[name] = b"XYZ \0\0\0\0" + fixed(*column)
        tags |= {name: curve for name in (b"rTRC", b"gTRC", b"bTRC")}
    table, data, place = struct.pack(">I", len(tags)), b"", 128 + 4 + 12 * len(tags)
    for name, value in tags.items():
        table += name + struct.pack(">II", place + len(data), len(value))
        data += value
    head = struct.pack(
        ">I4sI4s4s4s", place + len(data), b"lcms", 0x02100000, b"mntr", kind, b"XYZ "
    )
    head += struct.pack(">6H", 2024, 1, 1, 0, 0, 0) + b"acsp" + b"\0" * 28
    return (head + fixed(0.9642, 1, 0.8249)).ljust(128, b"\0") + table + data
