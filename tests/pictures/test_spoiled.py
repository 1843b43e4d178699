"""Files damaged anywhere: each gives pixels or one line that names it, soon, in little memory."""

import resource
import struct
import time
import zlib

import making
import numpy as np
import pytest
from PIL import Image

from data.drawn import drawn_faces
from pictures import codecs, files, masks

FACE = drawn_faces(1, 24)[0]
MOST_SECONDS = 5
HEADER_BYTES = 700  # most damage goes here


def kinds() -> dict[str, bytes]:
    """A whole file of each kind, with all that may come with it."""
    exif = making.exif(making.TURNED, (0x131, 2, 6, b"words\0"), thumbnail=b"small")
    profile, xmp = making.icc(), b"<x:xmpmeta/>"
    alpha = Image.fromarray(np.dstack([FACE, FACE[..., :1]]))
    frames = {"save_all": True, "append_images": [Image.fromarray(FACE[::-1])]}
    palette = Image.fromarray(FACE).convert("P")
    extras = (
        (b"iCCP", b"icc\0\0" + zlib.compress(profile)),
        (b"eXIf", exif[6:]),
        (b"gAMA", struct.pack(">I", 45_455)),
        (b"pHYs", struct.pack(">IIB", 11_811, 11_811, 1)),
        (b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp),
    )
    kept = {"exif": exif, "icc_profile": profile, "xmp": xmp}
    return {
        "png": making.png(FACE, *extras),
        "png16": making.png(FACE.astype(np.uint16) * 257, *extras),
        "apng": making.encoded(FACE, **frames),
        "palette": making.encoded(palette, transparency=3),
        "jpg": making.encoded(FACE, "JPEG", dpi=(300, 300), **kept),
        "progressive": making.encoded(FACE, "JPEG", progressive=True, **kept),
        "cmyk": making.encoded(Image.fromarray(FACE).convert("CMYK"), "JPEG"),
        "webp": making.encoded(alpha, "WEBP", lossless=True, **kept),
        "webp-moves": making.encoded(alpha, "WEBP", **frames),
        "tif": making.encoded(FACE, "TIFF", icc_profile=profile, dpi=(300, 300), exif=exif),
        "tif-lzw": making.encoded(alpha, "TIFF", compression="tiff_lzw"),
        "gif": making.encoded(palette, "GIF", transparency=3, **frames),
        "avif": making.encoded(alpha, "AVIF", **kept),
        "bmp": making.encoded(FACE, "BMP"),
        "jp2": making.encoded(FACE, "JPEG2000"),
        "ppm": making.encoded(FACE, "PPM"),
        "tga": making.encoded(alpha, "TGA"),
        "ico": making.encoded(FACE, "ICO"),
        "pcx": making.encoded(FACE, "PCX"),
        "sgi": making.encoded(FACE, "SGI"),
        "qoi": making.encoded(alpha, "QOI"),
        "dds": making.encoded(alpha, "DDS"),
    }


def damaged(data: bytes, rng: np.random.Generator) -> bytes:
    """Bytes flipped, overwritten with ends of ranges, cut out, doubled; or the rest cut off."""
    spoiled = bytearray(data)
    reach = min(len(spoiled), HEADER_BYTES) if rng.random() < 0.8 else len(spoiled)
    for _ in range(rng.integers(1, 6)):
        place = int(rng.integers(reach))
        width = int(rng.integers(1, 5))
        match rng.integers(6):
            case 0:
                spoiled[place : place + 1] = bytes([rng.integers(256)])
            case 1:
                spoiled[place : place + width] = b"\xff" * width
            case 2:
                spoiled[place : place + width] = bytes(width)
            case 3:
                del spoiled[place : place + width * 4]
            case 4:
                spoiled[place:place] = spoiled[place : place + width * 4]
            case 5 if rng.random() < 0.3:
                del spoiled[place:]
        if not spoiled:
            return b""
        reach = min(reach, len(spoiled))
    return bytes(spoiled)


def try_one(data: bytes, path) -> bool:
    """Whether a damaged file still is a picture."""
    began = time.thread_time()
    try:
        picture = codecs.decode(data, path)
    except ValueError as error:
        assert str(error).startswith(f"{path}: ") and "\n" not in str(error)
        return False
    finally:
        assert time.thread_time() - began < MOST_SECONDS
    height, width, channels = picture.pixels.shape
    assert channels in (1, 3) and picture.pixels.dtype == np.uint8
    assert picture.alpha is None or picture.alpha.shape == (height, width)
    assert picture.own is None or picture.own.shape == picture.pixels.shape
    return True


def attempt(count: int, seed: int, folder) -> int:
    rng, whole = np.random.default_rng(seed), list(kinds().values())
    read = 0
    for number in range(count):
        data = damaged(whole[number % len(whole)], rng)
        if try_one(data, "spoiled"):
            read += 1
            picture = codecs.decode(data, "spoiled")
            if picture.pixels.size < 10_000:
                for suffix in files.WRITTEN:  # what was read can be written and read again
                    codecs.write(folder / f"a.{suffix}", picture.pixels, like=picture)
                    codecs.read(folder / f"a.{suffix}")
    return read


@pytest.mark.parametrize("kind", kinds())
def test_the_whole_files_are_read(kind):
    picture = codecs.decode(kinds()[kind], kind)
    assert picture.pixels.shape == (24, 24, 3)


def test_damaged_files_give_pixels_or_one_line(tmp_path):
    read = attempt(300, seed=0, folder=tmp_path)
    assert 50 < read < 275  # the damage is neither harmless nor always fatal


@pytest.mark.slow
def test_ten_thousand_damaged_files_within_little_memory(tmp_path):
    attempt(200, seed=1, folder=tmp_path)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    attempt(10_000, seed=2, folder=tmp_path)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert after - before < 1_500_000  # kB; the most pixels that are decoded take about as much


def test_damaged_masks_are_masks_or_one_line(tmp_path):
    hole = np.zeros((16, 16), np.uint8)
    hole[4:8, 4:8] = 255
    whole, rng = making.encoded(hole), np.random.default_rng(0)
    for _ in range(100):
        (tmp_path / "mask.png").write_bytes(damaged(whole, rng))
        try:
            assert masks.from_file(tmp_path / "mask.png", (16, 16)).shape == (16, 16, 1)
        except ValueError as error:
            assert str(error).startswith(f"{tmp_path / 'mask.png'}: ")
