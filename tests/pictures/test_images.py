"""Pictures of every kind in, bytes and floats, pictures out."""

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from data.drawn import drawn_faces
from pictures import codecs, grids

FACE = drawn_faces(1, 24)[0]  # (24, 24, 3)
WIDE = FACE[:10]  # (10, 24, 3)


def saved(path, picture, mode=None, **options):
    image = Image.fromarray(picture) if isinstance(picture, np.ndarray) else picture
    path.parent.mkdir(parents=True, exist_ok=True)
    (image.convert(mode) if mode else image).save(path, **options)
    return path


def oriented(number: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = number
    exif[0x010E] = "a description"
    return exif


# Reading


def test_read_keeps_the_pixels_of_a_lossless_file(tmp_path):
    np.testing.assert_array_equal(codecs.read(saved(tmp_path / "a.png", WIDE)), WIDE)
    np.testing.assert_array_equal(codecs.read(saved(tmp_path / "a.bmp", WIDE)), WIDE)


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("grey.png", "L"),
        ("grey.jpg", "L"),
        ("grey_alpha.png", "LA"),
        ("bilevel.png", "1"),
        ("bilevel.bmp", "1"),
        ("palette.png", "P"),
        ("alpha.png", "RGBA"),
        ("ink.jpg", "CMYK"),
        ("alpha.webp", "RGBA"),
        ("luma.jpg", "YCbCr"),
        ("UPPER.PNG", "RGB"),
    ],
)
@pytest.mark.parametrize("channels", [1, 3])
def test_read_converts_every_mode(tmp_path, name, mode, channels):
    fine = {"quality": 95, "subsampling": 0} if name.endswith("jpg") else {}
    fine = {"lossless": True} if name.endswith("webp") else fine
    pixels = codecs.read(saved(tmp_path / name, WIDE, mode, **fine), channels)
    assert pixels.shape == (10, 24, channels)
    assert pixels.dtype == np.uint8
    grey = channels == 1 or mode in ("L", "LA", "1")
    expected = np.asarray(Image.fromarray(WIDE).convert("L"))[..., None] if grey else WIDE
    if mode != "1":  # two levels
        assert np.abs(pixels.astype(int) - expected).mean() < (20 if mode == "P" else 6)


def test_read_scales_sixteen_bits_to_eight(tmp_path):
    deep = np.array([[0, 257, 128 * 257, 65535]], np.uint16)
    path = saved(tmp_path / "deep.png", Image.fromarray(deep))
    for channels in (1, 3):
        pixels = codecs.read(path, channels)
        expected = np.repeat(np.array([0, 1, 128, 255])[None, :, None], channels, axis=2)
        np.testing.assert_array_equal(pixels, expected)


def test_read_lays_transparency_onto_white(tmp_path):
    alpha = np.zeros((2, 2, 4), np.uint8)
    alpha[0, 0] = (10, 20, 30, 255)
    path = saved(tmp_path / "alpha.png", Image.fromarray(alpha))
    np.testing.assert_array_equal(codecs.read(path)[0, 0], (10, 20, 30))
    np.testing.assert_array_equal(codecs.read(path)[1], 255)
    palette = Image.new("P", (2, 1), 0)
    palette.putpalette([9, 9, 9, 8, 8, 8])
    palette.putpixel((1, 0), 1)
    path = saved(tmp_path / "palette.png", palette, transparency=0)
    np.testing.assert_array_equal(codecs.read(path)[0], [[255] * 3, [8] * 3])


@pytest.mark.parametrize(
    ("orientation", "upright"),
    [
        (1, lambda p: p),
        (2, lambda p: p[:, ::-1]),
        (3, lambda p: p[::-1, ::-1]),
        (4, lambda p: p[::-1]),
        (6, lambda p: np.rot90(p, -1)),
        (8, lambda p: np.rot90(p)),
    ],
)
def test_read_turns_pictures_upright(tmp_path, orientation, upright):
    path = saved(tmp_path / "turned.png", WIDE, exif=oriented(orientation))
    np.testing.assert_array_equal(codecs.read(path), upright(WIDE))


