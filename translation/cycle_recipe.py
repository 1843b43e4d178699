"""What a CycleGAN is and how it is trained; presets and flags. Importing it loads no network."""

from argparse import Namespace
from collections.abc import Mapping
from dataclasses import dataclass, fields

from networks.config import first_difference, must_be_among, must_be_positive, pick
from training.recipe import described, given

LOSSES = ("lsgan", "gan", "wgan-gp")
DIRECTIONS = {"A-B": "ab", "B-A": "ba"}  # how people write them, and how networks are called


@dataclass(frozen=True)
class CycleConfig:
    """Two generators and two discriminators; saved with the weights, rebuilt from it.

    image_size: side in pixels, a power of two from 16 to 256. channels: 1 or 3. filters, d_filters:
    of the layers nearest to the picture; blocks: of the generators, see networks.resnet. Raises
    ValueError, with the value and the choices.
    """

    image_size: int = 64
    channels: int = 3
    filters: int = 32
    d_filters: int = 32
    blocks: int = 6

    def __post_init__(self):
        must_be_among(self, image_size=(16, 32, 64, 128, 256), channels=(1, 3))
        must_be_positive(self, "filters", "d_filters", "blocks")

    @classmethod
    def from_dict(cls, values: Mapping) -> "CycleConfig":
        """From what config.json holds; fields it lacks get their defaults."""
        return cls(**pick(cls, values))

    def difference(self, other: "CycleConfig", any_size: bool = False) -> str | None:
        """The first field in which the networks of two configurations differ, in words; any_size:
        but for the image size, as weights fit every size from 64 pixels on."""
        fit = any_size and min(self.image_size, other.image_size) >= 64
        names = (f.name for f in fields(self) if not (fit and f.name == "image_size"))
        return first_difference(self, other, names)


@dataclass(frozen=True)
class CycleRecipe:
    """How a CycleGAN is trained.

    loss: of pictures judged, see training.losses. cycle: weight of the distance of a picture from
    what the way there and back makes of it; identity: share of that weight by which a picture of
    the other set shall stay as it is: without it colours may be inverted on both ways, on faces
    above all. pool: made pictures of which a discriminator sees earlier ones, half of the time.
    penalty: of wgan-gp. ema: half-life of the averaged generators in images. Raises ValueError,
    with the value and the choices.
    """

    loss: str = "lsgan"
    cycle: float = 10.0
    identity: float = 0.5
    pool: int = 50
    penalty: float = 10.0
    ema: float = 10_000.0
    g_lr: float = 0.0002
    d_lr: float = 0.0002
    beta1: float = 0.5
    beta2: float = 0.999
    batch_size: int = 4
    seed: int = 0

    def __post_init__(self):
        must_be_among(self, loss=LOSSES)
        must_be_positive(self, "batch_size")


PRESETS: dict[str, dict] = {
    # Zhu et al. 2017, section 4 and appendix 7: one picture a step, no averages.
    "original": {"filters": 64, "d_filters": 64, "blocks": 9, "batch_size": 1, "ema": 0.0},
    "best": {},
    # Kim et al. 2017 (DiscoGAN), section 2.2: cross-entropy, there and back weighs as much.
    "discogan": {"loss": "gan", "cycle": 1.0, "identity": 0.0, "pool": 0},
    # Yi et al. 2017 (DualGAN), section 3.2: Wasserstein's loss, here with a gradient penalty.
    "dualgan": {"loss": "wgan-gp", "cycle": 100.0, "identity": 0.0, "pool": 0},
}


def both(values: Mapping) -> tuple[CycleConfig, CycleRecipe]:
    """Configuration and recipe from their fields together, as config.json holds them."""
    return CycleConfig.from_dict(values), CycleRecipe(**pick(CycleRecipe, values))


def from_flags(arguments: Namespace) -> tuple[CycleConfig, CycleRecipe]:
    """The preset, then what was given by hand; --learning-rate sets all networks' rates."""
    return both(PRESETS[arguments.preset] | given(arguments))


def describe_presets() -> str:
    """What each preset contains, one line each, for --help."""
    return described(PRESETS, both)
