"""The configuration of the DCGAN's networks, saved with their weights."""

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

ARCHITECTURES = ("dcgan", "style")
D_NORMS = ("batch", "none", "layer", "spectral")
G_NORMS = ("batch", "none", "spectral")
CONDITIONS = ("none", "concat", "norm")
PRECISIONS = ("float32", "bfloat16")


@dataclass(frozen=True)
class Config:
    """What the two networks are; they are rebuilt from it.

    architecture: dcgan (dcgan.py), or style (stylegan.py), which has no norms and no attention.
    image_size: side in pixels, a power of two from 16 to 256. channels: 1 or 3. gf_dim, df_dim:
    filters of the layer nearest to the image. g_norm "spectral": batch norm, and a spectral norm of
    the kernels. attention: side of the maps to which both networks apply self-attention, 0: none.
    classes: names of the classes that pictures are made in, none or at least two. condition: how
    both networks learn of the class: "concat": it is joined to z and to the image (Mirza & Osindero
    2014); "norm": it scales and shifts the norms of the generator, and the discriminator projects
    on it (Miyato & Koyama 2018). coupled: instead of that, the last layers of the generator and the
    first of the discriminator, this many, are each class's own (Liu & Tuzel 2016).
    precision: inside the networks.
    Raises ValueError, with the value and the choices, for a field that is wrong.
    """

    image_size: int = 64
    channels: int = 3
    architecture: str = "dcgan"
    z_dim: int = 100
    gf_dim: int = 64
    df_dim: int = 64
    g_norm: str = "batch"
    d_norm: str = "batch"
    attention: int = 0
    classes: tuple[str, ...] = ()
    condition: str = "none"
    coupled: int = 0
    g_widths: tuple[int, ...] | None = None  # channels at 4x4, 8x8, ... where not those of gf_dim
    d_widths: tuple[int, ...] | None = None  # channels after each convolution, likewise
    precision: str = "float32"

    def __post_init__(self):
        must_be_among(
            self,
            image_size=(16, 32, 64, 128, 256),
            channels=(1, 3),
            architecture=ARCHITECTURES,
            g_norm=G_NORMS,
            d_norm=D_NORMS,
            condition=CONDITIONS,
            precision=PRECISIONS,
        )
        must_be_positive(self, "z_dim", "gf_dim", "df_dim")
        sides = [8 * 2**i for i in range(self.image_size.bit_length() - 4)]
        must_be_among(self, attention=(0, *sides))
        self._check_classes()
        if self.architecture == "style":
            for name, none in (
                *(("g_norm", "none"), ("d_norm", "none")),
                *(("attention", 0), ("coupled", 0)),
            ):
                if (value := getattr(self, name)) != none:
                    raise ValueError(
                        f"{name} is {value!r} with architecture style, which has its own way; "
                        f"choose {none}"
                    )

    def _check_classes(self) -> None:
        if not self.classes:
            if self.condition != "none" or self.coupled:
                raise ValueError("condition and coupled are about classes; there are none")
            return
        if len(set(self.classes)) != len(self.classes) or len(self.classes) < 2:
            raise ValueError(f"classes are {', '.join(self.classes)}; there must be two, or more")
        if (self.condition == "none") == (self.coupled == 0):
            raise ValueError(
                f"condition is {self.condition!r} and coupled {self.coupled}; of classes the "
                "networks learn in one of these ways"
            )
        must_be_among(self, coupled=tuple(range(len(self.generator_widths))))
        if self.condition == "norm" and self.g_norm == "none" and self.architecture == "dcgan":
            raise ValueError(
                "condition is 'norm' with g_norm none; choose g_norm batch or spectral"
            )

    @classmethod
    def from_dict(cls, values: Mapping) -> "Config":
        """From what config.json holds; fields it lacks get their defaults."""
        return cls(**pick(cls, values))

    @property
    def policy(self) -> str:
        """The dtype policy of the networks' layers, as Keras names it."""
        return "mixed_bfloat16" if self.precision == "bfloat16" else "float32"

    @property
    def generator_widths(self) -> tuple[int, ...]:
        """Channels at 4x4, 8x8, ... half the image size: 512, 256, 128, 64 at 64 pixels."""
        return self.g_widths or self._widths(self.gf_dim)[::-1]

    @property
    def discriminator_widths(self) -> tuple[int, ...]:
        """Channels at half the image size, a quarter, ... 4x4: 64, 128, 256, 512 at 64 pixels."""
        return self.d_widths or self._widths(self.df_dim)

    @property
    def style_widths(self) -> tuple[int, ...]:
        """Of a style-based generator, channels at 4x4, 8x8, ... the image size."""
        return (*self.generator_widths, max(1, self.generator_widths[-1] // 2))

    @property
    def style_count(self) -> int:
        """How many w's a style-based generator takes: two a resolution, 10 at 64 pixels."""
        return 2 * len(self.style_widths)

    @property
    def judging_widths(self) -> tuple[int, ...]:
        """Of its discriminator, channels at the image size, a half, ... 4x4."""
        return (max(1, self.discriminator_widths[0] // 2), *self.discriminator_widths)

    def _widths(self, filters: int) -> tuple[int, ...]:
        halvings = range(self.image_size.bit_length() - 3)
        return tuple(filters * min(8, 2**i) for i in halvings)

    def difference(self, other: "Config", any_size: bool = False) -> str | None:
        """The first field in which the networks of two configurations differ, in words. any_size
        asks for what never is: weights of one image size do not fit another."""
        names = (
            *("image_size", "channels", "architecture", "z_dim"),
            *("g_norm", "d_norm", "attention", "classes", "condition", "coupled"),
        )
        if found := first_difference(self, other, names):
            return found
        for name, what in (("generator_widths", "gf_dim"), ("discriminator_widths", "df_dim")):
            if (mine := getattr(self, name)) != (theirs := getattr(other, name)):
                return f"{what} gives widths {mine}, here {theirs}"
        return None


def pick(cls: type, values: Mapping) -> dict:
    """Those values that are fields of a dataclass; lists, as JSON has them, become tuples."""
    known = {f.name for f in dataclasses.fields(cls)}
    return {k: tuple(v) if isinstance(v, list) else v for k, v in values.items() if k in known}


def first_difference(one: object, other: object, names: Iterable[str]) -> str | None:
    """The first of these fields in which two configurations differ, in words."""
    for name in names:
        if (mine := getattr(one, name)) != (theirs := getattr(other, name)):
            return f"{name} is {mine}, here it is {theirs}"
    return None


def must_be_among(config: object, **choices: tuple) -> None:
    """Raises ValueError where a field is none of its choices."""
    for name, allowed in choices.items():
        if (value := getattr(config, name)) not in allowed:
            raise ValueError(f"{name} is {value!r}; choose from {', '.join(map(str, allowed))}")


def must_be_positive(config: object, *names: str) -> None:
    """Raises ValueError where a field is below 1."""
    for name in names:
        if (value := getattr(config, name)) < 1:
            raise ValueError(f"{name} is {value}; it must be at least 1")
