"""Pictures: find, read, fit, write. The only place, with data/, where [-1, 1] and bytes meet."""

import struct
import warnings
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageOps

from pictures.files import replacing

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")


@dataclass(frozen=True)
class Picture:
    """A decoded picture and what it takes to write another one of its kind.

    pixels: uint8 (H, W, 3), or (H, W, 1) if the file is grey. alpha: uint8 (H, W) or None.
    keep: EXIF and ICC profile for Pillow's save; without orientation, as the pixels are upright,
    and without the thumbnail, which would go on showing this picture.
    """

    pixels: np.ndarray
    alpha: np.ndarray | None
    format: str
    keep: dict = field(default_factory=dict)


def read(path: Path | str, channels: int = 3) -> np.ndarray:
    """Pixels of a file as uint8 (H, W, channels), upright, whatever its mode; alpha onto white.

    Raises ValueError, in one line that names the file, if it cannot be decoded.
    """
    image = _decode(path)
    if _has_alpha(image):
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return _pixels(image, channels)


def read_picture(path: Path | str) -> Picture:
    """Like read, but keeps grey grey, alpha apart, and format, EXIF and ICC profile for write."""
    image = _decode(path)
    image_format = _format_of(path)
    alpha = None
    if _has_alpha(image):
        image = image.convert("LA" if image.mode == "LA" else "RGBA")
        alpha = np.asarray(image.getchannel("A"))
    keep = {k: v for k in ("exif", "icc_profile") if (v := image.info.get(k))}
    if image.mode == "CMYK":
        keep.pop("icc_profile", None)  # it describes inks; the pixels are RGB from here on
    grey = image.mode in ("1", "L", "LA", "I", "F") or image.mode.startswith("I;16")
    return Picture(_pixels(image, 1 if grey else 3), alpha, image_format, keep)


def _decode(path: Path | str) -> Image.Image:
    try:
        with warnings.catch_warnings():
            # Pillow warns at 89 megapixels, refuses at twice that: large photographs are welcome.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                return _upright(image)
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        why = "empty file" if Path(path).is_file() and not Path(path).stat().st_size else error
        why = " ".join(str(why).split()).replace(f"{str(path)!r}", "it")
        raise ValueError(f"{path}: not a readable picture ({why})") from None


def _upright(image: Image.Image) -> Image.Image:
    """Decoded, turned as its EXIF says; damaged EXIF is dropped, a thumbnail in it always."""
    try:
        image = ImageOps.exif_transpose(image)
        if image.getexif().get_ifd(ExifTags.IFD.IFD1):
            image.info["exif"] = image.getexif().tobytes()  # writes no thumbnail
    except (SyntaxError, struct.error):
        image.info.pop("exif", None)
        image.load()
    return image


def _format_of(path: Path | str) -> str:
    with Image.open(path) as image:
        return image.format


def _has_alpha(image: Image.Image) -> bool:
    return image.mode in ("LA", "RGBA", "PA", "La", "RGBa") or "transparency" in image.info


def _pixels(image: Image.Image, channels: int) -> np.ndarray:
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        values = np.asarray(image).astype(np.float64)
        # 16-bit files span 0 to 65535; floating-point ones have no agreed range but 8-bit.
        values = values / 257 if image.mode != "F" else values
        image = Image.fromarray(np.clip(np.round(values), 0, 255).astype(np.uint8))
    pixels = np.asarray(image.convert("L" if channels == 1 else "RGB"))
    return pixels if pixels.ndim == 3 else pixels[..., None]


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
    image = _to_pillow(pixels).resize((width, height), Image.Resampling.LANCZOS)
    return np.asarray(image).reshape(height, width, pixels.shape[2])


def to_float(pixels: np.ndarray) -> np.ndarray:
    """Bytes 0..255 to float32 in [-1, 1]."""
    return np.asarray(pixels, np.float32) / np.float32(127.5) - np.float32(1)


def to_bytes(values: np.ndarray) -> np.ndarray:
    """Floats in [-1, 1] to bytes, rounded and clipped; the exact inverse of to_float."""
    return np.clip(np.rint((np.asarray(values) + 1) * 127.5), 0, 255).astype(np.uint8)


def write(path: Path | str, pixels: np.ndarray, like: Picture | None = None, **options) -> None:
    """Write uint8 (H, W, 1 or 3) to path, format by its suffix: to a temporary name, then renamed.

    With `like`, its alpha (not in JPEG and BMP), EXIF and ICC profile are kept. All but JPEG hold
    the pixels exactly. Other options go to Pillow's save.
    """
    image = _to_pillow(pixels)
    suffix = Path(path).suffix.lower()
    if like is not None:
        options = like.keep | options
        if like.alpha is not None and suffix not in (".jpg", ".jpeg", ".bmp"):
            image.putalpha(Image.fromarray(like.alpha))
    if suffix in (".jpg", ".jpeg"):
        options = {"quality": 95, "subsampling": 0} | options
    elif suffix == ".webp":
        options = {"lossless": True, "exact": True} | options
    with replacing(path) as temporary:
        image.save(temporary, **options)


def _to_pillow(pixels: np.ndarray) -> Image.Image:
    return Image.fromarray(np.ascontiguousarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels))
