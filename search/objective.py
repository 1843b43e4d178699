"""What a completion minimises, by name; the formulas are in training/losses.py."""

from dataclasses import dataclass

NORMS = ("l1", "l2")
PERCEPTUAL = ("generator", "paper")
LOWRES_BLOCKS = 8  # blocks a side of the `lowres` mask


@dataclass(frozen=True)
class Objective:
    """What a completion minimises: contextual + lam * perceptual + features * distance, per image.

    norm: of the contextual loss; perceptual: the form of the perceptual loss; features: weight of
    the distance in ImageNet features between what is generated and the same with the known pixels
    put in, which differ around the hole; lowres: whether block means are given too. Raises
    ValueError, with the value and the choices.
    """

    lam: float = 0.1
    norm: str = "l1"
    perceptual: str = "generator"
    features: float = 0.0
    lowres: bool = False

    def __post_init__(self):
        for name, choices in (("norm", NORMS), ("perceptual", PERCEPTUAL)):
            if (value := getattr(self, name)) not in choices:
                raise ValueError(f"{name} is {value!r}; choose from {', '.join(choices)}")
