"""What a style is measured by, and the configuration of networks that paint in one."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from networks.config import first_difference, must_be_among, must_be_positive, pick
from networks.extractors import BLOCKS

STATISTICS = ("gram", "moments", "mmd-linear", "mmd-polynomial", "mmd-gaussian")
NETWORKS = ("transformation", "adain")
NORMS = ("instance", "batch")
DEFAULTS = {  # content blocks and style blocks, those that Gatys et al. take of vgg19
    "efficientnet-lite0": (("block4",), ("stem", "block1", "block2", "block3", "block4")),
    "vgg19": (("block4_conv2",), tuple(f"block{i}_conv1" for i in range(1, 6))),
}


@dataclass(frozen=True)
class Objective:
    """What a picture in another hand minimises: its content, style and variation, each weighted.

    extractor: whose features tell content and style, see networks.imagenet; content_blocks,
    style_blocks: which of them, default DEFAULTS; statistics: of the features that make the style,
    see training.statistics, where each loss has its formula and its unit.
    Raises ValueError, with the value and the choices.
    """

    extractor: str = "efficientnet-lite0"
    statistics: str = "gram"
    content_blocks: tuple[str, ...] = ()
    style_blocks: tuple[str, ...] = ()
    content_weight: float = 1.0
    style_weight: float = 20.0
    variation_weight: float = 3.0

    def __post_init__(self):
        must_be_among(self, extractor=tuple(BLOCKS), statistics=STATISTICS)
        for name, default in zip(
            ("content_blocks", "style_blocks"), DEFAULTS[self.extractor], strict=True
        ):
            object.__setattr__(self, name, getattr(self, name) or default)
            for block in getattr(self, name):
                if block not in (known := BLOCKS[self.extractor]):
                    raise ValueError(
                        f"{name} has {block!r}; {self.extractor} has {', '.join(known)}"
                    )

    @property
    def blocks(self) -> tuple[str, ...]:
        """All that are needed, in their order."""
        asked = {*self.content_blocks, *self.style_blocks}
        return tuple(block for block in BLOCKS[self.extractor] if block in asked)


@dataclass(frozen=True)
class StyleConfig:
    """A network that paints pictures of any size, after training on image_size x image_size.

    network: "transformation" (Johnson et al. 2016) knows its styles, by name, each with a scale and
    an offset of its norms (Dumoulin et al. 2017); "adain" (Huang and Belongie 2017) decodes
    features of encoder_blocks that have been given any style's moments. filters: next to the
    picture. norm: batch serves one style alone.
    Raises ValueError, with the value and the choices.
    """

    channels: ClassVar[int] = 3
    image_size: int = 256
    network: str = "transformation"
    styles: tuple[str, ...] = ("style",)
    norm: str = "instance"
    filters: int = 16
    residual: int = 3
    extractor: str = "efficientnet-lite0"
    encoder_blocks: tuple[str, ...] = ("stem", "block2", "block3", "block4")

    def __post_init__(self):
        must_be_among(self, network=NETWORKS, norm=NORMS, image_size=(16, 32, 64, 128, 256, 512))
        must_be_positive(self, "filters", "residual")
        if self.norm == "batch" and len(self.styles) > 1:
            raise ValueError(
                f"norm is batch with {len(self.styles)} styles; several take norm instance"
            )

    @classmethod
    def from_dict(cls, values: Mapping) -> "StyleConfig":
        """From what config.json holds; fields it lacks get their defaults."""
        return cls(**pick(cls, values))

    def difference(self, other: "StyleConfig", any_size: bool = False) -> str | None:
        """The first field in which two networks differ, in words; any_size: but for their pictures'
        size, as weights fit all."""
        its = {"transformation": ("norm", "residual"), "adain": ("extractor", "encoder_blocks")}
        sized = () if any_size else ("image_size", "styles")
        names = ("network", *sized, "filters", *its[self.network])
        return first_difference(self, other, names)
