"""Every kind of file that people have is read as viewers show it, and written as it came."""

import struct
import zlib

import cv2
import making
import numpy as np
import pytest
from PIL import Image

from data.drawn import drawn_faces
from pictures import codecs, files, metadata

FACE = drawn_faces(1, 24)[0]  # (24, 24, 3)
WIDE = np.ascontiguousarray(FACE[:10])  # (10, 24, 3)
DEEP = WIDE.astype(np.uint16) * 257 - np.uint16(100)  # rounds to WIDE
HOLE = np.ones((10, 24, 1), np.float32)
HOLE[2:6, 5:9] = 0


def put(path, data: bytes):
    path.write_bytes(data)
    return path


def near(first, second, most=8) -> bool:
    return np.abs(np.asarray(first).astype(int) - second).mean() < most


# Formats


@pytest.mark.parametrize(
    ("suffix", "form"),
    [("jfif", "JPEG"), ("jpe", "JPEG"), ("tif", "TIFF"), ("avif", "AVIF"), ("gif", "GIF")]
    + [("jp2", "JPEG2000"), ("ppm", "PPM"), ("dib", "DIB"), ("tga", "TGA"), ("pcx", "PCX")],
)
def test_what_people_have_is_found_and_read(tmp_path, suffix, form):
    path = put(tmp_path / f"a.{suffix}", making.encoded(FACE, form))
    assert files.find([tmp_path]) == [path]
    assert near(codecs.read(path), FACE, 16)


def test_a_format_is_told_by_what_a_file_holds(tmp_path):
    assert near(codecs.read(put(tmp_path / "a.jpg", making.encoded(FACE, "AVIF"))), FACE, 16)


def test_heic_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    header = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0" * 200
    for name in ("a.HEIC", "whatsapp.jpg"):
        with pytest.raises(ValueError, match=f"{name}: .*HEIC.*pip install pillow-heif"):
            codecs.read(put(tmp_path / name, header))
    assert len(files.find([tmp_path])) == 2


def test_heic_is_read_with_its_package(tmp_path):
    heif = pytest.importorskip("pillow_heif")
    heif.from_pillow(Image.fromarray(FACE)).save(tmp_path / "a.heic", quality=95)
    assert near(codecs.read(tmp_path / "a.heic"), FACE)


def test_of_an_animation_the_first_frame_is_taken_and_said(tmp_path):
    frames = [Image.fromarray(FACE), Image.fromarray(FACE[::-1])]
    for form in ("GIF", "PNG", "WEBP", "TIFF"):
        data = making.encoded(frames[0], form, save_all=True, append_images=frames[1:])
        picture = codecs.decode(data, "moves")
        assert near(picture.pixels, FACE)
        assert picture.notes == ("the first of its frames is taken",)
    assert codecs.decode(making.encoded(FACE, "GIF"), "still").notes == ()


@pytest.mark.parametrize("suffix", files.WRITTEN)
def test_every_written_format_holds_what_it_says(tmp_path, suffix):
    picture = codecs.decode(making.png(np.dstack([WIDE, np.full((10, 24), 99, np.uint8)])), "a")
    path = tmp_path / f"a.{suffix}"
    codecs.write(path, picture.pixels, like=picture)
    again = codecs.read_picture(path)
    assert (again.alpha is not None) == files.for_writing(path).alpha
    if again.alpha is not None:
        np.testing.assert_array_equal(again.pixels, WIDE)
        assert (again.alpha == 99).all()
    else:
        assert near(again.pixels, WIDE * (99 / 255) + 156)  # on white


def test_what_is_not_written_is_named():
    with pytest.raises(ValueError, match=r"a\.heic: .*\.heic; choose png, jpg, webp, bmp, tif"):
        codecs.write("a.heic", WIDE)
    with pytest.raises(ValueError, match="hole: a picture's name has a suffix; choose png"):
        codecs.write("hole", WIDE)


# What EXIF may hold


ODD = {
    "a rational where text is usual": making.exif(
        making.TURNED, (0x131, 5, 1, struct.pack("<II", 25, 10))
    ),
    "a resolution of -1/0": making.exif(making.TURNED, (0x11A, 10, 1, struct.pack("<ii", -1, 0))),
    "the header twice": b"Exif\0\0" + making.exif(making.TURNED),
    "a type that does not exist": making.exif(making.TURNED, (0x131, 77, 9, b"?")),
    "a count beyond the end": making.exif(making.TURNED, (0x131, 2, 2**31, b"abcd")),
    "a turn as a long number": making.exif((0x112, 4, 1, struct.pack("<I", 6))),
    "a folder that leads nowhere": making.exif(making.TURNED, (0x8769, 4, 1, b"\xff\xff\xff\x7f")),
}


