"""The configuration of a one-pass network; importing it loads no network."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

from networks.config import first_difference, must_be_among, must_be_positive, pick
from pictures.damage import Damage

KINDS = ("residual", "refined", "resnet", "paper")
GUIDES = ("linear", "none")


@dataclass(frozen=True)
class UNetConfig:
    """A one-pass network and its discriminator; saved with the weights, rebuilt from it.

    image_size: side in pixels, a power of two from 16 to 256. channels: 1 or 3. network:
    "residual", "refined", "resnet" or "paper", see networks.unet. filters, d_filters: of the layers
    nearest to the picture. guide: whether the picture that a network starts from is filled with
    what a linear model of `components` components expects, which has learned where things lie, or
    with grey. blocks: of resnet. damage: what it undoes, see pictures.damage. Raises ValueError,
    with the value and the choices.
    """

    image_size: int = 64
    channels: int = 3
    network: str = "residual"
    filters: int = 32
    d_filters: int = 48
    guide: str = "linear"
    components: int = 200
    blocks: int = 8
    damage: str = "hole"

    def __post_init__(self):
        must_be_among(
            self,
            image_size=(16, 32, 64, 128, 256),
            channels=(1, 3),
            network=KINDS,
            guide=GUIDES,
        )
        must_be_positive(self, "filters", "d_filters", "components", "blocks")
        self._check_damage()
        if self.network == "refined" and self.image_size < 64:
            raise ValueError(
                f"image_size is {self.image_size}, but a refined network has 64 or more"
            )
        if self.network == "paper" and self.guide != "none":
            raise ValueError(
                f"guide is {self.guide!r}, which the paper's network does not have; choose none"
            )

    def _check_damage(self) -> None:
        damage = Damage(self.damage)
        if self.channels == 1 and {"grey", "sepia"} & set(damage.parts):
            raise ValueError(
                f"damage is {self.damage!r}, which takes colours; choose 3 channels, not 1"
            )
        if self.image_size % (2 * damage.block) or self.image_size < 4 * damage.block:
            raise ValueError(
                f"damage is {self.damage!r}, of which {self.image_size} pixels show too little; "
                "choose a larger image_size"
            )

    @property
    def aligned(self) -> bool:
        """Whether it is of pictures in which everything has its place, as in aligned faces."""
        return self.guide == "linear"

    @classmethod
    def from_dict(cls, values: Mapping) -> "UNetConfig":
        """From what config.json holds; fields it lacks get their defaults."""
        return cls(**pick(cls, values))

    def difference(self, other: "UNetConfig", any_size: bool = False) -> str | None:
        """The first field in which the networks of two configurations differ, in words; any_size:
        but for the image size, as weights fit every size from 64 pixels on; for the damage, as what
        has learned to undo one can begin to learn another; and a network of half the size is the
        first part of a refined one."""
        if any_size and (self.network, other.network) == ("residual", "refined"):
            return self.difference(replace(other.half, damage=self.damage))
        fit = any_size and self.network in ("residual", "resnet") and self.image_size >= 64
        ignored = {"image_size"} if fit and other.image_size >= 64 else set()
        ignored |= {"damage"} if any_size else set()
        ignored |= {"blocks"} if self.network != "resnet" else set()
        return first_difference(
            self, other, (f.name for f in fields(self) if f.name not in ignored)
        )

    @property
    def half(self) -> "UNetConfig":
        """Of the network that a refined one begins with."""
        return replace(self, image_size=self.image_size // 2, network="residual")

    def widths(self, levels: int) -> list[int]:
        """Channels at the picture's size, a half, a quarter, ...: at most 8 filters."""
        return [self.filters * min(8, 2**level) for level in range(levels + 1)]
