"""The methods that evaluate.py sets side by side, by name: presets, inpainting, mean and PPCA.

A name is NAME, NAME+BLEND (mean+poisson), or PRESET:OPTION=VALUE:... (best:steps=50:start=bank).
"""

import dataclasses
import re
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

import baselines
import blend
import completion
import images
from completion import PRESETS, Case, Options
from model import DCGAN

CHOICES = (*PRESETS, *baselines.INPAINTING, "mean", "ppca-K")
DEFAULTS = ["best", *baselines.INPAINTING]
FITTED = ["mean", "mean+poisson", "ppca-50", "ppca-200", "ppca-200+poisson"]  # with --train

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
        return np.stack([
            completion.square_result(case, generated, self.blend)
            for case, generated in zip(cases, self.generate(cases), strict=True)
        ])  # fmt: skip


@dataclass(frozen=True)
class Spec:
    """What a method's name says. components: of PPCA, 0 for the mean, None for what is not fitted;
    options: of a preset, None for the others."""

    name: str
    base: str
    blend: str
    components: int | None
    options: Options | None

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
        if changes and base not in PRESETS:
            raise ValueError(f"method {name}: only {', '.join(PRESETS)} take options")
        components = int(ppca[1]) if ppca else 0 if base == "mean" else None
        options = None
        if base in PRESETS:
            changes = [f"blend={blending}"] * bool(plus) + changes
            options = _changed(name, PRESETS[base], changes)
        return cls(name, base, blending or "none", components, options)


def _changed(name: str, options: Options, changes: Sequence[str]) -> Options:
    """`options` after "option=value" changes."""
    own = {**vars(options.objective), **vars(options.search), **vars(options)}
    known = {k: v for k, v in own.items() if type(v) in (int, float, str)}
    values = {}
    for change in changes:
        option, _, text = change.partition("=")
        if option not in known:
            raise ValueError(f"method {name}: no option {option!r}; it has {', '.join(known)}")
        try:
            values[option] = type(known[option])(text)
        except ValueError:
            raise ValueError(f"method {name}: {option} is {text!r}; it must be a number") from None
    return completion.with_changes(options, values)


def make(specs: Sequence[Spec], model: DCGAN | None, train: np.ndarray | None) -> list[Method]:
    """The methods, fitted. model: for presets; train: uint8 (N, S, S, C), for mean and PPCA.
    Raises ValueError where those lack it."""
    fits = [spec.components for spec in specs if spec.components is not None]
    if fits and train is None:
        raise ValueError("methods mean and ppca-K are fitted to the pictures of --train DIR")
    fitted = baselines.PPCA.fit(train, max(fits)) if fits else None
    return [_make(spec, model, fitted) for spec in specs]


def _make(spec: Spec, model: DCGAN | None, fitted: baselines.PPCA | None) -> Method:
    if spec.options:
        return _searching(spec.name, model, spec.options)
    if spec.components is not None:
        return Method(spec.name, _filling(fitted.truncated(spec.components).fill), spec.blend)
    return Method(spec.name, _filling(baselines.INPAINTING[spec.base]), spec.blend)


def _filling(fill: baselines.Fill) -> Generate:
    def generate(cases: Sequence[Case]) -> np.ndarray:
        known = [np.where(case.square_mask > 0, case.pixels, 0) for case in cases]
        masks = np.stack([case.square_mask for case in cases])
        return fill(images.to_float(np.stack(known)), masks)

    return generate


def _searching(name: str, model: DCGAN, options: Options) -> Method:
    def search(cases: Sequence[Case], options: Options) -> np.ndarray:
        moments = completion.search(model, cases, options)
        return deque(moments, maxlen=1)[0].generated

    one_step = dataclasses.replace(options.search, steps=1, restarts=1)
    brief = dataclasses.replace(options, search=one_step)
    return Method(
        name,
        lambda cases: search(cases, options),
        options.blend,
        lambda cases: search(cases, brief),
    )
