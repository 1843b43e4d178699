"""What a picture file holds besides pixels: taken out of it before any decoder sees it.

Cameras and programs write odd EXIF, profiles and texts in many ways, and a decoder that reads them
may fail at each. So PNG and JPEG are decoded without them, and EXIF is never written anew: the
bytes stay as they came, but for the turn and the thumbnail, which are changed in place.
"""

import struct
import zlib
from collections.abc import Iterator

EXIF_HEADER = b"Exif\0\0"
XMP_HEADER = b"http://ns.adobe.com/xap/1.0/\0"
ICC_HEADER = b"ICC_PROFILE\0"
PNG_HEADER = b"\x89PNG\r\n\x1a\n"
PNG_PIXELS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
PNG_COLOURS = (b"gAMA", b"cHRM", b"sRGB", b"cICP")
MOST_BYTES = 16_000_000  # of a compressed profile or text

ORIENTATION, SHORT = 0x112, 3
INTEGERS = {1: "B", SHORT: "H", 4: "I", 6: "b", 8: "h", 9: "i"}  # EXIF's types, as of struct
THUMBNAIL = ((0x201, 0x202), (0x111, 0x117))  # where it lies, and its length: JPEG, one strip


def split(data: bytes) -> tuple[bytes, dict]:
    """A file's bytes without its metadata, and the metadata by name: exif, xmp, icc_profile (of
    PNG), dpi, chunks (PNG's about colours, as (name, content)), frames (a picture that moves)."""
    if data.startswith(PNG_HEADER):
        return _split_png(data)
    if data.startswith(b"\xff\xd8"):
        return _split_jpeg(data)
    return data, {}


def _split_jpeg(data: bytes) -> tuple[bytes, dict]:
    kept, found, at = [data[:2]], {}, 2
    for marker, start, content, end in _segments(data):
        at = end
        if content.startswith(EXIF_HEADER):
            found.setdefault("exif", content)
        elif content.startswith(XMP_HEADER):
            found.setdefault("xmp", content.removeprefix(XMP_HEADER))
        elif _is_needed(marker, content):
            kept.append(data[start:end])
    return b"".join([*kept, data[at:]]), found


