"""Masks: built-in holes, painted mask files, transparency, and what else a hole needs.

Inside the program a mask is float32 (H, W, 1), exactly 1 where the picture is known and 0 in the
hole. In a mask file, which people paint, white is the hole.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

import cli
from pictures import codecs
from pictures.files import Namesakes, real

CHOICES = (
    "random",
    "center",
    "left",
    "right",
    "top",
    "bottom",
    "full",
    "grid",
    "lowres",
    "pattern",
    "strokes",
)
PAINTS = ("white", "black", "transparent")  # which of a mask file is the hole
THRESHOLD = 128  # grey of a mask file from which on it counts as white
DARK, LIGHT = 48, 208  # of a photograph most is between them, of a mask little, however soft
LOOKED_AT = 1024  # pixels of the shorter side, for scratches; a larger picture is reduced
HOLE_TINT = np.array([255, 0, 96])  # seldom found in a photograph, in a face least of all


def make(
    kind: str,
    size: tuple[int, int],
    seed: int = 0,
    fraction: float = 0.2,
    center_scale: float = 0.25,
) -> np.ndarray:
    """A built-in mask, float32 (H, W, 1), for a picture of size (height, width).

    The same arguments give the same mask; pattern and strokes keep their shape when scaled.
    `full` knows everything and `lowres` nothing: a smaller picture is given with it, not by a mask.
    """
    if min(size) < 1:
        raise ValueError(f"a mask cannot have {size[0]} rows and {size[1]} columns")
    rng = np.random.default_rng(seed)
    makers = {
        "random": lambda: random_hole(size, rng, fraction),
        "center": lambda: center_hole(size, center_scale),
        "left": lambda: left_hole(size),
        "right": lambda: left_hole(size)[:, ::-1],
        "top": lambda: left_hole(size[::-1]).T,
        "bottom": lambda: left_hole(size[::-1]).T[::-1],
        "full": lambda: np.zeros(size, bool),
        "grid": lambda: grid_hole(size),
        "lowres": lambda: np.ones(size, bool),
        "pattern": lambda: pattern_hole(size, rng),
        "strokes": lambda: strokes_hole(size, rng),
    }
    if kind not in makers:
        raise ValueError(f"unknown mask {kind!r}; choose from {', '.join(CHOICES)}")
    return from_hole(makers[kind]())


def from_hole(hole: np.ndarray) -> np.ndarray:
    """bool (H, W), True = hole, to a mask."""
    return (~hole[:, :, None]).astype(np.float32)


def to_file(mask: np.ndarray) -> np.ndarray:
    """A mask as people see it, uint8 (H, W, 1): white is the hole."""
    return np.where(mask > 0, np.uint8(0), np.uint8(255))


def random_hole(size: tuple[int, int], rng: np.random.Generator, fraction: float) -> np.ndarray:
    """Every pixel by itself is hidden with probability `fraction`."""
    if not 0 <= fraction <= 1:
        raise ValueError(f"fraction {fraction} of hidden pixels is not between 0 and 1")
    return rng.random(size) < fraction


def center_hole(size: tuple[int, int], scale: float) -> np.ndarray:
    """A rectangle that leaves `scale` of the height and width on each side; nothing at 0.5."""
    if not 0 < scale <= 0.5:
        raise ValueError(f"centerScale {scale} must be above 0 and at most 0.5")
    hole = np.zeros(size, bool)
    rows, columns = (slice(int(length * scale), int(length * (1 - scale))) for length in size)
    hole[rows, columns] = True
    return hole


def left_hole(size: tuple[int, int]) -> np.ndarray:
    """The left half."""
    hole = np.zeros(size, bool)
    hole[:, : size[1] // 2] = True
    return hole


def grid_hole(size: tuple[int, int]) -> np.ndarray:
    """Everything but each fourth pixel of each fourth row."""
    hole = np.ones(size, bool)
    hole[::4, ::4] = False
    return hole


def pattern_hole(size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Irregular blobs over a quarter of the picture, like the random regions of Pathak et al. 2016.

    Coarse noise, eight cells along the shorter side, enlarged smoothly; the lowest quarter is hole.
    """
    cells = [max(1, round(8 * length / min(size))) for length in size]
    noise = rng.random(cells)
    smooth = cv2.resize(noise, size[::-1], interpolation=cv2.INTER_CUBIC).reshape(size)
    hole = np.zeros(smooth.size, bool)
    hole[np.argsort(smooth, axis=None)[: round(smooth.size / 4)]] = True
    return hole.reshape(size)


