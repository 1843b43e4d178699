"""Damage, to learn from how it is undone: drawn by seed, on floats in [-1, 1].

Each damage poses a problem to whoever undoes it:

hole: what is missing, given where it is. lowres:N (2, 4, 8): the picture of which these are the
means over N x N pixels. mosaic:N (4, 8): the same, each mean shown as a block; mosaic:N:region:
inside a box, and sharp around it. grey: the colours of a brightness. sepia: the same, seen through
a brown tone. fade: the contrast and colours before the whites yellowed and the blacks paled. noise:
the picture under grain. blur: before it was out of focus. jpeg: before it was compressed hard.
scratches: under light or dark lines of which nobody says where they are. old: all of the last
seven, each or not, as old photographs have them. pairs: whatever ready pairs show.

Several but holes are joined by "+" and happen in that order: blur+lowres:4+noise.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from pictures import averages, codecs, masks

LETTERS = "ABDEGHKMNPRSTWXYZ2468&"
PAIRS = "pairs"  # ready ones: nothing is drawn
CHOICES = (
    *("hole", "lowres:2", "lowres:4", "lowres:8"),
    *("mosaic:4", "mosaic:8", "mosaic:4:region", "mosaic:8:region"),
    *("grey", "sepia", "fade", "noise", "blur", "jpeg", "scratches", "old"),
)


@dataclass(frozen=True)
class Damage:
    """name: of one damage or several, as above. Raises ValueError, with the choices."""

    name: str

    def __post_init__(self):
        if self.name == PAIRS:
            return
        for part in self.parts:
            if part not in CHOICES:
                raise ValueError(
                    f"damage is {self.name!r}; choose from {', '.join(CHOICES)}, or several "
                    "joined by +"
                )
        if sum(part.startswith("lowres") for part in self.parts) > 1:
            raise ValueError(f"damage is {self.name!r}; a picture is made smaller once")
        if "hole" in self.parts[1:] or self.parts[0] == "hole" != self.name:
            raise ValueError(
                f"damage is {self.name!r}; holes are learned alone, complete.py fills them, and "
                "translate.py mends the rest"
            )

    @property
    def parts(self) -> list[str]:
        return self.name.split("+")

    @cached_property
    def factor(self) -> int:
        """How many times smaller a damaged picture is along a side."""
        return next((_number(part) for part in self.parts if part.startswith("lowres")), 1)

    @cached_property
    def block(self) -> int:
        """The side in pixels of the squares that it takes together; 1 where it does not."""
        parts = [part for part in self.parts if part.startswith(("lowres", "mosaic"))]
        return max(map(_number, parts), default=1)

    def of(self, picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """The damaged picture as somebody has it, float32 (H / factor, W / factor, C), of a whole
        one (H, W, C) in [-1, 1]; of a hole nothing is seen in it, see draw_hole."""
        scale = min(picture.shape[:2]) / 64  # strengths are in pixels of a picture of 64
        for part in self.parts:
            make = MAKERS.get(part.partition(":")[0])
            if make:
                picture = make(picture, rng, part=part, scale=scale)
                picture = np.clip(picture, -1, 1).astype(np.float32)
        return picture

    def enlarged(self, damaged: np.ndarray) -> np.ndarray:
        """A damaged picture (H, W, C) at the size of the whole one, as networks see it: float32
        (factor H, factor W, C), bicubic, in [-1, 1]."""
        return np.clip(averages.enlarged(damaged, self.factor), -1, 1)

    def restored(self, made: np.ndarray, given: np.ndarray, smooth: int = 3) -> np.ndarray:
        """What a network made of a damaged picture, with what is known of the whole one put back.

        made: float32 (H, W, C) in [-1, 1]; given: the damaged picture, (H / factor, W / factor, C).
        lowres and mosaic: means over blocks are those given; grey: brightness is that given; of
        a mosaic in a region what is no block stays as given. Other damages leave nothing known.
        smooth: see averages.with_means.
        """
        match self.name.partition(":")[0]:
            case _ if "+" in self.name:
                return made
            case "lowres":
                return averages.with_means(made, given, self.block, smooth)
            case "mosaic":
                means = averages.block_means(given, self.block)
                whole = averages.with_means(made, means, self.block, smooth)
                if not self.name.endswith("region"):
                    return whole
                flat = np.abs(given - averages.blocks(means, self.block, given.shape)) < 4 / 127.5
                flat = averages.block_means(np.float32(flat.all(axis=2, keepdims=True)), self.block)
                return np.where(averages.blocks(flat, self.block, given.shape) == 1, whole, given)
            case "grey":
                return averages.with_brightness(made, given)
        return made

    def miss(self, restored: np.ndarray, given: np.ndarray) -> float | None:
        """By how many grey levels a restored picture, damaged again, is off at most; None where the
        damage leaves nothing that could be compared."""
        if "+" in self.name or not self.name.startswith(("lowres", "mosaic", "grey")):
            return None
        if self.name == "grey":
            pair = averages.grey(restored), averages.grey(given)
        elif self.factor > 1:
            pair = averages.block_means(restored, self.block), given
        else:
            pair = (averages.block_means(picture, self.block) for picture in (restored, given))
        first, second = pair
        return float(np.abs(first - second).max() * 127.5)


def make_pairs(
    pictures: np.ndarray, numbers: np.ndarray, seed: int, damage: str = "hole"
) -> tuple[np.ndarray, ...]:
    """Of clean pictures (N, S, S, C) what a step takes: half of them mirrored, and masks; of other
    damage than holes masks know everything, and the damaged pictures follow, at that size.

    damage "pairs": pictures are (N, S, S, 2 C), each with its damaged one in the second half.
    What is drawn depends on the seed and each picture's number in the run, see data.pipeline.
    """
    mirrored = [np.random.default_rng((seed, 0, number)).random() < 0.5 for number in numbers]
    pictures = np.where(np.reshape(mirrored, (-1, 1, 1, 1)), pictures[:, :, ::-1], pictures)
    if damage == "hole":
        holes = [draw_hole(pictures.shape[1], (seed, 1, number)) for number in numbers]
        return pictures, np.stack(holes)
    known = np.ones((*pictures.shape[:3], 1), np.float32)
    if damage == PAIRS:
        pictures, damaged = np.split(pictures, 2, axis=3)
        return pictures, known, damaged
    kind = Damage(damage)
    damaged = [
        kind.enlarged(kind.of(picture, np.random.default_rng((seed, 2, number))))
        for picture, number in zip(pictures, numbers, strict=True)
    ]
    return pictures, known, np.stack(damaged)


def _number(part: str) -> int:
    return int(part.split(":")[1])


# Damages: float (H, W, C) in [-1, 1], what decides the draws, the part of the name, pixels of a
# picture of 64 -> the same, or smaller; the caller clips


def _lowres(picture, rng, part, scale):
    return averages.block_means(picture, _number(part))


def _mosaic(picture, rng, part, scale):
    block = _number(part)
    shown = averages.blocks(averages.block_means(picture, block), block, picture.shape)
    if not part.endswith("region"):
        return shown
    height, width = picture.shape[:2]
    grid = -(-height // block), -(-width // block)
    inside = rectangles(grid, rng)  # of whole blocks
    return np.where(averages.blocks(inside, block, picture.shape)[..., None], shown, picture)


def _grey(picture, rng, part, scale):
    return np.repeat(averages.grey(picture), picture.shape[2], axis=2)


def _sepia(picture, rng, part, scale):
    """From dark brown to cream, by brightness."""
    if picture.shape[2] == 1:
        return picture
    brightness = (averages.grey(picture) + 1) / 2
    dark = np.array((0.16, 0.08, 0.03)) * rng.uniform(0.3, 1.5)
    light = np.array((1.0, 0.93, 0.78)) + rng.uniform(-0.06, 0.04, 3)
    bend = np.array((0.85, 1.0, 1.15)) ** rng.uniform(0.3, 1.2)
    return 2 * (dark + (light - dark) * brightness**bend) - 1


def _fade(picture, rng, part, scale):
    """Blacks pale, whites darken and yellow, on one side more than on the other."""
    y, x = _axes(picture.shape[:2])
    angle = rng.uniform(0, 2 * np.pi)
    along = (x - 0.5) * np.cos(angle) + (y - 0.5) * np.sin(angle)
    amount = 1 + rng.uniform(0, 0.8) * along[..., None]
    cast = rng.uniform(0.7, 1.3, picture.shape[2])
    black = rng.uniform(0.1, 0.35) * cast * amount
    white = 1 - rng.uniform(0, 0.25) * np.linspace(0.5, 1.5, picture.shape[2]) * amount
    return 2 * (black + (white - black) * (picture + 1) / 2) - 1


def _noise(picture, rng, part, scale):
    """Grain: alike in all channels, and a little in each."""
    strength = rng.uniform(0.03, 0.14)
    own = rng.normal(0, 0.4 * strength, picture.shape)
    return picture + rng.normal(0, strength, (*picture.shape[:2], 1)) + own


def _blur(picture, rng, part, scale):
    blurred = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.5, 1.6) * scale)
    return blurred.reshape(picture.shape)


def _jpeg(picture, rng, part, scale):
    quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(12, 60))]
    coded = cv2.imencode(".jpg", codecs.to_bytes(picture)[..., ::-1], quality)[1]
    found = cv2.imdecode(coded, cv2.IMREAD_UNCHANGED)
    return codecs.to_float(found.reshape(picture.shape)[..., ::-1])


def _scratches(picture, rng, part, scale):
    """Most of them light, soft at their edges."""
    drawn = np.float32(scratches(picture.shape[:2], rng))
    opacity = cv2.GaussianBlur(drawn, (0, 0), 0.45 * scale) * rng.uniform(0.7, 1)
    level = rng.uniform(0.6, 1) if rng.random() < 0.7 else rng.uniform(-1, -0.6)
    return picture + opacity[..., None] * (level - picture)


def _old(picture, rng, part, scale):
    """What an old photograph has, in the order in which it befell it."""
    tone = rng.choice(["grey", "sepia", ""], p=[0.35, 0.5, 0.15])
    chances = {"blur": 0.5, "fade": 0.7, "scratches": 0.6, "noise": 0.6, "jpeg": 0.4}
    befell = [name for name, chance in chances.items() if rng.random() < chance]
    for name in filter(None, [tone, *befell] if befell else [tone, "fade"]):
        picture = np.clip(MAKERS[name](picture, rng, part=name, scale=scale), -1, 1)
        picture = np.float32(picture)
    return picture


MAKERS: dict[str, Callable] = {
    "lowres": _lowres,
    "mosaic": _mosaic,
    "grey": _grey,
    "sepia": _sepia,
    "fade": _fade,
    "noise": _noise,
    "blur": _blur,
    "jpeg": _jpeg,
    "scratches": _scratches,
    "old": _old,
}


# Holes


def draw_hole(size: int, seed: tuple[int, ...]) -> np.ndarray:
    """A mask, float32 (size, size, 1), 1 = known, decided by the seed: one of HOLES, by weight.

    Never everything, never nothing, and of half of the draws the mirror image.
    """
    rng = np.random.default_rng(seed)
    makers, weights = zip(*HOLES, strict=True)
    chances = np.array(weights) / sum(weights)
    while True:
        hole = makers[rng.choice(len(makers), p=chances)]((size, size), rng)
        if rng.random() < 0.5:
            hole = hole[:, ::-1]
        if 0 < hole.mean() <= 0.75:
            return masks.from_hole(hole)


def centre(size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """The centre hole of the tables, or one of another size nearby."""
    if rng.random() < 0.7:
        return masks.center_hole(size, 0.25)
    margin, shift = rng.uniform(0.18, 0.36), rng.uniform(-0.08, 0.08, 2)
    return _box(size, shift + margin, shift + 1 - margin)


def rectangles(size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """One to three boxes, each of a tenth to six tenths of a side."""
    hole = np.zeros(size, bool)
    for _ in range(rng.integers(1, 4)):
        extent = rng.uniform(0.1, 0.6, 2)
        corner = rng.uniform(-0.1, 1.1 - extent)
        hole |= _box(size, corner, corner + extent)
    return hole


def half(size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """A side of the picture, a fifth to six tenths of it, straight or slanted."""
    y, x = _axes(size)
    angle = rng.choice(4) * np.pi / 2 + rng.choice([0.0, rng.uniform(-0.4, 0.4)])
    along = (x - 0.5) * np.cos(angle) + (y - 0.5) * np.sin(angle)
    return along > (0.0 if rng.random() < 0.5 else rng.uniform(-0.1, 0.3))


def border(size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """A frame, some of its sides, or a torn corner."""
    y, x = _axes(size)
    if rng.random() < 0.4:
        reach = rng.uniform(0.3, 0.9)
        return (x if rng.random() < 0.5 else 1 - x) + (y if rng.random() < 0.5 else 1 - y) < reach
    sides, width = rng.random(4) < 0.6, rng.uniform(0.05, 0.25, 4)
    near = np.where(sides, width, -1)
    return (x < near[0]) | (1 - x < near[1]) | (y < near[2]) | (1 - y < near[3])


def sunglasses(size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Both eyes of an aligned face, as sunglasses or a bar hide them."""
    y, x = _axes(size)
    centre_y, reach = rng.uniform(0.14, 0.28), rng.uniform(0.08, 0.16)
    if rng.random() < 0.4:
        margin = rng.uniform(0, 0.15)
        return (abs(y - centre_y) < reach) & (x > margin) & (x < 1 - margin)
    hole = (abs(y - centre_y) < rng.uniform(0.02, 0.05)) & (x >= 0)
    for centre_x in (0.25 + rng.uniform(-0.05, 0.05), 0.75 + rng.uniform(-0.05, 0.05)):
        hole |= ((x - centre_x) / rng.uniform(0.18, 0.26)) ** 2 + ((y - centre_y) / reach) ** 2 < 1
    return hole


