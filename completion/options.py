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
    "auto" the best that a model has.
    """

    search: latent.Search = latent.Search()
    objective: Objective = Objective()
    context: str = "plain"
    window: int = 15
    blend: str = "none"
    alternatives: int = 1
    guide: str = "none"

    def __post_init__(self):
        for name, choices in (
            ("context", CONTEXTS),
            ("blend", blend.METHODS),
            ("guide", GUIDES),
        ):
            if (value := getattr(self, name)) not in choices:
                raise ValueError(f"{name} is {value!r}; choose from {', '.join(choices)}")
        masks.check_window(self.window)


PRESETS = {
    # The original's last version: 1,000 iterations of Adam from a random z, pasted as it is.
    "original": Options(),
    # With 8 steps teeth are lost; more than 30 change little. The Gaussian prior in place of hard
    # clipping brings identities nearer; a heavier one would keep what the model made itself from
    # being found again exactly (both on models/faces64).
    "best": Options(
        search=latent.Search("lbfgs", steps=30, start="ridge", clip="none", prior_weight=0.3),
        context="weighted",
        blend="poisson",
        guide="auto",
    ),
}


def fields(options: Options) -> dict[str, Any]:
    """All options by name, those of the search and of the objective among them."""
    parts = {"search", "objective"}
    own = {name: value for name, value in vars(options).items() if name not in parts}
    return own | vars(options.search) | vars(options.objective)


def with_changes(options: Options, changes: Mapping[str, Any]) -> Options:
    """Options with some fields changed: its own, or those of its search and its objective. Raises
    ValueError for a name that none of them has."""
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
    return dataclasses.replace(options, **parts, **rest)