@pytest.mark.parametrize("payload", ODD.values(), ids=ODD)
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_odd_exif_is_turned_by_and_kept(tmp_path, payload, form):
    if form == "JPEG":
        data = making.with_exif(making.encoded(WIDE, quality=95, form=form), payload)
    elif form == "PNG":
        data = making.png(WIDE, (b"eXIf", payload.removeprefix(b"Exif\0\0")))
    else:
        data = making.encoded(WIDE, form, lossless=True, exif=payload)
    picture = codecs.read_picture(put(tmp_path / "a", data))
    assert picture.pixels.shape == (24, 10, 3) and picture.turn == 6
    assert near(picture.pixels, np.rot90(WIDE, -1), 20)
    for suffix in files.WRITTEN:
        codecs.write(tmp_path / f"b.{suffix}", picture.pixels, like=picture)
        again = codecs.read_picture(tmp_path / f"b.{suffix}")
        assert again.pixels.shape == (24, 10, 3)
        if suffix in ("png", "jpg", "webp"):
            assert again.keep["exif"] == picture.keep["exif"]


def test_a_thumbnail_is_not_kept():
    small = b"this is what it looked like"
    data = making.with_exif(
        making.encoded(WIDE, "JPEG"), making.exif(making.TURNED, thumbnail=small)
    )
    assert small in data
    kept = codecs.decode(data, "a").keep["exif"]
    assert small not in kept and metadata.orientation(kept) == 1


def test_exif_that_is_none_is_dropped():
    data = making.with_exif(making.encoded(WIDE, "JPEG"), b"Exif\0\0nonsense")
    assert "exif" not in codecs.decode(data, "a").keep


def test_xmp_does_not_turn_a_picture_again():
    xmp = b'<x:xmpmeta tiff:Orientation="6"/>'
    data = making.encoded(WIDE, "JPEG", xmp=xmp, exif=making.exif(making.TURNED))
    assert b'Orientation="1"' in codecs.decode(data, "a").keep["xmp"]


# Metadata


def test_large_profiles_and_texts_are_no_damage():
    noise = np.random.default_rng(0).integers(0, 256, 1_500_000, np.uint8).tobytes()
    for name, content in (
        (b"iCCP", b"icc\0\0" + zlib.compress(noise)),
        (b"iCCP", b"icc\0\0" + zlib.compress(bytes(2**25))),  # larger than any profile
        (b"zTXt", b"workflow\0\0" + zlib.compress(b"x" * 3_000_000)),
        (b"iTXt", b"cut off"),
    ):
        data = making.png(WIDE, (name, content))
        np.testing.assert_array_equal(codecs.decode(data, "a").pixels, WIDE)
    spoiled = bytearray(making.png(WIDE, (b"tEXt", b"Comment\0words")))
    spoiled[spoiled.index(b"words")] ^= 1  # its checksum is wrong now
    np.testing.assert_array_equal(codecs.decode(bytes(spoiled), "a").pixels, WIDE)


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif"])
def test_resolution_and_xmp_are_kept(tmp_path, suffix):
    data = making.encoded(WIDE, "JPEG", dpi=(300, 300), xmp=b"<x:xmpmeta/>")
    picture = codecs.decode(data, "a")
    codecs.write(tmp_path / f"a.{suffix}", picture.pixels, like=picture)
    again = codecs.read_picture(tmp_path / f"a.{suffix}")
    assert np.allclose(again.keep["dpi"], 300, atol=0.01) and again.keep["xmp"] == b"<x:xmpmeta/>"


def test_gamma_is_kept(tmp_path):
    picture = codecs.decode(making.png(WIDE, (b"gAMA", struct.pack(">I", 100_000))), "a")
    codecs.write(tmp_path / "a.png", picture.pixels, like=picture)
    assert Image.open(tmp_path / "a.png").info["gamma"] == 1
    assert codecs.what_is_lost(picture, "a.jpg") == ["jpg cannot hold its gAMA"]