def strokes_hole(size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Zigzags of a round brush, as free-form masks are drawn by Yu et al. 2019 (algorithm 1).

    Vertices, turns, lengths and widths are distributed as theirs, relative to the picture; each
    stroke has a heading of its own, and they are added until a fifth is hidden.
    """
    height, width = size
    canvas = np.zeros(size, np.uint8)
    length = np.hypot(height, width) / 8
    while canvas.mean() < 0.2:
        points = [rng.random(2) * (width, height)]
        heading = rng.uniform(0, 2 * np.pi)
        for vertex in range(rng.integers(4, 13)):
            turn = 2 * np.pi / 5 + rng.uniform(-1, 1) * 2 * np.pi / 15
            angle = heading + (turn if vertex % 2 else -turn)
            reach = np.clip(rng.normal(length, length / 2), 0, 2 * length)
            step = reach * np.array([np.cos(angle), np.sin(angle)])
            points.append(np.clip(points[-1] + step, 0, (width - 1, height - 1)))
        brush = max(1, round(rng.uniform(12, 40) / 256 * min(size)))
        cv2.polylines(canvas, [np.int32(points)], False, 1, thickness=brush)
    return canvas == 1


def from_file(
    path: Path | str,
    size: tuple[int, int] | None = None,
    paint: str | None = None,
    turn: int = 1,
    tell: Callable[[str], None] = cli.tell,
) -> np.ndarray:
    """The mask in a file, float32 (H, W, 1).

    paint: one of PAINTS, which is the hole; grey is split at THRESHOLD. Where it is not said, white
    is; or what is transparent, if the file's colours say nothing: they hold no white, or are those
    of a photograph. `size`, the (height, width) of a picture, resizes the mask: a pixel is hole if
    any hole pixel of the file reaches into it, so that no thin scratch is lost. The mask has the
    picture's proportions, to a pixel, as it is shown, or else as its file stores it before its EXIF
    turn (`turn`): then it is turned with it, which is told. Raises ValueError for a file that is no
    picture or no mask, that has other proportions, or that hides everything or nothing.
    """
    if paint not in (None, *PAINTS):
        raise ValueError(f"unknown mask paint {paint!r}; choose from {', '.join(PAINTS)}")
    picture = codecs.read_picture(path)
    paint = paint or _paint(path, picture)
    hole = _hole(picture, paint)
    if not hole.any():
        raise ValueError(f"{path}: hides nothing: no pixel of the mask is {paint}")
    if size is not None:
        if not _fits(hole.shape, size) and turn > 4 and _fits(hole.shape[::-1], size):
            hole = codecs.turned(hole, turn)
            tell(f"{path}: made for the picture as its file stores it; turned with it")
        if not _fits(hole.shape, size):
            sides = [f"{width}x{height}" for height, width in (hole.shape, size)]
            raise ValueError(
                f"{path}: is {sides[0]} pixels, the picture {sides[1]}: a mask has its picture's "
                "proportions, and is painted over all of it"
            )
        hole = _resize_hole(hole, size)
    if hole.all():
        raise ValueError(
            f"{path}: hides everything: paint only what is to be filled {paint}, and leave the rest"
        )
    return from_hole(hole)


def _paint(path: Path | str, picture: codecs.Picture) -> str:
    """What is the hole of a mask of which nobody said it."""
    grey = codecs.to_grey(picture.pixels)
    opaque = True if picture.alpha is None else _opacity(picture) >= THRESHOLD
    levels = np.bincount(grey[opaque].ravel(), minlength=256)
    is_photograph = levels[DARK:LIGHT].sum() > levels.sum() / 2
    if np.all(opaque):
        if is_photograph:
            raise ValueError(
                f"{path}: looks like a photograph, not like a mask: paint what is to be filled "
                "white, on black"
            )
        return "white"
    if is_photograph or not levels[THRESHOLD:].any():
        return "transparent"
    raise ValueError(
        f"{path}: is white in parts and transparent in parts: say with --mask-hole which is the "
        "hole, white or transparent"
    )


def _hole(picture: codecs.Picture, paint: str) -> np.ndarray:
    """bool (H, W), True = hole. What is not painted, as it is transparent, is known; unless being
    transparent is what makes it the hole."""
    if paint == "transparent":
        return np.zeros(picture.pixels.shape[:2], bool) | (_opacity(picture) < 255)
    grey = codecs.to_grey(picture.pixels)
    if paint == "black":
        grey = 255 - grey
    if picture.alpha is not None:
        grey = np.round(grey * (_opacity(picture) / 255))
    return grey >= THRESHOLD


def _opacity(picture: codecs.Picture) -> np.ndarray:
    return np.uint8(255) if picture.alpha is None else codecs.to_eight_bits(picture.alpha)


def _fits(shape: tuple[int, int], size: tuple[int, int]) -> bool:
    """Whether one is the other, both (height, width), resized, to a pixel of the smaller one."""
    smaller, larger = sorted((shape, size))
    least = max((length - 1) / whole for length, whole in zip(smaller, larger, strict=True))
    most = min((length + 1) / whole for length, whole in zip(smaller, larger, strict=True))
    return least <= most


def _resize_hole(hole: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    if hole.shape == size:
        return hole
    for axis, length in enumerate(size):
        before = hole.shape[axis]
        start = np.arange(length) * before // length
        stop = -(-np.arange(1, length + 1) * before // length)  # rounded up
        hole = _window_sums(hole, start, stop=stop, axis=axis) > 0
    return hole


def _window_sums(values: np.ndarray, start: np.ndarray, stop: np.ndarray, axis: int) -> np.ndarray:
    """Sums of whole numbers over start[i]:stop[i] along an axis; exact, and linear in time."""
    sums = np.cumsum(values, axis=axis, dtype=np.int64)
    sums = np.insert(sums, 0, 0, axis=axis)
    return np.take(sums, stop, axis) - np.take(sums, start, axis)


def from_alpha(alpha: np.ndarray, name: Path | str = "alpha") -> np.ndarray:
    """The mask of a picture with transparent parts; alpha: uint8 or uint16 (H, W); `name` is for
    the message.

    Every pixel that is not fully opaque is hole: the fringe of a soft eraser is as damaged as its
    centre, and as known pixels stay as they are, it would show as a ring.
    """
    hole = alpha < np.iinfo(alpha.dtype).max
    if not hole.any():
        raise ValueError(f"{name}: has no transparent pixel to fill")
    if hole.all():
        raise ValueError(f"{name}: has no fully opaque pixel to start from")
    return from_hole(hole)


def detect_scratches(pixels: np.ndarray, name: Path | str = "the picture") -> np.ndarray:
    """A mask that proposes as the hole what looks like scratches in uint8 (H, W, C): thin lines,
    lighter or darker than what is around them. To be looked at: wires and hair are thin, too.

    Morphological, nothing is learned. Of what a top hat (or black hat) leaves, openings by lines of
    16 directions keep what is straight for a while; where that is long, it is a scratch, and with
    it the bends that join it, if they are no more than three times as much. Raises ValueError where
    nothing is found; `name` is for the message.
    """
    grey, least = codecs.to_grey(pixels), min(pixels.shape[:2])
    if least > LOOKED_AT:
        factor = LOOKED_AT / least
        grey = cv2.resize(grey, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    elif least >= 128:  # grain is no line
        grey = cv2.GaussianBlur(grey, (3, 3), 0)
    side = min(grey.shape)
    thick, length = max(3, round(0.015 * side)), max(5, round(0.05 * side)) | 1
    around = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * thick + 1, 2 * thick + 1))
    found = np.zeros(grey.shape, bool)
    for hat in (cv2.MORPH_TOPHAT, cv2.MORPH_BLACKHAT):
        left = cv2.morphologyEx(grey, hat, around)
        sure = max(50, 5 * np.median(left))
        seeds, straight = np.zeros(grey.shape, bool), np.zeros_like(grey)
        for line in _lines(length):
            opened = cv2.morphologyEx(left, cv2.MORPH_OPEN, line)
            straight = np.maximum(straight, opened)
            parts, sizes, extents = _components(opened > sure / 2)
            long = (extents >= 0.18 * side) & (sizes <= 1.5 * thick * extents)
            long &= np.bincount(parts[opened > sure], minlength=len(sizes)) > 0
            seeds |= long[parts] & (parts > 0)
        parts, sizes, _ = _components(straight > sure / 2)
        joined = np.bincount(parts[seeds], minlength=len(sizes)) >= sizes / 4
        found |= seeds | (joined[parts] & (parts > 0))
    if not found.any():
        raise ValueError(f"{name}: no scratches found; paint a mask")
    mask = dilate(from_hole(found), max(1, 0.004 * side))  # soft edges
    return from_hole(_resize_hole(mask[..., 0] == 0, pixels.shape[:2]))


def _lines(length: int) -> Iterator[np.ndarray]:
    """Straight lines through the middle of length x length pixels, in 16 directions."""
    middle = length // 2
    for angle in np.arange(16) * np.pi / 16:
        line = np.zeros((length, length), np.uint8)
        across, down = round(middle * np.cos(angle)), round(middle * np.sin(angle))
        ends = (middle - across, middle - down), (middle + across, middle + down)
        yield cv2.line(line, *ends, color=1)


def _components(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Connected parts of bool (H, W), by number, 0 for the rest; their areas and diagonals."""
    _, parts, stats, _ = cv2.connectedComponentsWithStats(np.uint8(pixels), connectivity=8)
    diagonals = np.hypot(stats[:, cv2.CC_STAT_WIDTH], stats[:, cv2.CC_STAT_HEIGHT])
    return parts, stats[:, cv2.CC_STAT_AREA], diagonals


def match(pictures: Sequence[Path], mask: Path, what: str = "mask") -> dict[Path, Path]:
    """The mask file of each picture: the one file `mask`, or that of the same stem in the folder.

    Of several with one stem, the one whose own folder is named like the picture's is taken. No
    picture is its own mask; `what` else it may be, and is called in messages. Raises ValueError
    naming the pictures that have no mask, or more than one, or are given as it.
    """
    if what == "mask" and real(mask) in map(real, pictures):
        raise ValueError(f"{mask}: is the picture itself; transparent holes: --mask-alpha")
    files = Namesakes(mask)
    found = {
        picture: files.of(picture, but=real(picture) if what == "mask" else None)
        for picture in pictures
    }
    for count, problem in ((0, f"no {what}"), (2, f"more than one {what}")):
        names = [p.name for p, masks in found.items() if min(len(masks), 2) == count]
        if names:
            others = f" and {len(names) - 3} more" if len(names) > 3 else ""
            raise ValueError(
                f"{mask}: {problem} for {', '.join(names[:3])}{others}; a {what} is a picture of "
                "the same name, whatever its suffix, or give one file for all"
            )
    return {picture: masks[0] for picture, masks in found.items()}


def dilate(mask: np.ndarray, pixels: float) -> np.ndarray:
    """The mask with its hole grown by `pixels` in every direction, by Euclidean distance."""
    if pixels < 0:
        raise ValueError(f"cannot dilate by {pixels} pixels: give 0 or more")
    hole = mask[:, :, 0] == 0
    rows, columns = (np.flatnonzero(hole.any(axis=axis)) for axis in (1, 0))
    if not len(rows) or not pixels:
        return mask
    reach = int(np.ceil(pixels)) + 1
    near = np.s_[
        max(0, rows[0] - reach) : rows[-1] + reach + 1,
        max(0, columns[0] - reach) : columns[-1] + reach + 1,
    ]
    known = (~hole[near]).astype(np.uint8)
    distance = cv2.distanceTransform(known, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    hole[near] = distance.reshape(known.shape) <= pixels + 1e-3
    return from_hole(hole)


def overlay(pixels: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The picture, uint8 (H, W, 1 or 3), with its hole tinted, to check a mask: (H, W, 3)."""
    colour = np.broadcast_to(pixels, (*pixels.shape[:2], 3))
    tinted = (0.4 * colour + 0.6 * HOLE_TINT).round().astype(np.uint8)
    return np.where(mask == 0, tinted, colour)


def neighbourhood_weights(mask: np.ndarray, window: int = 15) -> np.ndarray:
    """How much each known pixel counts in the weighted contextual loss: (H, W, 1) in [0, 1].

    Yeh et al. 2017 (arXiv 1607.07539v3, section 3.2): at a known pixel i, W_i is the sum of 1 - M_j
    over its window N(i), divided by |N(i)|; 0 in the hole. N(i) holds pixels that exist, so it is
    smaller at the border of the picture: what lies beyond is neither known nor hole.

    A mask without a hole is its own weights: with nothing to be near, all pixels count alike.
    """
    check_window(window)
    hole = mask[:, :, 0] == 0
    if not hole.any():
        return mask.copy()
    hidden, pixels = hole, np.ones_like(hole)
    for axis, length in enumerate(hole.shape):
        start = np.maximum(np.arange(length) - window // 2, 0)
        stop = np.minimum(np.arange(length) + window // 2 + 1, length)
        hidden = _window_sums(hidden, start, stop=stop, axis=axis)
        pixels = _window_sums(pixels, start, stop=stop, axis=axis)
    return mask * (hidden / pixels)[:, :, None].astype(np.float32)


def check_window(window: int) -> None:
    """Raises ValueError for a window that neighbourhood_weights cannot take."""
    if window < 3 or window % 2 == 0:
        raise ValueError(f"window {window} must be odd and at least 3")