def text(size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Lines of letters across the picture, as captions and watermarks are."""
    canvas = np.zeros(size, np.uint8)
    scale = rng.uniform(0.3, 0.8) * min(size) / 64
    line = max(6, round(24 * scale))
    first = rng.integers(line, 2 * line + 1)
    for baseline in range(first, size[0] + line, round(line * rng.uniform(1.2, 3))):
        letters = "".join(rng.choice(list(LETTERS), 30))
        place = (int(rng.integers(-line, line)), int(baseline))
        weight = max(1, round(rng.uniform(1, 2.5) * scale))
        cv2.putText(canvas, letters, place, cv2.FONT_HERSHEY_SIMPLEX, scale, 1, weight)
    return canvas > 0


def scratches(size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Thin crooked lines, and specks of dust."""
    canvas = np.zeros(size, np.uint8)
    for _ in range(rng.integers(3, 12)):
        ends = rng.uniform(-0.1, 1.1, (2, 2))
        share = np.linspace(0, 1, 6)[:, None]
        points = ends[0] + share * (ends[1] - ends[0]) + rng.normal(0, 0.02, (6, 2))
        thickness = max(1, round(rng.uniform(0.5, 2.5) * min(size) / 64))
        cv2.polylines(canvas, [np.int32(points * size[::-1])], False, 1, thickness)
    for _ in range(rng.integers(0, 10)):
        place = np.int32(rng.random(2) * size[::-1])
        cv2.circle(canvas, place.tolist(), max(1, round(rng.uniform(1, 3) * min(size) / 64)), 1, -1)
    return canvas > 0


HOLES: tuple[tuple[Callable, float], ...] = (
    (centre, 0.35),
    (rectangles, 0.13),
    (masks.strokes_hole, 0.13),
    (masks.pattern_hole, 0.10),
    (half, 0.09),
    (border, 0.06),
    (sunglasses, 0.06),
    (text, 0.04),
    (scratches, 0.04),
)


def _axes(size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Rows (H, 1) and columns (1, W), pixel centres in (0, 1)."""
    height, width = size
    return (np.arange(height)[:, None] + 0.5) / height, (np.arange(width)[None] + 0.5) / width


def _box(size: tuple[int, int], low: np.ndarray, high: np.ndarray) -> np.ndarray:
    y, x = _axes(size)
    return (y >= low[0]) & (y < high[0]) & (x >= low[1]) & (x < high[1])
