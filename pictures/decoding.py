"""From the bytes of a file to arrays: what lies between Pillow and pictures.codecs."""

import importlib.util
import io
import re
import warnings
from collections.abc import Callable
from functools import lru_cache

import cv2
import numpy as np
from PIL import ExifTags, Image, ImageCms

from pictures import files, metadata

HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
GREY_MODES = ("1", "L", "LA", "La", "I", "F", "I;16", "I;16B", "I;16L", "I;16N")
ALPHA_MODES = ("LA", "RGBA", "PA", "La", "RGBa")
DESCRIPTIVE = ("ImageDescription", "Make", "Model", "Software", "DateTime", "Artist", "Copyright")
ANIMATED = ("GIF", "WEBP", "AVIF", "TIFF")  # Pillow counts the layers of others as frames
ALIKE = 2  # levels of 255; a profile that changes no colour by more is taken for sRGB itself
TURNS = {  # EXIF's orientations: what takes the pixels as stored to those that are shown
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: np.rot90(a),
}


def decode(data: bytes, most_pixels: int | None = None) -> tuple[dict, tuple[int, int]]:
    """The fields of a codecs.Picture, and the full (width, height) of what is shown.

    With most_pixels, a picture of more comes at 1/2, 1/4 or 1/8 of its size. Raises whatever the
    decoders do.
    """
    with warnings.catch_warnings():
        # Pillow warns at 89 megapixels, refuses at twice that: large photographs are welcome.
        warnings.simplefilter("ignore")
        bare, found = metadata.split(data)
        image = _opened(bare)
        width, height = image.size
        divisor = 1
        if most_pixels:
            divisor = next((d for d in (1, 2, 4) if width * height <= d * d * most_pixels), 8)
            image.draft(None, (-(-width // divisor), -(-height // divisor)))  # heeded by JPEG alone
        notes = ["the first of its frames is taken"] if found.pop("frames", _moves(image)) else []
        keep, turn = _metadata(image, found)
        image = _loaded(image, bare)
        pixels, own, alpha, said = _arrays(image, keep, bare)
    if divisor > 1 and image.size == (width, height):
        pixels, own, alpha = _reduced(pixels, divisor), None, alpha and _reduced(alpha, divisor)
    pixels, own, alpha = (
        None if array is None else np.ascontiguousarray(TURNS[turn](array))
        for array in (pixels, own, alpha)
    )
    fields = {"pixels": pixels, "alpha": alpha, "own": own, "format": image.format, "keep": keep}
    size = (height, width) if turn > 4 else (width, height)
    return fields | {"turn": turn, "notes": (*notes, *said)}, size


def size_in_file(data: bytes) -> tuple[int, int]:
    """(width, height) as a file's header says, before any turn. Raises whatever the decoders do."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _opened(metadata.split(data)[0]).size


def _opened(bare: bytes) -> Image.Image:
    known = files.READ
    if _is_heic(bare):
        if not can_read_heic():
            raise ValueError("HEIC: to read it, pip install pillow-heif")
        known = (files.HEIC,)
    image = Image.open(io.BytesIO(bare), formats=known)
    if image.format == "TIFF":
        image.getexif = Image.Exif  # or Pillow turns TIFF, and no other kind, when it loads it
    return image


def _loaded(image: Image.Image, bare: bytes) -> Image.Image:
    """The picture with its pixels, also where a JPEG lacks nothing but the marker of its end.

    Every viewer shows such a file whole. Where pixels are missing too, what follows is taken for
    them, and they depend on it.
    """
    try:
        image.load()
        return image
    except OSError:
        if image.format != "JPEG":
            raise
        ended, other = (
            Image.open(io.BytesIO(bare + more + b"\xff\xd9"), formats=["JPEG"])
            for more in (b"", b"\x55" * 64)
        )
        if ended.tobytes() != other.tobytes():
            raise
        return ended


def can_read_heic() -> bool:
    """Whether the package for it is installed; from then on Pillow reads it too."""
    if not importlib.util.find_spec("pillow_heif"):
        return False
    import pillow_heif

    pillow_heif.register_heif_opener()
    return True


def _is_heic(data: bytes) -> bool:
    brands = data[8 : int.from_bytes(data[:4])] if data[4:8] == b"ftyp" else b""
    return brands[:4] in HEIC_BRANDS and b"avif" not in brands


def _moves(image: Image.Image) -> bool:
    try:
        return image.format in ANIMATED and image.is_animated
    except Exception:  # damage after the first frame is no concern
        return False


def _metadata(image: Image.Image, found: dict) -> tuple[dict, int]:
    """What is kept of a file, by name as in codecs.Picture, and its turn; found: what was taken
    out of it already."""
    keep = {}
    for name in ("exif", "icc_profile", "xmp", "dpi"):
        if value := found.get(name, image.info.get(name)):
            keep[name] = value
    if "chunks" in found:
        keep["chunks"] = found["chunks"]
    if image.format == "TIFF":
        turn = image.tag_v2.get(metadata.ORIENTATION)
        keep["exif"] = _exif_of_tiff(image)
    else:
        turn = metadata.orientation(keep.get("exif", b""))
        keep["exif"] = metadata.upright(keep.get("exif", b""))
    turn = turn if turn in TURNS else 1
    if turn > 1 and isinstance(keep.get("xmp"), bytes):
        keep["xmp"] = re.sub(rb'(tiff:Orientation(?:="|>))[2-8]', rb"\g<1>1", keep["xmp"])
    keep["dpi"] = _density(keep.get("dpi"))
    return {name: value for name, value in keep.items() if value}, turn


def _density(dpi) -> tuple[float, float] | None:
    try:
        across, down = map(float, dpi)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return (across, down) if 1 < across < 1e5 and 1 < down < 1e5 else None


def _exif_of_tiff(image: Image.Image) -> bytes | None:
    """What a TIFF's own tags say about the photograph, as EXIF."""
    exif = Image.Exif()
    try:
        for name in DESCRIPTIVE:
            if value := image.tag_v2.get(ExifTags.Base[name].value):
                exif[ExifTags.Base[name]] = value
        return exif.tobytes() if len(exif) else None
    except Exception:  # values of unusual types, as in all EXIF
        return None


def _arrays(image: Image.Image, keep: dict, bare: bytes) -> tuple:
    """pixels, own and alpha as in codecs.Picture, not yet turned, and notes."""
    said = []
    grey = image.mode in GREY_MODES
    bits = _bits(bare, image)
    if image.format == "PNG" and bare[25] == 4 and bits == 16:
        grey = True  # though Pillow has grey with 16 bits of alpha as RGBA
    deep = _sixteen_bits(bare, image, grey) if bits > 8 else None
    if bits > 8 and deep is None:
        said.append(f"its {bits} bits are read as 8")
    own = deep
    if deep is not None:
        image, own, alpha = _split_deep(deep, image)
    else:
        alpha = None
        if image.mode in ALPHA_MODES or "transparency" in image.info:
            image = image.convert("LA" if grey and image.mode != "1" else "RGBA")
            alpha = np.asarray(image.getchannel("A"))
            image = image.convert("L" if grey else "RGB")
        elif grey:
            image = _grey(image)
    mode = image.mode
    if mode not in ("L", "RGB", "CMYK", "LAB"):
        image = image.convert("RGB")
    if convert := to_srgb(keep.get("icc_profile"), image.mode):
        if own is None and mode in ("L", "RGB"):
            own = array_of(image)
        image = convert(image)
    if mode not in ("L", "RGB"):  # its profile describes inks, or a palette
        image = image.convert("RGB")
        if mode == "CMYK":
            keep.pop("icc_profile", None)
            said.append("its inks (CMYK) are read as RGB")
    pixels = array_of(image)
    if alpha is not None and not alpha.all():  # what nobody sees is nobody's to see
        unseen = alpha == 0
        pixels = np.where(unseen[..., None], np.uint8(255), pixels)
        own = None if own is None else np.where(unseen[..., None], np.iinfo(own.dtype).max, own)
    return pixels, own, alpha, said


def array_of(image: Image.Image) -> np.ndarray:
    """uint8 (H, W, 1 or 3) of a picture of mode L or RGB."""
    pixels = np.asarray(image)
    return pixels if pixels.ndim == 3 else pixels[..., None]


def to_eight_bits(values: np.ndarray) -> np.ndarray:
    """uint16 0..65535 to uint8 0..255, rounded; bytes as they are."""
    if values.dtype == np.uint8:
        return values
    return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)


def _grey(image: Image.Image) -> Image.Image:
    """Of any grey mode without transparency, as L."""
    if image.mode not in ("I", "F"):
        return image.convert("L")
    values = np.nan_to_num(np.asarray(image).astype(np.float64))
    # Whole numbers span 0 to 65535; of the others there is no agreed range: the least that fits.
    spans = (1, 255, 65535) if image.mode == "F" else (65535,)
    span = next((s for s in spans if values.max() <= s), values.max())
    return Image.fromarray(np.clip(np.round(values * (255 / span)), 0, 255).astype(np.uint8))


def _bits(bare: bytes, image: Image.Image) -> int:
    """Bits of a sample in the file, where they may be more than 8."""
    if image.mode in ("I", "F"):
        return 32
    if image.mode.startswith("I;16"):
        return 16
    if image.format == "PNG":
        return bare[24]
    if image.format == "TIFF":
        return max(np.ravel(image.tag_v2.get(258, 8)))
    if image.format == "PPM":
        header = re.match(rb"P[56]\s+(?:#.*\s+)*\d+\s+\d+\s+(\d+)", bare)
        return int(header[1]).bit_length() if header else 8
    if image.format == "JPEG2000":
        size = bare.find(b"\xff\x51")
        return (bare[size + 40] & 0x7F) + 1
    if image.format == "AVIF":
        header = bare.find(b"av1C")
        return 10 if header > 0 and bare[header + 6] & 0x40 else 8
    return image.info.get("bit_depth", 8)  # HEIF


def _sixteen_bits(bare: bytes, image: Image.Image, grey: bool) -> np.ndarray | None:
    """uint16 (H, W, 1 to 4), grey or RGB, with alpha or without; None where that is not to be had.

    Pillow holds 16 bits of grey alone. OpenCV has those of colours, in its order of channels."""
    if image.mode.startswith("I;16"):
        return np.asarray(image).astype(np.uint16)[..., None]
    if image.mode == "I":
        values = np.asarray(image)
        fits = 0 <= values.min() and values.max() <= 65535
        return values.astype(np.uint16)[..., None] if fits else None
    if _bits(bare, image) != 16 or image.mode not in ("L", "LA", "RGB", "RGBA"):
        return None
    values = cv2.imdecode(np.frombuffer(bare, np.uint8), cv2.IMREAD_UNCHANGED)
    if values is None or values.dtype != np.uint16 or values.shape[:2] != image.size[::-1]:
        return None
    values = values.reshape(*values.shape[:2], -1)
    channels = [0] if grey else [2, 1, 0]
    if image.mode in ALPHA_MODES:
        channels.append(3)
    return values[..., channels] if max(channels) < values.shape[2] else None


def _split_deep(
    deep: np.ndarray, image: Image.Image
) -> tuple[Image.Image, np.ndarray, np.ndarray | None]:
    """16-bit channels as a picture of 8 bits, the colours, and alpha (H, W) if there is any."""
    alpha, own = None, deep
    if deep.shape[2] in (2, 4):
        own, alpha = deep[..., :-1], deep[..., -1]
    elif (hidden := image.info.get("transparency")) is not None:
        alpha = np.where((own == hidden).all(axis=-1), 0, 65535).astype(np.uint16)
    eight = to_eight_bits(own)
    return Image.fromarray(eight[..., 0] if eight.shape[2] == 1 else eight), own, alpha


def _reduced(array: np.ndarray, divisor: int) -> np.ndarray:
    """uint8 or uint16 (H, W) or (H, W, C) at a part of its size, block by block."""
    flat = array[..., 0] if array.ndim == 3 and array.shape[2] == 1 else array
    image = Image.fromarray(to_eight_bits(flat)).reduce(divisor)
    return np.asarray(image).reshape(*image.size[::-1], *array.shape[2:])


# Colour profiles: a picture's own colours to sRGB, which the networks know, and back.


Convert = Callable[[Image.Image], Image.Image]


@lru_cache(16)
def to_srgb(profile: bytes | None, mode: str) -> Convert | None:
    """What takes pictures of mode L, RGB, CMYK or LAB with this ICC profile to sRGB.

    None where nothing is to be done: the profile is sRGB's or as good as that, or is no profile
    of such pictures.
    """
    space = "L" if mode == "L" else "RGB"
    convert = _transform(
        _profile(profile, mode), ImageCms.createProfile("sRGB"), source_mode=mode, target_mode="RGB"
    )
    if convert is None:
        return None
    if mode == space:
        every = _lattice(mode)
        changed = np.asarray(convert(every)).astype(int) - np.asarray(every.convert("RGB"))
        if np.abs(changed).max() <= ALIKE:
            return None
    return lambda image: convert(image).getchannel("G") if space == "L" else convert(image)


@lru_cache(16)
def from_srgb(profile: bytes | None, mode: str) -> Convert | None:
    """The way back, for a mode L or RGB."""
    if to_srgb(profile, mode) is None:
        return None
    back = _transform(
        ImageCms.createProfile("sRGB"), _profile(profile, mode), source_mode="RGB", target_mode=mode
    )
    return back and (lambda image: back(image.convert("RGB")))


def _profile(profile: bytes | None, mode: str) -> ImageCms.ImageCmsProfile | None:
    if mode == "LAB":
        return ImageCms.createProfile("LAB")
    try:
        return ImageCms.ImageCmsProfile(io.BytesIO(profile)) if profile else None
    except (OSError, ImageCms.PyCMSError):
        return None


def _transform(source, target, source_mode: str, target_mode: str) -> Convert | None:
    if source is None or target is None:
        return None
    try:
        found = ImageCms.buildTransform(source, target, source_mode, target_mode)
    except ImageCms.PyCMSError:
        return None  # a profile of another kind of picture
    return lambda image: ImageCms.applyTransform(image, found)


def _lattice(mode: str) -> Image.Image:
    """Every grey, or colours all over the cube."""
    if mode == "L":
        return Image.fromarray(np.arange(256, dtype=np.uint8)[None])
    levels = np.linspace(0, 255, 18).round().astype(np.uint8)
    return Image.fromarray(np.stack(np.meshgrid(levels, levels, levels), -1).reshape(1, -1, 3))