def test_read_names_a_file_that_is_no_picture(tmp_path):
    (tmp_path / "empty.png").touch()
    (tmp_path / "words.png").write_text("these are\nwords")
    whole = saved(tmp_path / "cut.png", FACE).read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[:-400])
    for name, why in (("empty", "empty file"), ("words", "cannot identify"), ("cut", "truncated")):
        path = tmp_path / f"{name}.png"
        with pytest.raises(ValueError) as error:
            codecs.read(path)
        assert str(error.value).startswith(f"{path}: not a readable picture (")
        assert why in str(error.value)
        assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match="no such file"):
        codecs.read(tmp_path / "none.png")


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, about damaged EXIF data
@pytest.mark.parametrize("kind", ["png", "jpg", "webp", "bmp"])
def test_a_damaged_file_gives_pixels_or_one_line(tmp_path, kind):
    path = tmp_path / f"damaged.{kind}"
    whole = saved(path, FACE, exif=oriented(6)).read_bytes()
    rng = np.random.default_rng(0)
    for place in rng.integers(len(whole), size=60):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << int(rng.integers(8))
        for content in (bytes(damaged), whole[:place]):
            path.write_bytes(content)
            try:
                assert codecs.read(path).shape[2] == 3
            except ValueError as error:
                assert str(error).startswith(f"{path}: ")
                assert "\n" not in str(error)


def test_a_bomb_is_refused_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    large = saved(tmp_path / "large.png", WIDE[:5])  # 120 pixels: more than that, below twice that
    assert codecs.read(large).shape == (5, 24, 3)
    with pytest.raises(ValueError, match="not a readable picture"):
        codecs.read(saved(tmp_path / "bomb.png", FACE))


# Fitting


def test_fit_takes_the_centre_square():
    pixels = np.zeros((9, 20, 3), np.uint8)
    pixels[:, 5:14] = 200
    assert (codecs.fit(pixels, 9) == 200).all()
    assert codecs.fit(pixels, 4).shape == (4, 4, 3)


def test_fit_crops_before_it_resizes():
    pixels = np.zeros((30, 40, 1), np.uint8)
    pixels[10:20, 15:25] = 255
    assert (codecs.fit(pixels, 5, crop=10) == 255).all()
    assert codecs.fit(pixels, 5).min() == 0
    np.testing.assert_array_equal(codecs.fit(pixels, 5, crop=1000), codecs.fit(pixels, 5))


def test_fit_leaves_a_picture_of_the_size_alone():
    np.testing.assert_array_equal(codecs.fit(FACE, 24), FACE)


def test_shrinking_is_antialiased():
    stripes = np.zeros((64, 64, 1), np.uint8)
    stripes[:, ::2] = 255
    small = codecs.resize(stripes, 8, 8).astype(int)
    assert np.abs(small - 127.5).max() < 20  # a resampling without antialiasing gives 0 or 255


# Bytes and floats


def test_bytes_and_floats_are_exact_inverses():
    every = np.arange(256, dtype=np.uint8)
    floats = codecs.to_float(every)
    assert floats.dtype == np.float32
    assert (floats[0], floats[255]) == (-1, 1)
    np.testing.assert_array_equal(codecs.to_bytes(floats), every)
    np.testing.assert_array_equal(codecs.to_bytes(floats.astype(np.float64)), every)


def test_to_bytes_clips():
    np.testing.assert_array_equal(
        codecs.to_bytes(np.array([-9.0, -1, 0.001, 1, 9])), [0, 0, 128, 255, 255]
    )


# Writing


@pytest.mark.parametrize("kind", ["png", "bmp", "webp"])
@pytest.mark.parametrize("channels", [1, 3])
def test_write_is_lossless(tmp_path, kind, channels):
    path = tmp_path / f"new/folder/out.{kind}"
    codecs.write(path, WIDE[..., :channels])
    np.testing.assert_array_equal(codecs.read(path, channels), WIDE[..., :channels])
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_write_jpeg_is_near(tmp_path):
    codecs.write(tmp_path / "out.JPG", FACE)
    assert np.abs(codecs.read(tmp_path / "out.JPG").astype(int) - FACE).mean() < 6


def test_write_leaves_the_old_file_when_it_fails(tmp_path, monkeypatch):
    path = tmp_path / "out.png"
    codecs.write(path, FACE)
    before = path.read_bytes()

    def fail(self, target, **options):
        target.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", fail)
    with pytest.raises(OSError, match=r"No space left on device: .*out\.png"):
        codecs.write(path, FACE[::-1])
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_write_replaces_in_one_moment(tmp_path, monkeypatch):
    """Whoever reads while a picture is written sees the old one."""
    path = tmp_path / "out.png"
    codecs.write(path, FACE)
    save = Image.Image.save
    seen = []

    def watched(self, target, **options):
        save(self, target, **options)
        seen.append(codecs.read(path))

    monkeypatch.setattr(Image.Image, "save", watched)
    codecs.write(path, FACE[::-1])
    np.testing.assert_array_equal(seen[0], FACE)
    np.testing.assert_array_equal(codecs.read(path), FACE[::-1])


