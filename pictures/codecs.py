"""Pictures: read, fit, write. The only place, with data/, where [-1, 1] and bytes meet.

Every program reads through here: each kind that files.py lists, turned as viewers turn it,
its colours as sRGB's, its 16 bits as 8. Whatever a decoder raises, a file gives pixels or a
ValueError of one line that names it.
"""

import io
import re
import stat
import struct
import warnings
import zlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image, PngImagePlugin

from pictures import decoding, files, metadata
from pictures.decoding import array_of, to_eight_bits
from pictures.files import Format, replacing

MOST_BYTES = 2**31 - 1  # of a file
CALLED = {"exif": "EXIF", "icc_profile": "profile", "xmp": "XMP", "chunks": "gAMA"}


@dataclass(frozen=True)
class Picture:
    """A decoded picture and what it takes to write another one of its kind.

    pixels: uint8 (H, W, 3) in sRGB, or (H, W, 1) if the file is grey; white where it is fully
    transparent. alpha: uint8 or uint16 (H, W), or None. own: the same pixels as the file has them,
    uint16 or in the colours of its profile, or None if that is no different. keep: exif (of upright
    pixels, without thumbnail), icc_profile, dpi, xmp, chunks. turn: the EXIF orientation, 1 to 8,
    of the pixels in the file. notes: what else somebody who gave this file should know.
    """

    pixels: np.ndarray
    alpha: np.ndarray | None
    format: str
    keep: dict = field(default_factory=dict)
    own: np.ndarray | None = None
    turn: int = 1
    notes: tuple[str, ...] = ()

    @property
    def mode(self) -> str:
        return "L" if self.pixels.shape[2] == 1 else "RGB"


# Read


def read(path: Path | str, channels: int = 3) -> np.ndarray:
    """Pixels of a file as uint8 (H, W, channels), upright, in sRGB; what is transparent on white.

    Raises ValueError, in one line that names the file, if it cannot be decoded.
    """
    return on_white(read_picture(path), channels)


def read_picture(path: Path | str) -> Picture:
    """Like read, but keeps grey grey, alpha apart, and what it takes to write its like."""
    return decode(load(path), path)


def read_reduced(
    path: Path | str, channels: int, most_pixels: int
) -> tuple[np.ndarray, tuple[int, int], tuple[str, ...]]:
    """Like read, but a picture of more than most_pixels at 1/2, 1/4 or 1/8 of its size, which for
    JPEG bounds the memory. Returns pixels, the full (width, height), and notes."""
    picture, size = _decoded(load(path), path, most_pixels)
    notes = picture.notes
    if decoding.to_srgb(picture.keep.get("icc_profile"), picture.mode):
        notes += ("its colours are converted to sRGB",)
    return on_white(picture, channels), size, notes


def load(path: Path | str) -> bytes:
    """The bytes of a file. Raises ValueError, in one line that names it, where there are none."""
    try:
        path = files.path_of(path)
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            list(path.iterdir())  # which says why files.find could not
        if not stat.S_ISREG(status.st_mode):
            raise ValueError(f"{path}: not a file")
        if status.st_size > MOST_BYTES:
            raise ValueError(f"{path}: a file of {status.st_size / 1e9:.1f} GB is too large")
        return path.read_bytes()
    except FileNotFoundError:
        what = "a link that leads nowhere" if path.is_symlink() else "no such file"
        raise ValueError(f"{path}: {what}") from None
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror or error}") from None


def decode(data: bytes, name: Path | str) -> Picture:
    """read_picture for the bytes of a file; name is for the message."""
    return _decoded(data, name)[0]


def _decoded(
    data: bytes, name: Path | str, most_pixels: int | None = None
) -> tuple[Picture, tuple[int, int]]:
    try:
        fields, size = decoding.decode(data, most_pixels)
    except Exception as error:  # decoders raise what they like: SyntaxError, KeyError, cv2.error
        why = " ".join(str(error).split()) or type(error).__name__
        why = re.sub(r"<_io.BytesIO object at \w+>", "it", why) if data else "empty file"
        raise ValueError(f"{name}: not a readable picture ({why})") from None
    return Picture(**fields), size


