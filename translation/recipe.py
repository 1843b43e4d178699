"""How a one-pass network is trained, apart from what it is; presets and flags."""

from argparse import Namespace
from collections.abc import Mapping
from dataclasses import dataclass

from networks.config import must_be_among, must_be_positive, pick
from networks.unet_config import UNetConfig
from training.recipe import described, given

LOSSES = ("gan", "hinge")
PENALTY_EVERY = 8  # steps: the penalty changes slowly (Karras et al. 2020, appendix B)
PERCEPTUAL_PIXELS = 128  # pictures are enlarged to, for ImageNet's features


@dataclass(frozen=True)
class Recipe:
    """How a one-pass network is trained.

    l1: weight of the distance to the truth, see losses.completion_l1; known: of the known pixels in
    it. whole: plain L1 over the whole picture instead, and D judges all that G makes, known pixels
    included, where else it judges the hole filled. adversarial: weight of the generator's loss,
    from step adversarial_from on; before, there is no discriminator. feature_matching: weight of
    the distance between D's features of the completed and of the true picture; perceptual: of that
    between ImageNet features, see networks.imagenet. d_weight: of D's loss. r1: gamma of D's
    gradient penalty. smooth: share of each batch that is trained for fidelity 1, by the distance to
    the truth alone; hinted: share that is given a hint of the truth, what the linear model makes of
    all of it. ema: half-life of the averaged generator in images. clip_norm: the most that G's
    gradient may measure. freeze: G's layers at 1 / 2^freeze of the size and below keep the weights
    that they begin with. 0 turns each of these off. prior: the folder of a DCGAN of the same
    pictures, relative to this model's, that searches where that is asked for; it is not trained.
    Raises ValueError, with the value and the choices.
    """

    loss: str = "hinge"
    l1: float = 10.0
    known: float = 0.1
    whole: bool = False
    adversarial: float = 0.2
    adversarial_from: int = 1500
    feature_matching: float = 2.0
    perceptual: float = 0.0
    d_weight: float = 1.0
    r1: float = 1.0
    smooth: float = 0.25
    hinted: float = 0.1875
    ema: float = 10_000.0
    g_lr: float = 0.0003
    d_lr: float = 0.0003
    beta1: float = 0.5
    beta2: float = 0.99
    clip_norm: float = 5.0
    freeze: int = 0
    batch_size: int = 16
    seed: int = 0
    prior: str = ""

    def __post_init__(self):
        must_be_among(self, loss=LOSSES)
        must_be_positive(self, "batch_size")
        if not 0 <= self.smooth <= 1 - self.hinted <= 1:
            raise ValueError(
                f"smooth is {self.smooth} and hinted {self.hinted}: they must be 0 or more, and "
                "together at most 1"
            )


PRESETS: dict[str, dict] = {
    # Isola et al. 2017, section 3.3 and appendix 6: batch norm, dropout, L1 x 100, cross-entropy,
    # D's loss halved, Adam of 2e-4 and .5, one picture a step; from the damaged picture alone.
    "original": {
        "network": "paper",
        "filters": 64,
        "guide": "none",
        "loss": "gan",
        "l1": 100.0,
        "whole": True,
        "adversarial": 1.0,
        "adversarial_from": 0,
        "feature_matching": 0.0,
        "d_weight": 0.5,
        "r1": 0.0,
        "smooth": 0.0,
        "hinted": 0.0,
        "ema": 0.0,
        "g_lr": 0.0002,
        "d_lr": 0.0002,
        "beta2": 0.999,
        "clip_norm": 0.0,
        "batch_size": 1,
    },
    # Ledig et al. 2017 (SRGAN), section 3.2: residual blocks, features of an ImageNet network, a
    # thousandth of cross-entropy, Adam of 1e-4 and .9, 16 pictures a step; first, as they begin
    # with the network of a mean square, by distance alone. Features are of EfficientNet, not VGG.
    "srgan": {
        "network": "resnet",
        "filters": 16,
        "blocks": 16,
        "guide": "none",
        "damage": "lowres:4",
        "loss": "gan",
        "l1": 1.0,
        "adversarial": 0.001,
        "adversarial_from": 10_000,
        "feature_matching": 0.0,
        "perceptual": 1.0,
        "r1": 0.0,
        "smooth": 0.0,
        "ema": 0.0,
        "g_lr": 0.0001,
        "d_lr": 0.0001,
        "beta1": 0.9,
        "beta2": 0.999,
        "clip_norm": 0.0,
    },
    # With the features of an ImageNet network; --perceptual 0 does without its weights.
    "best": {"perceptual": 4.0},
}


def both(values: Mapping) -> tuple[UNetConfig, Recipe]:
    """Configuration and recipe from their fields together, as config.json holds them."""
    return UNetConfig.from_dict(values), Recipe(**pick(Recipe, values))


def from_flags(arguments: Namespace) -> tuple[UNetConfig, Recipe]:
    """The preset, then what was given by hand; --learning-rate sets both networks' rates. Of a
    damage that is no hole alone all of the picture is made, and no hint of it given."""
    values = PRESETS[arguments.preset] | given(arguments)
    if values.get("damage", "hole") != "hole":
        values |= {"whole": True, "hinted": 0.0}
    return both(values)


def describe_presets() -> str:
    """What each preset contains, one line each, for --help."""
    return described(PRESETS, both)