def test_write_keeps_what_came_with_the_picture(tmp_path):
    rgba = np.dstack([WIDE, np.full(WIDE.shape[:2], 99, np.uint8)])
    source = saved(tmp_path / "in.png", Image.fromarray(rgba), exif=oriented(6), icc_profile=b"icc")
    picture = codecs.read_picture(source)
    assert picture.format == "PNG"
    assert picture.pixels.shape == (24, 10, 3)
    codecs.write(tmp_path / "out.png", picture.pixels, like=picture)
    with Image.open(tmp_path / "out.png") as out:
        assert out.mode == "RGBA"
        assert out.info["icc_profile"] == b"icc"
        assert out.getexif()[0x010E] == "a description"
        assert out.getexif().get(0x0112, 1) == 1  # the pixels are upright already
        np.testing.assert_array_equal(np.asarray(out)[..., 3], 99)
    codecs.write(tmp_path / "out.jpg", picture.pixels, like=picture)
    assert Image.open(tmp_path / "out.jpg").mode == "RGB"


@pytest.mark.parametrize("mode", ["L", "LA", "1", "I;16"])
def test_read_picture_keeps_grey_grey(tmp_path, mode):
    grey = Image.fromarray(WIDE).convert("L").convert(mode)
    picture = codecs.read_picture(saved(tmp_path / "grey.png", grey))
    assert picture.pixels.shape == (10, 24, 1)
    assert (picture.alpha is not None) == (mode == "LA")


# Grids and animations


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 12), st.sampled_from([1, 3]), st.sampled_from([None, 1, 3, 20]))
def test_grid_holds_every_picture_in_its_place(count, channels, columns):
    pictures = np.random.default_rng(count).integers(1, 256, (count, 2, 3, channels), np.uint8)
    canvas = grids.grid(pictures, columns)
    columns = columns or int(np.ceil(np.sqrt(count)))
    rows = -(-count // columns)
    assert canvas.shape == (2 * rows, 3 * columns, channels)
    for i, picture in enumerate(pictures):
        y, x = 2 * (i // columns), 3 * (i % columns)
        np.testing.assert_array_equal(canvas[y : y + 2, x : x + 3], picture)
    assert (canvas == 0).sum() == canvas.size - pictures.size


@pytest.mark.parametrize("channels", [1, 3])
def test_gif_shows_every_frame_for_its_time(tmp_path, channels):
    frames = [np.full((8, 8, channels), level, np.uint8) for level in (0, 100, 255)]
    grids.write_gif(tmp_path / "out.gif", frames, 0.1)
    assert list(tmp_path.iterdir()) == [tmp_path / "out.gif"]
    with Image.open(tmp_path / "out.gif") as gif:
        assert (gif.n_frames, gif.info["loop"]) == (3, 0)
        for i, (level, milliseconds) in enumerate([(0, 100), (100, 100), (255, 2000)]):
            gif.seek(i)
            assert gif.info["duration"] == milliseconds
            assert np.abs(np.asarray(gif.convert("RGB")).astype(int) - level).max() < 5


# Drawn faces


def test_drawn_faces_depend_on_seed_and_number_alone():
    faces = drawn_faces(5, 16, seed=3)
    np.testing.assert_array_equal(faces[:2], drawn_faces(2, 16, seed=3))
    assert (faces[0] != faces[1]).any() and (faces != drawn_faces(5, 16, seed=4)).any()
    assert drawn_faces(2, 16, channels=1).shape == (2, 16, 16, 1)


def test_a_bitmap_of_another_header_is_read(tmp_path):
    """A BMP written by hand, bottom row first, as other programs write them."""
    pixels = bytes([1, 2, 3, 0, 4, 5, 6, 0])  # two rows of one BGR pixel, padded to four bytes
    header = b"BM" + struct.pack("<IHHI", 54 + 8, 0, 0, 54)
    header += struct.pack("<IiiHHIIiiII", 40, 1, 2, 1, 24, 0, 8, 0, 0, 0, 0)
    (tmp_path / "hand.bmp").write_bytes(header + pixels)
    np.testing.assert_array_equal(codecs.read(tmp_path / "hand.bmp"), [[[6, 5, 4]], [[3, 2, 1]]])