def test_what_a_format_cannot_hold_is_known_before_it_is_written(tmp_path):
    long = making.exif((0x927C, 7, 70_000, b"M" * 70_000))
    picture = codecs.decode(making.encoded(WIDE, "WEBP", exif=long), "a")
    assert codecs.what_is_lost(picture, "a.jpg") == ["jpg cannot hold its EXIF"]
    assert codecs.what_is_lost(picture, "a.png") == []
    codecs.write(tmp_path / "a.jpg", picture.pixels, like=picture)
    wide = codecs.Picture(np.zeros((1, 19_200, 3), np.uint8), None, "PNG")
    for action in (
        lambda: codecs.what_is_lost(wide, "a.webp"),
        lambda: codecs.write(tmp_path / "a.webp", wide.pixels),
    ):
        with pytest.raises(ValueError, match="a side of 19,200 pixels: webp holds at most 16,383"):
            action()


def test_a_jpeg_without_its_end_is_whole_and_a_cut_one_is_not():
    large = drawn_faces(1, 128)[0]
    for progressive in (False, True):
        whole = making.encoded(large, "JPEG", quality=90, progressive=progressive)
        pixels = codecs.decode(whole[:-2], "a").pixels
        np.testing.assert_array_equal(pixels, codecs.decode(whole, "a").pixels)
        for missing in (6, 40, len(whole) // 2):
            with pytest.raises(ValueError, match="truncated"):
                codecs.decode(whole[:-missing], "a")


# Bits


def deep_file(kind: str) -> bytes:
    if kind == "tif":
        return cv2.imencode(".tif", DEEP[..., ::-1])[1].tobytes()
    if kind == "ppm":
        return b"P6 24 10 65535\n" + DEEP.astype(">u2").tobytes()
    alpha = np.full((10, 24, 1), 40_000, np.uint16)
    values = {"rgb": DEEP, "grey": DEEP[..., :1], "rgba": np.dstack([DEEP, alpha])}
    values["grey alpha"] = np.dstack([DEEP[..., :1], alpha])
    return making.png(values[kind])


@pytest.mark.parametrize("kind", ["rgb", "grey", "rgba", "grey alpha", "tif", "ppm"])
def test_sixteen_bits_come_back_bit_for_bit(tmp_path, kind):
    picture = codecs.decode(deep_file(kind), "a")
    channels = picture.pixels.shape[2]
    assert channels == (1 if kind.startswith("grey") else 3)
    np.testing.assert_array_equal(picture.pixels, WIDE[..., :channels])
    codecs.write(tmp_path / "a.png", 255 - picture.pixels, like=picture, mask=HOLE)
    again = codecs.read_picture(tmp_path / "a.png")
    known = HOLE[..., 0] > 0
    np.testing.assert_array_equal(again.own[known], DEEP[..., :channels][known])
    filled = 257 * (255 - WIDE[..., :channels].astype(int))
    np.testing.assert_array_equal(again.own[~known], filled[~known])
    if "a" in kind.removeprefix("gr").removesuffix("ey"):
        assert (again.alpha[known] == 40_000).all() and (again.alpha[~known] == 65_535).all()
    assert cv2.imread(str(tmp_path / "a.png"), cv2.IMREAD_UNCHANGED).dtype == np.uint16
    assert codecs.what_is_lost(picture, "a.png") == ["its hole is filled from 8 bits"]
    codecs.write(tmp_path / "a.bmp", picture.pixels, like=picture)
    assert "bmp holds 8 bits of 16" in codecs.what_is_lost(picture, "a.bmp")


def test_sixteen_bits_keep_their_metadata_and_turn(tmp_path):
    chunks = [(b"eXIf", making.exif(making.TURNED)[6:]), (b"gAMA", struct.pack(">I", 50_000))]
    picture = codecs.decode(making.png(DEEP, *chunks), "a")
    np.testing.assert_array_equal(picture.own, np.rot90(DEEP, -1))
    codecs.write(tmp_path / "a.png", picture.pixels, picture, np.ones((24, 10, 1)))
    again = codecs.read_picture(tmp_path / "a.png")
    np.testing.assert_array_equal(again.own, picture.own)
    assert again.keep == picture.keep and again.turn == 1


def test_a_transparent_colour_of_sixteen_bits():
    grey = DEEP[..., :1].copy()
    grey[0, 0] = 7
    picture = codecs.decode(making.png(grey, (b"tRNS", struct.pack(">H", 7))), "a")
    assert (picture.alpha == 0).sum() == 1 and picture.alpha[0, 0] == 0
    np.testing.assert_array_equal(picture.own[1:], grey[1:])


def test_floats_of_any_range_are_seen(tmp_path):
    for span in (1, 255):
        values = Image.fromarray(WIDE[..., 0].astype(np.float32) * (span / 255))
        picture = codecs.decode(making.encoded(values, "TIFF"), "a")
        assert near(picture.pixels[..., 0], WIDE[..., 0], 2)
        assert picture.notes == ("its 32 bits are read as 8",)


# Transparency


def test_what_is_fully_transparent_is_never_seen():
    alpha = np.full((10, 24), 255, np.uint8)
    alpha[0, 0], alpha[0, 1] = 0, 1
    for values in (WIDE, DEEP):
        full = np.iinfo(values.dtype).max
        pixels = np.dstack([values, alpha.astype(values.dtype) * (full // 255)])
        pixels[0, :2, :3] = full // 3
        picture = codecs.decode(making.png(pixels), "a")
        assert (picture.pixels[0, 0] == 255).all() and (picture.pixels[0, 1] == 85).all()
        if picture.own is not None:
            assert (picture.own[0, 0] == full).all()


# Colours


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "TIFF", "AVIF"])
def test_colours_are_seen_through_their_profile(tmp_path, form):
    fine = {"WEBP": {"lossless": True}, "JPEG": {"quality": 95, "subsampling": 0}}.get(form, {})
    dull = WIDE // 2 + 64  # within sRGB's colours
    picture = codecs.decode(making.encoded(dull, form, icc_profile=making.icc(), **fine), "a")
    assert near(picture.own, dull)
    assert not near(picture.pixels, picture.own, 4)
    codecs.write(tmp_path / "a.png", picture.pixels, like=picture, mask=HOLE)
    again = codecs.read_picture(tmp_path / "a.png")
    known = HOLE[..., 0] > 0
    np.testing.assert_array_equal(again.own[known], picture.own[known])
    assert near(again.own[~known], picture.own[~known], 2)  # there and back
    assert again.keep["icc_profile"] == making.icc()


def test_who_keeps_no_profile_is_told_of_the_conversion(tmp_path):
    path = put(tmp_path / "a.png", making.encoded(WIDE, "PNG", icc_profile=making.icc()))
    pixels, size, notes = codecs.read_reduced(path, 3, most_pixels=1000)
    np.testing.assert_array_equal(pixels, codecs.read(path))
    assert size == (24, 10) and notes == ("its colours are converted to sRGB",)


@pytest.mark.parametrize("form", ["JPEG", "PNG"])
def test_a_large_picture_is_read_at_a_part_of_its_size(tmp_path, form):
    exif = making.exif(making.TURNED)
    large = np.ascontiguousarray(drawn_faces(1, 128)[0][:64])
    path = put(tmp_path / "a", making.encoded(large, form, exif=exif))
    pixels, size, _ = codecs.read_reduced(path, 3, most_pixels=2048)
    assert size == (64, 128) and pixels.shape == (64, 32, 3)
    whole = codecs.read(path)
    assert near(pixels, whole.reshape(64, 2, 32, 2, 3).mean(axis=(1, 3)), 4)


def test_a_profile_of_grey():
    data = making.encoded(WIDE[..., 0], "PNG", icc_profile=making.icc(1.0, b"GRAY"))
    picture = codecs.decode(data, "a")
    assert picture.pixels.mean() > picture.own.mean() + 20  # linear light looks brighter


@pytest.mark.parametrize("profile", ["sRGB", "damaged", "of grey"])
def test_other_profiles_change_nothing_and_are_kept(profile):
    from PIL import ImageCms

    profiles = {"sRGB": ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()}
    profiles |= {"damaged": making.icc()[:300], "of grey": making.icc(kind=b"GRAY")}
    data = making.encoded(WIDE, "PNG", icc_profile=profiles[profile])
    picture = codecs.decode(data, "a")
    np.testing.assert_array_equal(picture.pixels, WIDE)
    assert picture.own is None and picture.keep["icc_profile"] == profiles[profile]


def test_inks_become_colours(tmp_path):
    picture = codecs.decode(making.encoded(Image.fromarray(WIDE).convert("CMYK"), "TIFF"), "a")
    assert near(picture.pixels, WIDE) and picture.notes == ("its inks (CMYK) are read as RGB",)
