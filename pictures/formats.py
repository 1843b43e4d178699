"""The kinds of picture files: which are read, which are written, and what each can hold.

The one list: folders, files by name, masks, the page and every --format or --out go by it. Others
that Pillow knows are left out: they run programs (EPS), or hold no picture (MPEG, HDF5).
"""

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Format:
    """name: Pillow's; suffixes: those of its files, the usual one first; written: whether it is
    written here, and then alpha: with transparency; deep: with 16 bits; longest: the longest side
    in pixels; keeps: which of Picture.keep; options: for Pillow's save.
    """

    name: str
    suffixes: tuple[str, ...]
    written: bool = False
    alpha: bool = False
    deep: bool = False
    longest: int = 2**31 - 1
    keeps: tuple[str, ...] = ()
    options: dict = field(default_factory=dict)


FORMATS = (
    Format(
        name="PNG",
        suffixes=(".png", ".apng"),
        written=True,
        alpha=True,
        deep=True,
        keeps=("exif", "icc_profile", "dpi", "xmp", "chunks"),
    ),
    Format(
        name="JPEG",
        suffixes=(".jpg", ".jpeg", ".jpe", ".jfif", ".jif"),
        written=True,
        longest=65_500,
        keeps=("exif", "icc_profile", "dpi", "xmp"),
        options={"quality": 95, "subsampling": 0},
    ),
    Format(
        name="WEBP",
        suffixes=(".webp",),
        written=True,
        alpha=True,
        longest=16_383,
        keeps=("exif", "icc_profile", "xmp"),
        options={"lossless": True, "exact": True},
    ),
    Format(name="BMP", suffixes=(".bmp", ".dib"), written=True, keeps=("dpi",)),
    Format(
        name="TIFF",
        suffixes=(".tif", ".tiff"),
        written=True,
        alpha=True,
        keeps=("exif", "icc_profile", "dpi", "xmp"),
        options={"compression": "tiff_adobe_deflate"},
    ),
    Format("GIF", (".gif",)),
    Format("AVIF", (".avif", ".avifs")),
    Format("HEIF", (".heic", ".heif", ".hif")),  # with the package pillow-heif
    Format("JPEG2000", (".jp2", ".j2k", ".jpf", ".jpx", ".j2c", ".jpc")),
    Format("PPM", (".ppm", ".pgm", ".pbm", ".pnm", ".pfm")),
    Format("TGA", (".tga",)),
    Format("PSD", (".psd",)),
    Format("ICO", (".ico",)),
    Format("ICNS", (".icns",)),
    Format("PCX", (".pcx",)),
    Format("SGI", (".sgi", ".rgb", ".rgba", ".bw")),
    Format("QOI", (".qoi",)),
    Format("DDS", (".dds",)),
    Format("XBM", (".xbm",)),
    Format("XPM", (".xpm",)),
)
SUFFIXES = tuple(suffix for known in FORMATS for suffix in known.suffixes)
HEIC = "HEIF"  # Pillow's name of what takes a package of its own
READ = (*(known.name for known in FORMATS if known.name != HEIC), "DIB")  # Pillow's names
USUAL = tuple(known.suffixes[0] for known in FORMATS)
WRITTEN = tuple(known.suffixes[0].removeprefix(".") for known in FORMATS if known.written)


def for_writing(path: Path | str) -> Format:
    """The format that a file of this name is written in. ValueError where there is none."""
    suffix = Path(path).suffix.lower()
    for known in FORMATS:
        if known.written and suffix in known.suffixes:
            return known
    wrong = f"pictures are not written as {suffix}" if suffix else "a picture's name has a suffix"
    raise ValueError(f"{path}: {wrong}; choose {', '.join(WRITTEN)}")
