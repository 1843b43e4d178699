"""The configuration of a model and of its training, saved with the weights."""

import dataclasses
from argparse import Namespace
from dataclasses import dataclass

LOSSES = ("gan", "hinge", "wgan-gp")
D_NORMS = ("batch", "none", "layer", "spectral")
G_NORMS = ("batch", "none")
POLICIES = ("flip", "color", "translation", "cutout")  # of augmentation, in order
PRECISIONS = ("float32", "bfloat16")


@dataclass(frozen=True)
class Config:
    """A model and its recipe. Saved with the weights; the networks are rebuilt from it.

    image_size: side in pixels, a power of two from 16 to 256. channels: 1 or 3. gf_dim, df_dim:
    filters of the layer nearest to the image. r1: gamma of the penalty, 0: none. ema: half-life of
    the averaged generator, in images, 0: none. precision: inside the networks.
    Raises ValueError, with the value and the choices, for a combination that is wrong.
    """

    image_size: int = 64
    channels: int = 3
    z_dim: int = 100
    gf_dim: int = 64
    df_dim: int = 64
    g_norm: str = "batch"
    d_norm: str = "batch"
    g_widths: tuple[int, ...] | None = None  # channels at 4x4, 8x8, ... where not those of gf_dim
    d_widths: tuple[int, ...] | None = None  # channels after each convolution, likewise
    loss: str = "gan"
    r1: float = 0.0
    augment: tuple[str, ...] = ()
    ema: float = 0.0
    g_lr: float = 0.0002
    d_lr: float = 0.0002
    beta1: float = 0.5
    g_steps: int = 2
    d_steps: int = 1
    batch_size: int = 64
    precision: str = "float32"
    seed: int = 0

    def __post_init__(self):
        choices = {
            "image_size": (16, 32, 64, 128, 256),
            "channels": (1, 3),
            "loss": LOSSES,
            "g_norm": G_NORMS,
            "d_norm": D_NORMS,
            "precision": PRECISIONS,
        }
        for name, allowed in choices.items():
            if (value := getattr(self, name)) not in allowed:
                raise ValueError(f"{name} is {value!r}; choose from {', '.join(map(str, allowed))}")
        for name in ("z_dim", "gf_dim", "df_dim", "g_steps", "d_steps", "batch_size"):
            if (value := getattr(self, name)) < 1:
                raise ValueError(f"{name} is {value}; it must be at least 1")
        if unknown := set(self.augment) - set(POLICIES):
            raise ValueError(
                f"augment is {', '.join(sorted(unknown))}; choose from {', '.join(POLICIES)}"
            )
        if self.loss == "wgan-gp" and self.d_norm in ("batch", "spectral"):
            raise ValueError(
                f"d_norm is {self.d_norm!r} with loss wgan-gp, whose penalty is on the gradient of "
                "each image alone and sets D's slope by itself; choose d_norm none or layer"
            )

    @classmethod
    def from_dict(cls, values: dict) -> "Config":
        """From what config.json holds; fields it lacks get their defaults."""
        known = {f.name for f in dataclasses.fields(cls)}
        as_tuples = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        return cls(**{k: v for k, v in as_tuples.items() if k in known})

    @property
    def generator_widths(self) -> tuple[int, ...]:
        """Channels at 4x4, 8x8, ... half the image size: 512, 256, 128, 64 at 64 pixels."""
        return self.g_widths or self._widths(self.gf_dim)[::-1]

    @property
    def discriminator_widths(self) -> tuple[int, ...]:
        """Channels at half the image size, a quarter, ... 4x4: 64, 128, 256, 512 at 64 pixels."""
        return self.d_widths or self._widths(self.df_dim)

    def _widths(self, filters: int) -> tuple[int, ...]:
        halvings = range(self.image_size.bit_length() - 3)
        return tuple(filters * min(8, 2**i) for i in halvings)

    def difference(self, other: "Config") -> str | None:
        """The first field in which the networks of two configurations differ, in words."""
        for name in ("image_size", "channels", "z_dim", "g_norm", "d_norm"):
            if (mine := getattr(self, name)) != (theirs := getattr(other, name)):
                return f"{name} is {mine}, here it is {theirs}"
        for name, what in (("generator_widths", "gf_dim"), ("discriminator_widths", "df_dim")):
            if (mine := getattr(self, name)) != (theirs := getattr(other, name)):
                return f"{what} gives widths {mine}, here {theirs}"
        return None


PRESETS: dict[str, dict] = {
    # The blog post's networks, the algorithm and defaults of the original's last version.
    "original": {},
    # Twice the steps for the same time, mirrored faces, and averaged weights to sample from.
    "best": {"batch_size": 32, "augment": ("flip",), "ema": 10000.0},
}


def describe_presets() -> str:
    """What each preset contains, one line each, for --help."""
    defaults = {f.name: f.default for f in dataclasses.fields(Config)}
    shown = (
        "loss",
        "g_norm",
        "d_norm",
        "g_lr",
        "d_lr",
        "r1",
        "augment",
        "ema",
        "g_steps",
        "d_steps",
        "batch_size",
    )
    lines = ["presets:"]
    for name, changes in PRESETS.items():
        values = {field: (defaults | changes)[field] for field in shown}
        values["augment"] = ",".join(values["augment"]) or "none"
        lines.append(f"  {name}: " + ", ".join(f"{k} {v}" for k, v in values.items()))
    return "\n".join(lines)


def from_flags(arguments: Namespace) -> Config:
    """The preset, then what was given by hand; --learning_rate sets both networks' rates."""
    fields = {f.name for f in dataclasses.fields(Config)}
    given = {k: v for k, v in vars(arguments).items() if v is not None}
    rate = given.get("learning_rate")
    rates = {} if rate is None else {"g_lr": rate, "d_lr": rate}
    by_hand = rates | {k: v for k, v in given.items() if k in fields}
    return Config(**(PRESETS[arguments.preset] | by_hand))