def _segments(data: bytes) -> Iterator[tuple[int, int, bytes, int]]:
    """Marker, start, content and end of each segment before a JPEG's pixels."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # padding
            at += 1
            continue
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4])
        if marker == 0xDA or end > len(data):
            return
        yield marker, at, data[at + 4 : end], end
        at = end


def _is_needed(marker: int, content: bytes) -> bool:
    """Whether the decoder needs a segment: all but those of programs and comments, of which the
    density (JFIF), the profile and the kind of colours (Adobe) count, unless cut short."""
    if not (0xE0 <= marker <= 0xEF or marker == 0xFE):
        return True
    return (
        (marker == 0xE0 and content.startswith(b"JFIF\0") and len(content) >= 14)
        or (marker == 0xE2 and content.startswith(ICC_HEADER) and len(content) > 14)
        or (marker == 0xEE and content.startswith(b"Adobe") and len(content) >= 12)
    )


def _split_png(data: bytes) -> tuple[bytes, dict]:
    kept, found, colours = [PNG_HEADER], {}, []
    for name, start, content, end in chunks(data):
        whole = len(content) == end - start - 12
        intact = whole and data[end - 4 : end] == struct.pack(">I", zlib.crc32(name + content))
        if name in PNG_PIXELS and (intact or name != b"tRNS"):
            kept.append(data[start:end])
        elif name == b"acTL":
            found["frames"] = True
        elif name in PNG_COLOURS and intact:
            colours.append((name, content))
        elif name == b"eXIf" and intact:
            found["exif"] = content
        elif name == b"pHYs" and intact and len(content) == 9 and content[8] == 1:
            found["dpi"] = tuple(n * 0.0254 for n in struct.unpack(">II", content[:8]))
        elif name == b"iCCP" and intact:
            found["icc_profile"] = _inflated(content.partition(b"\0")[2][1:])
        elif name == b"iTXt" and intact and content.startswith(b"XML:com.adobe.xmp\0"):
            found["xmp"] = _text(content)
    if colours:
        found["chunks"] = colours
    return b"".join(kept), {name: value for name, value in found.items() if value}


def chunks(data: bytes) -> Iterator[tuple[bytes, int, bytes, int]]:
    """Name, start, content and end of each chunk of a PNG; a last one that is cut off as it is."""
    at = len(PNG_HEADER)
    while at + 8 <= len(data):
        length, name = struct.unpack_from(">I4s", data, at)
        end = at + 12 + length
        yield name, at, data[at + 8 : end - 4], min(end, len(data))
        at = end


def _inflated(packed: bytes) -> bytes | None:
    """None if it is damaged or unusually large."""
    inflate = zlib.decompressobj()
    try:
        content = inflate.decompress(packed, MOST_BYTES)
    except zlib.error:
        return None
    return content if inflate.eof else None


def _text(content: bytes) -> bytes | None:
    """The text of an iTXt chunk."""
    _, _, rest = content.partition(b"\0")
    packed, rest = rest[:1] == b"\1", rest[2:]
    text = rest.partition(b"\0")[2].partition(b"\0")[2]  # after language and translated keyword
    return _inflated(text) if packed else text


# EXIF is a small TIFF: byte order, then tables of 12-byte entries (tag, type, count, value).


def orientation(exif: bytes) -> int:
    """How EXIF says the pixels are to be turned: 1 (as they are) to 8; 1 if it says nothing."""
    try:
        tiff, order, table = _opened(exif)
        for entry in _entries(tiff, order, table):
            if struct.unpack_from(order + "H", tiff, entry)[0] == ORIENTATION:
                value = _integer(tiff, order, entry)
                return value if value in range(1, 9) else 1
    except struct.error:
        pass
    return 1


def upright(exif: bytes) -> bytes | None:
    """The EXIF of the same picture turned upright: all of it, but without a thumbnail, which would
    go on showing the picture as it was. None if it cannot be understood."""
    try:
        tiff, order, table = _opened(exif)
        for entry in _entries(tiff, order, table):
            if struct.unpack_from(order + "H", tiff, entry)[0] == ORIENTATION:
                struct.pack_into(order + "HIHH", tiff, entry + 2, SHORT, 1, 1, 0)
        follows = table + 2 + 12 * struct.unpack_from(order + "H", tiff, table)[0]
        (second,) = struct.unpack_from(order + "I", tiff, follows)
        if second:
            struct.pack_into(order + "I", tiff, follows, 0)
            _blank_thumbnail(tiff, order, second)
    except struct.error:
        return None
    return EXIF_HEADER + bytes(tiff)


def _opened(exif: bytes) -> tuple[bytearray, str, int]:
    """The TIFF in EXIF, struct's sign for its byte order, and where its first table starts."""
    while exif.startswith(EXIF_HEADER):  # some programs write it twice
        exif = exif.removeprefix(EXIF_HEADER)
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(exif[:4])
    if order is None:
        raise struct.error("no TIFF")
    return bytearray(exif), order, struct.unpack_from(order + "I", exif, 4)[0]


def _entries(tiff: bytearray, order: str, table: int) -> range:
    (count,) = struct.unpack_from(order + "H", tiff, table)
    return range(table + 2, table + 2 + 12 * count, 12)


def _integer(tiff: bytearray, order: str, entry: int) -> int:
    (kind,) = struct.unpack_from(order + "H", tiff, entry + 2)
    return struct.unpack_from(order + INTEGERS.get(kind, "H"), tiff, entry + 8)[0]


def _blank_thumbnail(tiff: bytearray, order: str, table: int) -> None:
    values = {}
    try:
        for entry in _entries(tiff, order, table):
            values[struct.unpack_from(order + "H", tiff, entry)[0]] = _integer(tiff, order, entry)
    except struct.error:
        pass  # what the table says before it breaks off
    for place, length in THUMBNAIL:
        if place in values and length in values:
            start = min(max(values[place], 0), len(tiff))
            stop = min(start + max(values[length], 0), len(tiff))
            tiff[start:stop] = bytes(stop - start)