def on_white(picture: Picture, channels: int) -> np.ndarray:
    """Its pixels as uint8 (H, W, channels), laid onto white where they are transparent."""
    image = to_pillow(picture.pixels)
    if picture.alpha is not None:
        image = image.convert("RGBA")
        image.putalpha(Image.fromarray(to_eight_bits(picture.alpha)))
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return array_of(image.convert("L" if channels == 1 else "RGB"))


def to_grey(pixels: np.ndarray) -> np.ndarray:
    """uint8 (H, W, 1 or 3) as uint8 (H, W)."""
    return np.asarray(to_pillow(pixels).convert("L"))


def turned(array: np.ndarray, turn: int) -> np.ndarray:
    """(H, W, ...) as stored to what is shown, by an EXIF orientation, 1 to 8."""
    return np.ascontiguousarray(decoding.TURNS[turn](array))


def fit(pixels: np.ndarray, size: int, crop: int | None = None) -> np.ndarray:
    """The centre square of uint8 (H, W, C), at most `crop` pixels wide, as (size, size, C).

    Resampling is antialiased (Lanczos); a picture that already has the size is returned as it is.
    """
    height, width = pixels.shape[:2]
    side = min(height, width, crop or max(height, width))
    top, left = (height - side) // 2, (width - side) // 2
    return resize(pixels[top : top + side, left : left + side], size, size)


