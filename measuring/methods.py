"""The methods that evaluate.py sets side by side, by name: models, inpainting, mean and PPCA.

A name is NAME, then +BLEND (mean+poisson), then :OPTION=VALUE for each option to change: those of
complete.py (search:steps=50:start=bank, network:fidelity=1) and model=DIR, another folder than
--checkpointDir; or the caution of PPCA (ppca-200:caution=30). A model of fewer pixels completes
pictures made smaller, and what it makes is enlarged.
"""

import re
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Self

import numpy as np

from completion import METHODS, Completer
from completion.case import Case, enlarged, reduced
from completion.finish import square_result
from completion.options import PRESETS, Options, fields, with_changes
from measuring import baselines
from pictures import blend
from search.pca import PPCA

# Of models: the options, and the way to complete, None for the one that the model is made for.
MODELS = {
    "original": (PRESETS["original"], "search"),
    "best": (PRESETS["best"], None),
    **{way: (PRESETS["best"], way) for way in METHODS},
}
CHOICES = (*MODELS, *baselines.INPAINTING, "mean", "ppca-K")
DEFAULTS = ["best", *baselines.INPAINTING]
FITTED = [
    "mean",
    "mean+poisson",
    "ppca-50",
    "ppca-200",
    "ppca-200+poisson",
    "ppca-200+poisson:caution=30",
]  # with --train

Generate = Callable[[Sequence[Case]], np.ndarray]


@dataclass(frozen=True)
class Method:
    """A way to complete. generate: cases -> float (N, S, S, C), whose holes are blended in; what
    warm_up does (tracing, fitting starts) is no part of the time that a picture takes."""

    name: str
    generate: Generate
    blend: str = "none"
    warm_up: Callable[[Sequence[Case]], None] = lambda cases: None

    def complete(self, cases: Sequence[Case]) -> np.ndarray:
        """uint8 (N, S, S, C), the known pixels as they were."""
        return np.stack(
            [
                square_result(case, generated, self.blend)
                for case, generated in zip(cases, self.generate(cases), strict=True)
            ]
        )


@dataclass(frozen=True)
class Spec:
    """What a method's name says. components, caution: of PPCA, 0 components for the mean, None for
    what is not fitted; options: of a model, None for the others; way: one of completion.METHODS;
    model: its folder, "" for the one of --checkpointDir."""

    name: str
    base: str
    blend: str
    components: int | None
    caution: float = 1.0
    options: Options | None = None
    way: str | None = None
    model: str = ""

    @classmethod
    def parse(cls, name: str) -> Self:
        """Raises ValueError, with the choices, for what is no name of a method."""
        base, *changes = name.split(":")
        base, plus, blending = base.partition("+")
        ppca = re.fullmatch(r"ppca-([1-9]\d*)", base)
        if base not in CHOICES[:-1] and not ppca:
            raise ValueError(f"unknown method {base!r}; choose from {', '.join(CHOICES)}")
        if plus and blending not in blend.METHODS:
            raise ValueError(f"method {name}: choose +BLEND from {', '.join(blend.METHODS)}")
        if base in MODELS:
            preset, way = MODELS[base]
            values = {"blend": blending} if plus else {}
            values |= _values(name, fields(preset) | {"model": ""}, changes)
            model = values.pop("model", "")
            options = with_changes(preset, values)
            return cls(name, base, blend="", components=None, options=options, way=way, model=model)
        caution = _values(name, {"caution": 1.0} if ppca else {}, changes).get("caution", 1.0)
        if not caution > 0:
            raise ValueError(f"method {name}: caution is {caution}; it must be above 0")
        components = int(ppca[1]) if ppca else 0 if base == "mean" else None
        return cls(name, base, blend=blending or "none", components=components, caution=caution)


def _values(name: str, options: dict, changes: Sequence[str]) -> dict:
    """The values of "option=value" changes, as numbers where the options are numbers."""
    known = {k: v for k, v in options.items() if type(v) in (int, float, str)}
    values = {}
    for change in changes:
        option, _, text = change.partition("=")
        if option not in known:
            choices = ", ".join(known) or "none"
            raise ValueError(f"method {name}: no option {option!r}; it has {choices}")
        try:
            values[option] = type(known[option])(text)
        except ValueError:
            raise ValueError(f"method {name}: {option} is {text!r}; it must be a number") from None
    return values


def make(
    specs: Sequence[Spec],
    completers: Mapping[tuple[str | None, str], Completer],
    train: np.ndarray | None,
) -> list[Method]:
    """The methods, fitted. completers: by the way and the model of a spec; train: uint8
    (N, S, S, C), for mean and PPCA. Raises ValueError where those lack it."""
    fits = [spec.components for spec in specs if spec.components is not None]
    if fits and train is None:
        raise ValueError("methods mean and ppca-K are fitted to the pictures of --train DIR")
    fitted = baselines.fit(train, max(fits)) if fits else None
    return [_make(spec, completers, fitted) for spec in specs]


def _make(
    spec: Spec,
    completers: Mapping[tuple[str | None, str], Completer],
    fitted: PPCA | None,
) -> Method:
    if spec.options:
        completer = completers[spec.way, spec.model]
        return _completing(spec.name, completer, completer.checked(spec.options))
    if spec.components is not None:
        fill = partial(baselines.fill, fitted.truncated(spec.components), caution=spec.caution)
        return Method(spec.name, _filling(fill), spec.blend)
    return Method(spec.name, _filling(baselines.INPAINTING[spec.base]), spec.blend)


def _filling(fill: baselines.Fill) -> Generate:
    def generate(cases: Sequence[Case]) -> np.ndarray:
        masks = np.stack([case.square_mask for case in cases])
        known = np.where(masks > 0, np.stack([case.square for case in cases]), -1)
        return fill(known, masks)

    return generate


def _completing(name: str, completer: Completer, options: Options) -> Method:
    def complete(cases: Sequence[Case]) -> np.ndarray:
        fitting = [reduced(case, completer.size) for case in cases]
        generated = deque(completer.complete(fitting, options), maxlen=1)[0].generated
        return np.stack([enlarged(made, len(cases[0].square)) for made in generated])

    def warm_up(cases: Sequence[Case]) -> None:
        fitting = [reduced(case, completer.size) for case in cases]
        _ = next(completer.complete(fitting, options)).generated

    return Method(name, complete, blend=options.blend, warm_up=warm_up)
