"""How to complete, and the presets."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pictures import blend, masks
from search import latent
from search.objective import Objective

CONTEXTS = ("plain", "weighted")
GUIDES = ("auto", "none", "linear")


@dataclass(frozen=True)
class Options:
    """How to complete. context: whether known pixels count alike or by their nearness to the hole,
    within `window` pixels; blend: one of blend.METHODS; alternatives: results for each picture;
    guide: what says what to expect in the hole, "linear" the linear model of the training pictures,
    "auto" the best that a model has; fidelity: of a network's result, from 0, sharp, to 1, smooth
    and nearer to the truth on average; keep_tone: whether toned pictures, sepia or grey, stay so;
    per_layer: whether a search of a style-based model is over a style for each layer (W+);
    class_name: the class to search in, of a model of classes, "" for the one that fits best;
    as_class: the class to show what was found in, "" for the same.
    """

    search: latent.Search = latent.Search()
    objective: Objective = Objective()
    context: str = "plain"
    window: int = 15
    blend: str = "none"
    alternatives: int = 1
    guide: str = "none"
    fidelity: float = 0.0
    keep_tone: bool = False
    per_layer: bool = False
    class_name: str = ""
    as_class: str = ""

    def __post_init__(self):
        for name, choices in (
            ("context", CONTEXTS),
            ("blend", blend.METHODS),
            ("guide", GUIDES),
        ):
            if (value := getattr(self, name)) not in choices:
                raise ValueError(f"{name} is {value!r}; choose from {', '.join(choices)}")
        masks.check_window(self.window)
        if not 0 <= self.fidelity <= 1:
            raise ValueError(f"fidelity is {self.fidelity}; it must be from 0 to 1")


PRESETS = {
    # The original's last version: 1,000 iterations of Adam from a random z, pasted as it is.
    "original": Options(),
    # With 8 steps teeth are lost; more than 30 change little. The Gaussian prior in place of hard
    # clipping brings identities nearer; a heavier one more so, but smooths (on models/faces64).
    "best": Options(
        search=latent.Search("lbfgs", steps=30, start="ridge", clip="none", prior_weight=7),
        context="weighted",
        blend="poisson",
        guide="auto",
        keep_tone=True,
    ),
}


APPROACHES = {  # what belongs to some approaches alone
    "lr": ("adam", "momentum"),
    "schedule": ("adam", "momentum"),
    "beta1": ("adam",),
    "beta2": ("adam",),
    "eps": ("adam",),
    "momentum": ("momentum",),
    "hmc_beta": ("hmc",),
    "hmc_eps": ("hmc",),
    "hmc_l": ("hmc",),
    "hmc_anneal": ("hmc",),
    "tolerance": ("adam", "momentum", "lbfgs"),
    "patience": ("adam", "momentum", "lbfgs"),
}
# An option -> another, and the values of that with which the first has an effect.
EFFECTIVE = {name: ("approach", approaches) for name, approaches in APPROACHES.items()} | {
    "prior_weight": ("clip", ("none",)),
    "window": ("context", ("weighted",)),
}


# The options that belong to every way to complete; the others are a search's.
OF_ALL = frozenset({"alternatives", "blend", "fidelity", "keep_tone", "seed"})


def fields(options: Options) -> dict[str, Any]:
    """All options by name, those of the search and of the objective among them."""
    parts = {"search", "objective"}
    own = {name: value for name, value in vars(options).items() if name not in parts}
    return own | vars(options.search) | vars(options.objective)


def with_changes(options: Options, changes: Mapping[str, Any]) -> Options:
    """Options with some fields changed: its own, or those of its search and its objective. Raises
    ValueError for a name that none of them has, and for a change that would have no effect."""
    if unknown := changes.keys() - fields(options).keys():
        raise ValueError(
            f"no option {', '.join(sorted(unknown))}; choose from {', '.join(fields(options))}"
        )
    parts: dict[str, Any] = {}
    for name in ("search", "objective"):
        part = getattr(options, name)
        own = {k: v for k, v in changes.items() if k in vars(part)}
        parts[name] = dataclasses.replace(part, **own)
    rest = {k: v for k, v in changes.items() if k in vars(options)}
    changed = dataclasses.replace(options, **parts, **rest)
    for name in changes.keys() & EFFECTIVE.keys():
        other, values = EFFECTIVE[name]
        if (value := fields(changed)[other]) not in values:
            raise ValueError(
                f"{name} has no effect with {other} {value}; it belongs to {other} "
                f"{' or '.join(values)}"
            )
    return changed