def resize(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    """uint8 (H, W, C) resampled to (height, width, C), Lanczos, antialiased when it shrinks."""
    if pixels.shape[:2] == (height, width):
        return pixels
    image = to_pillow(pixels).resize((width, height), Image.Resampling.LANCZOS)
    return np.asarray(image).reshape(height, width, pixels.shape[2])


def to_float(pixels: np.ndarray) -> np.ndarray:
    """Bytes 0..255 to float32 in [-1, 1]."""
    return np.asarray(pixels, np.float32) / np.float32(127.5) - np.float32(1)


def to_bytes(values: np.ndarray) -> np.ndarray:
    """Floats in [-1, 1] to bytes, rounded and clipped; the exact inverse of to_float."""
    return np.clip(np.rint((np.asarray(values) + 1) * 127.5), 0, 255).astype(np.uint8)


# Write


def write(
    path: Path | str,
    pixels: np.ndarray,
    like: Picture | None = None,
    mask: np.ndarray | None = None,
    **options,
) -> None:
    """Write uint8 (H, W, 1 or 3) to path, format by its suffix: to a temporary name, then renamed.

    With `like`, its metadata and transparency are kept, its bits and colours too; with a mask
    besides, (H, W, 1), its known pixels (1) are written as they are in its file, and the others
    are opaque. What the format cannot hold is left out: see what_is_lost. All formats but JPEG hold
    the pixels exactly. Other options go to Pillow's save. Raises ValueError for a suffix that is
    not written, or too long a side.
    """
    form = files.for_writing(path)
    _check_sides(form, pixels)
    options = form.options | options
    alpha = None
    if like is not None:
        pixels, alpha = _as_in_file(pixels, like, mask)
        options = _kept(like, form)[0] | options
        if not form.deep:
            pixels = to_eight_bits(pixels)
        if alpha is not None and (pixels.dtype == np.uint8 or not form.alpha):
            alpha = to_eight_bits(alpha)
    if alpha is not None and not form.alpha:
        pixels, alpha = on_white(Picture(pixels, alpha, form.name), pixels.shape[2]), None
    with replacing(path) as temporary:
        if pixels.dtype == np.uint16:
            temporary.write_bytes(_deep_png(pixels, alpha, options))
            return
        image = to_pillow(pixels)
        if alpha is not None:
            image.putalpha(Image.fromarray(alpha))
        image.save(temporary, format=form.name, **options)


def what_is_lost(picture: Picture, path: Path | str) -> list[str]:
    """What of a picture a file of this name cannot hold, each a part of a sentence.

    Raises ValueError where it cannot hold the pixels.
    """
    form = files.for_writing(path)
    _check_sides(form, picture.pixels)
    kind = form.suffixes[0].removeprefix(".")
    lost = [f"{kind} cannot hold its {what}" for what in _kept(picture, form)[1]]
    if picture.own is not None and picture.own.dtype == np.uint16:
        lost.append("its hole is filled from 8 bits" if form.deep else f"{kind} holds 8 bits of 16")
    if picture.alpha is not None and not form.alpha:
        lost.append(f"{kind} holds no transparency: it is laid onto white")
    return lost


def _check_sides(form: Format, pixels: np.ndarray) -> None:
    longest = max(pixels.shape[:2])
    if longest > form.longest:
        kind = form.suffixes[0].removeprefix(".")
        raise ValueError(f"a side of {longest:,} pixels: {kind} holds at most {form.longest:,}")


def _as_in_file(
    pixels: np.ndarray, like: Picture, mask: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray | None]:
    """Pixels in the bits and colours of a picture's file, and alpha (H, W)."""
    if back := decoding.from_srgb(like.keep.get("icc_profile"), like.mode):
        pixels = array_of(back(to_pillow(pixels)))
    if like.own is not None:
        if like.own.dtype == np.uint16:
            pixels = pixels.astype(np.uint16) * np.uint16(257)
        if mask is not None:
            pixels = np.where(mask > 0, like.own, pixels)
    alpha = like.alpha
    if alpha is not None and mask is not None:
        alpha = np.where(mask[..., 0] > 0, alpha, np.iinfo(alpha.dtype).max)
    return pixels, alpha


def _kept(picture: Picture, form: Format) -> tuple[dict, list[str]]:
    """Options for Pillow's save that keep a picture's metadata, and what of it cannot be kept."""
    options, lost = {}, []
    for name, value in picture.keep.items():
        option = _option(form, name, value)
        if name in form.keeps and _can_write(form, picture.mode, option):
            options |= option
        else:
            lost.append(CALLED.get(name, name))
    if form.name == "PNG":  # two kinds in one option
        info = PngImagePlugin.PngInfo()
        for name, content in picture.keep.get("chunks", ()):
            info.add(name, content)
        if "xmp" in picture.keep:
            info.add_itxt("XML:com.adobe.xmp", picture.keep["xmp"].decode("utf-8", "replace"))
        options["pnginfo"] = info
    return options, lost


def _option(form: Format, name: str, value) -> dict:
    if form.name == "PNG" and name in ("chunks", "xmp"):
        return {}
    if form.name == "TIFF" and name == "xmp":
        return {"tiffinfo": {700: value}}
    return {name: value}


def _can_write(form: Format, mode: str, option: dict) -> bool:
    """Whether a format takes it: asked of the encoder, with a picture of one pixel."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            Image.new(mode, (1, 1)).save(io.BytesIO(), form.name, **form.options, **option)
    except Exception:  # encoders raise what they like: ValueError, struct.error, KeyError
        return False
    return True


def _deep_png(pixels: np.ndarray, alpha: np.ndarray | None, options: dict) -> bytes:
    """A PNG of 16 bits, which Pillow does not write but for grey: pixels uint16 (H, W, 1 or 3).

    Pillow's PNG of one pixel has all but the size, the depth and the pixels."""
    mode = ("L" if pixels.shape[2] == 1 else "RGB") + "A" * (alpha is not None)
    if alpha is not None:
        pixels = np.dstack([pixels, alpha.astype(np.uint16)])
    one = io.BytesIO()
    Image.new(mode, (1, 1)).save(one, "PNG", **options)
    height, width = pixels.shape[:2]
    rows = pixels.astype(">u2").reshape(height, -1).view(np.uint8)
    rows[1:] = rows[1:] - rows[:-1]  # the filter Up, which is number 2
    packed = zlib.compress(np.insert(rows, 0, 2, axis=1).tobytes())
    parts = [metadata.PNG_HEADER]
    for name, _, content, _ in metadata.chunks(one.getvalue()):
        if name == b"IHDR":
            content = struct.pack(">IIB", width, height, 16) + content[9:]
        elif name == b"IDAT":
            content = packed
        check = zlib.crc32(name + content)
        parts.append(struct.pack(">I", len(content)) + name + content + struct.pack(">I", check))
    return b"".join(parts)


def to_pillow(pixels: np.ndarray) -> Image.Image:
    """uint8 (H, W, 1 or 3) as a picture of mode L or RGB."""
    return Image.fromarray(np.ascontiguousarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels))
