"""The recipe: how a DCGAN is trained, apart from what it is; presets and flags."""

import dataclasses
from argparse import Namespace
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from networks.config import Config, must_be_among, must_be_positive, pick

LOSSES = ("gan", "hinge", "wgan-gp", "lsgan")
POLICIES = ("flip", "color", "translation", "cutout")  # of augmentation, in order


@dataclass(frozen=True)
class Recipe:
    """How a model is trained. Saved with the weights, for whoever goes on with them.

    r1: gamma of the penalty, 0: none; r1_every: steps from one to the next, which counts as many
    times (lazy regularisation, Karras et al. 2020). anchor: weight of showing pictures from their
    own z's, 0: none (anchor.py); perceptual: weight of ImageNet features in that. ema: half-life of
    the averaged generator, in images, 0: none. accumulate: parts of a batch that are computed one
    after another, their gradients added up: the numbers of the whole batch, but for batch norms, in
    a part's memory. seed: of the initial weights, of the order of the pictures and of every draw.
    Raises ValueError, with the value and the choices, for a field that is wrong.
    """

    loss: str = "gan"
    r1: float = 0.0
    r1_every: int = 1
    anchor: float = 0.0
    perceptual: float = 0.0
    augment: tuple[str, ...] = ()
    ema: float = 0.0
    g_lr: float = 0.0002
    d_lr: float = 0.0002
    beta1: float = 0.5
    g_steps: int = 2
    d_steps: int = 1
    batch_size: int = 64
    accumulate: int = 1
    seed: int = 0

    def __post_init__(self):
        must_be_among(self, loss=LOSSES)
        must_be_positive(self, "g_steps", "d_steps", "batch_size", "accumulate", "r1_every")
        if self.batch_size % self.accumulate:
            raise ValueError(
                f"accumulate is {self.accumulate}, into which batch_size {self.batch_size} cannot "
                "be divided equally"
            )
        if self.perceptual and not self.anchor:
            raise ValueError(
                f"perceptual is {self.perceptual} without anchor, which shows what is compared"
            )
        if unknown := set(self.augment) - set(POLICIES):
            raise ValueError(
                f"augment is {', '.join(sorted(unknown))}; choose from {', '.join(POLICIES)}"
            )

    @classmethod
    def from_dict(cls, values: Mapping) -> "Recipe":
        """From what config.json holds; fields it lacks get their defaults."""
        return cls(**pick(cls, values))

    def must_suit(self, config: Config) -> None:
        """Raises ValueError if networks of this configuration cannot be trained like this."""
        if self.loss == "wgan-gp" and config.d_norm in ("batch", "spectral"):
            raise ValueError(
                f"d_norm is {config.d_norm!r} with loss wgan-gp, whose penalty is on the gradient "
                "of each image alone and sets D's slope by itself; choose d_norm none or layer"
            )


def both(values: Mapping) -> tuple[Config, Recipe]:
    """Configuration and recipe from their fields together, as config.json holds them."""
    return Config.from_dict(values), Recipe.from_dict(values)


PRESETS: dict[str, dict] = {
    # The blog post's networks, the algorithm and defaults of the original's last version.
    "original": {},
    # For pictures whose parts have no fixed places, of which components say little.
    "unaligned": {"batch_size": 32, "augment": ("flip",), "ema": 10000.0},
    # For aligned ones. A longer z, half of the time a picture's own (anchor.py), and a smoother
    # discriminator; of what was compared, by far the best after equal time: docs/gan-family.md.
    "best": {
        **{"z_dim": 200, "d_norm": "spectral", "loss": "hinge", "anchor": 500.0, "g_steps": 1},
        **{"batch_size": 32, "augment": ("flip", "color"), "ema": 10000.0},
    },
}
# What a style-based network asks for: Karras et al. 2020, narrow, with the penalty of their later
# work on small pictures.
STYLE = {
    **{"architecture": "style", "g_norm": "none", "d_norm": "none", "gf_dim": 48, "df_dim": 48},
    **{"z_dim": 100, "loss": "gan", "anchor": 0.0, "augment": ("flip",)},
    **{"g_lr": 0.002, "d_lr": 0.002, "beta1": 0.0, "g_steps": 1, "r1": 0.5, "r1_every": 16},
}
_SHOWN = (
    *("z_dim", "loss", "g_norm", "d_norm", "g_lr", "d_lr", "r1", "anchor", "augment", "ema"),
    *("g_steps", "d_steps", "batch_size"),
)


def given(arguments: Namespace) -> dict:
    """The flags that were given by hand; --learning-rate is the rate of networks that got none."""
    flags = {k: v for k, v in vars(arguments).items() if v is not None}
    rate = flags.get("learning_rate")
    return ({} if rate is None else {"g_lr": rate, "d_lr": rate}) | flags


def described(presets: Mapping[str, dict], both: Callable[[Mapping], tuple]) -> str:
    """What each preset contains, one line each; both makes a configuration and a recipe of one."""
    lines = ["presets:"]
    for name, changes in presets.items():
        values = {k: v for part in both(changes) for k, v in dataclasses.asdict(part).items()}
        hidden = ("image_size", "channels", "seed")
        shown = (f"{k} {v}" for k, v in values.items() if k not in hidden)
        lines.append(f"  {name}: {', '.join(shown)}")
    return "\n".join(lines)


def describe_presets() -> str:
    """What each preset contains, one line each, for --help."""
    defaults = dataclasses.asdict(Config()) | dataclasses.asdict(Recipe())
    lines = ["presets:"]
    for name, changes in PRESETS.items():
        values = {field: (defaults | changes)[field] for field in _SHOWN}
        lines.append(f"  {name}: {_listed(values)}")
    changed = {k: v for k, v in STYLE.items() if k != "architecture"}
    lines.append(f"--architecture style changes of any: {_listed(changed)}")
    return "\n".join(lines)


def _listed(values: Mapping) -> str:
    words = {k: ",".join(v) or "none" if isinstance(v, tuple) else v for k, v in values.items()}
    return ", ".join(f"{k} {v}" for k, v in words.items())


def from_flags(arguments: Namespace) -> tuple[Config, Recipe]:
    """The preset, what the architecture asks for, then what was given by hand; --learning_rate sets
    both networks' rates. Raises ValueError for what cannot be or does not go together."""
    flags = given(arguments)
    if flags.get("classes") and not flags.get("coupled"):
        flags.setdefault("condition", "norm")
    style = STYLE if flags.get("architecture") == "style" else {}
    config, recipe = both(PRESETS[arguments.preset] | style | flags)
    recipe.must_suit(config)
    return config, recipe
