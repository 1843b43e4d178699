"""The second way to complete: a network that has learned to fill holes, in one pass."""

import copy
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np

import cli
from completion import Completer, Guide, Moment
from completion.case import Case, enlarged, reduced
from completion.options import OF_ALL, Options
from networks.unet_config import UNetConfig
from search.linear import Given, LinearModel
from training import checkpoint
from translation.running import Exported

if TYPE_CHECKING:
    from translation.pix2pix import Pix2Pix

WIDTH = 8  # pictures computed at once; a single one is computed alone


class OnePass:
    """A Completer by a pix2pix network, restored when it is first needed.

    Its first Moment is the picture filled as the linear model of the training pictures expects, the
    second what the network makes of that. For later draws it is told what the hole shall roughly
    show: what a prior's search has found, or else a draw from what the linear
    model of the training pictures finds possible there, given the known pixels.
    """

    kind = "pix2pix"

    def __init__(
        self,
        path: Path | None,
        config: UNetConfig,
        linear: LinearModel | None,
        fingerprint: Callable[[], str],
        restore: Callable[[], "Pix2Pix | Exported"],
    ):
        self.path, self.linear = path, linear
        self.prior: Completer | None = None
        self.size, self.channels = config.image_size, config.channels
        self.draws = linear is not None and config.guide == "linear"
        self._told = config.network != "paper"  # of fidelity
        self._expects = self._told and config.guide == "linear"
        self.fingerprint, self._restore = fingerprint, restore

    @property
    def heeds(self) -> set[str]:
        return OF_ALL | {"guide"} | (set(self.prior.heeds) if self.prior else set())

    @classmethod
    def of(cls, model: "Pix2Pix") -> Self:
        """Complete by a model at hand."""
        return cls(
            path=model.state.path,
            config=model.config,
            linear=model.state.linear,
            fingerprint=model.state.fingerprint,
            restore=lambda: model,
        )

    @classmethod
    def of_checkpoint(cls, saved: checkpoint.Checkpoint) -> Self:
        # What is kept refers to none of the arrays: the model has them anew.
        path, exported = saved.path, saved.exported
        fingerprint = saved.config.get("fingerprint") or checkpoint.fingerprint(
            saved.weights | saved.linear
        )

        def restore() -> "Pix2Pix | Exported":
            if exported:
                return Exported(path)
            cli.import_tensorflow()
            from translation.pix2pix import Pix2Pix

            return Pix2Pix.restore(path)

        return cls(
            path=path,
            config=UNetConfig.from_dict(saved.config),
            linear=LinearModel.from_arrays(saved.linear) if saved.linear else None,
            fingerprint=lambda: fingerprint,
            restore=restore,
        )

    def advised(self, prior: Completer) -> Self:
        """The same network, with alternatives that the prior finds."""
        other = copy.copy(self)
        other.prior, other._restore = prior, lambda: self.model
        other.fingerprint = lambda: f"{self.fingerprint()}-{prior.fingerprint()}"
        return other

    @cached_property
    def model(self) -> "Pix2Pix | Exported":
        return self._restore()

    @property
    def guides(self) -> dict[str, Callable[[np.ndarray], Guide] | None]:
        """None: what the network is guided by is a part of it."""
        return {"none": None}

    def checked(self, options: Options) -> Options:
        if options.guide not in ("auto", *self.guides):
            raise ValueError(
                f"guide is {options.guide!r}, but {self.path} completes in one pass, by a network "
                "that was trained with its guide or without; choose none"
            )
        if options.alternatives > 1 and not self.draws:
            raise ValueError(
                f"alternatives is {options.alternatives}, but {self.path} has no linear guide to "
                "draw them from; choose 1"
            )
        return dataclasses.replace(options, guide="none")

    def describe(self, options: Options) -> str:
        return (
            f"{self.path}: {self.size}x{self.size} pixels, in one pass, "
            f"fidelity {options.fidelity:g}"
        )

    def steps(self, options: Options) -> int:
        return 1

    def ready(self) -> None:
        _ = self.model

    def complete(self, cases: Sequence[Case], options: Options, draw: int = 0) -> Iterator[Moment]:
        if cases[0].means is not None:
            raise ValueError(
                f"mask lowres gives a smaller picture, which {self.path} has not learned to "
                "enlarge; choose another mask, or a model that searches"
            )
        known = np.stack([case.seen for case in cases])
        masks = np.stack([case.square_mask for case in cases])
        hints = self._hints(cases, known, masks, options, draw) if draw > 0 else None
        generate = partial(self._generated, known, masks, hints, options.fidelity)
        if self._expects:  # what the network begins with
            begin = partial(self.model.expected, known, masks) if hints is None else lambda: hints
            yield Moment(step=0, loss=None, latent=None, generate=begin)
        yield Moment(step=1, loss=None, latent=None, generate=generate)

    def _generated(self, known, masks, hints, fidelity: float) -> np.ndarray:
        """What the network makes, (N, S, S, C). A smooth result is the mean of that and of what it
        makes of the mirror image: nearer to the truth on average, and a little smoother."""
        how = {"fidelity": fidelity, "width": 1 if len(known) == 1 else WIDTH}
        made = self.model.complete(known, masks, hints=hints, **how)
        if not (fidelity and self._told):
            return made
        if hints is not None:
            hints = hints[:, :, ::-1]
        other = self.model.complete(known[:, :, ::-1], masks[:, :, ::-1], hints=hints, **how)
        return made + fidelity / 2 * (other[:, :, ::-1] - made)

    def score(self, pictures: np.ndarray, masks: np.ndarray) -> np.ndarray:
        return self.model.score(pictures, masks)

    def _hints(self, cases, known, masks, options: Options, draw: int) -> np.ndarray:
        """What the holes shall roughly show, (N, S, S, C) in [-1, 1]."""
        if self.prior is None:
            return Given(self.linear, masks).expected(known, draw, options.search.seed)
        searched = self.prior.checked(dataclasses.replace(options, guide="auto"))
        fitting = [reduced(case, self.prior.size) for case in cases]  # it may have fewer pixels
        *_, last = self.prior.complete(fitting, searched, draw - 1)
        found = np.stack([enlarged(made, self.size) for made in last.generated])
        found = np.where(masks > 0, known, found)
        # As rough as the hints of the training were: what the linear model makes of it.
        return Given(self.linear, np.ones_like(masks)).expected(found)
