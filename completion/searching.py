"""The first way to complete: a search for the z whose G(z) agrees with what is known."""

import dataclasses
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
from tqdm import tqdm

import cli
from completion import Guide, Moment
from completion.case import Case
from completion.options import Options, fields
from networks.config import Config
from networks.extractors import must_be_there
from pictures import masks
from search import starts
from search.linear import Given, LinearModel, rows_by_mask
from training import checkpoint

if TYPE_CHECKING:
    from model import DCGAN

HIDDEN_WEIGHT = 0.2  # in a guided search, of what a known pixel counts on average


class Searching:
    """A Completer by a DCGAN, whose networks are restored when they are first needed.

    A guided search also agrees, less strictly, with what its guide expects in the hole. To what G
    then makes it adds what the guide expects there of its difference from the known pixels: a
    generator misses much of every photograph, and what it misses around a hole tells of what it
    misses within. Later draws expect a draw, not the mean. Where block means are given, they are
    the guide and no other is asked.
    """

    kind = "dcgan"
    draws = True

    def __init__(
        self,
        path: Path | None,
        config: Config,
        linear: LinearModel | None,
        fingerprint: Callable[[], str],
        restore: Callable[[], "DCGAN"],
    ):
        self.path, self.config, self.linear = path, config, linear
        self.size, self.channels = config.image_size, config.channels
        self.fingerprint, self._restore = fingerprint, restore
        self._starts: tuple[str, starts.Starts] | None = None  # and whose they are

    @classmethod
    def of(cls, model: "DCGAN") -> Self:
        """Complete by a model at hand."""
        return cls(
            path=model.path,
            config=model.config,
            linear=model.linear,
            fingerprint=model.fingerprint,
            restore=lambda: model,
        )

    @classmethod
    def of_checkpoint(cls, saved: checkpoint.Checkpoint) -> Self:
        config, path = Config.from_dict(saved.config), saved.path
        fingerprint = checkpoint.fingerprint(saved.weights | saved.linear)

        def restore() -> "DCGAN":
            cli.import_tensorflow()
            from model import DCGAN

            return DCGAN.restore(path)

        return cls(
            path=path,
            config=config,
            linear=LinearModel.from_arrays(saved.linear) if saved.linear else None,
            fingerprint=lambda: fingerprint,
            restore=restore,
        )

    @property
    def heeds(self) -> frozenset[str]:
        """The options that change what it does."""
        idle = {"fidelity"} if self.config.architecture == "style" else {"fidelity", "per_layer"}
        return frozenset(fields(Options())) - idle

    @cached_property
    def model(self) -> "DCGAN":
        return self._restore()

    @property
    def guides(self) -> dict[str, Callable[[np.ndarray], Guide] | None]:
        """What makes each guide for masks (N, S, S, 1), the best first."""
        linear = {"linear": partial(Given, self.linear)} if self.linear else {}
        return linear | {"none": None}

    def checked(self, options: Options) -> Options:
        if options.objective.features:
            must_be_there("efficientnet-lite0")
        if options.guide == "auto":
            return dataclasses.replace(options, guide=next(iter(self.guides)))
        if options.guide not in self.guides:
            raise ValueError(
                f"guide is {options.guide!r}, but {self.path} has no linear model of its training "
                "pictures (train-dcgan.py fits one when it starts or resumes); choose none"
            )
        return options

    def describe(self, options: Options) -> str:
        found = options.search
        steps = cli.counted(found.steps, "step")
        side = f"{self.size}x{self.size} pixels"
        text = f"{self.path}: {side}, by a search of {steps} of {found.approach}"
        if options.guide != "none":
            return f"{text}, guided by a {options.guide} model of its training pictures"
        if "linear" in self.guides:
            return text
        return f"{text}; there is no linear model of its training pictures to guide it"

    def steps(self, options: Options) -> int:
        return options.search.steps * options.search.restarts

    def ready(self) -> None:
        self.fitted_starts()

    def fitted_starts(self) -> starts.Starts:
        """What ridge and bank starts know of the model: fitted once, then kept beside its weights,
        and fitted again where those have changed."""
        model, fingerprint = self.model, self.model.fingerprint()
        if self._starts is None or self._starts[0] != fingerprint:
            arrays = checkpoint.cached(
                model.path, "starts", fingerprint=fingerprint, make=self._fit_starts
            )
            self._starts = fingerprint, starts.Starts.from_arrays(arrays, model.space)
        return self._starts[1]

    def _fit_starts(self) -> dict[str, np.ndarray]:
        tqdm.write(
            f"preparing the search in {self.path or 'this model'}: once, for a minute or so",
            file=sys.stderr,  # as progress bars are, which it leaves whole
        )
        return starts.Starts.fit(self.model.generate, self.model.space).to_arrays()

    def score(self, pictures: np.ndarray, masks: np.ndarray) -> np.ndarray:
        return self.model.logits(pictures)

    def complete(
        self,
        cases: Sequence[Case],
        options: Options,
        draw: int = 0,
        width: int | None = None,
    ) -> Iterator[Moment]:
        """As in Completer. width: pictures evaluated at once, see DCGAN.complete."""
        options = self.checked(options)
        model, search, lowres = self.model, options.search, cases[0].means is not None
        known = np.stack([case.seen for case in cases])
        square_masks = np.stack([case.square_mask for case in cases])
        weights = _weights(square_masks, options)
        make_guide = None if lowres else self.guides[options.guide]
        guide, expected, evidence = None, None, (known, square_masks)
        if make_guide:
            guide = make_guide(square_masks)
            expected = guide.expected(known, draw, search.seed)
            weights = _with_hidden(weights, square_masks)
            evidence = np.where(square_masks > 0, known, expected), np.ones_like(square_masks)
        first = draw * search.restarts
        fitted = self.fitted_starts() if search.start != "random" else None
        preconditioner = None
        if fitted and search.approach == "lbfgs":
            preconditioner = fitted.preconditioner(weights)
        space, layers = model.space, 1
        if options.per_layer:
            layers = self.config.style_count
            space = space.layered(layers)
            if preconditioner is not None:  # of each layer by itself
                preconditioner = np.stack([np.kron(np.eye(layers), p) for p in preconditioner])
        steps = model.complete(
            known,
            square_masks,
            options=search,
            objective=dataclasses.replace(options.objective, lowres=lowres),
            weights=weights,
            z=[
                np.tile(
                    starts.start(
                        search.start,
                        *evidence,
                        space=model.space,
                        seed=search.seed,
                        restart=restart,
                        starts=fitted,
                    ),
                    layers,
                )
                for restart in range(first, first + search.restarts)
            ],
            space=space,
            first=first,
            means=np.stack([case.means for case in cases]) if lowres else None,
            expected=expected,
            preconditioner=preconditioner,
            width=width,
        )
        for step, z, loss in steps:

            def generate(z: np.ndarray = z) -> np.ndarray:
                generated = model.generate(z, width)
                if guide is None:
                    return generated
                missed = guide.expected_differences(known - generated, draw, search.seed)
                return np.clip(generated + missed, -1, 1)

            yield Moment(step, loss=loss, latent=z, generate=generate)


def _weights(square_masks: np.ndarray, options: Options) -> np.ndarray:
    """How much each pixel counts in the contextual loss, (N, S, S, 1), 0 where hidden."""
    if options.context == "plain":
        return square_masks
    weights = np.empty_like(square_masks)
    for rows in rows_by_mask(square_masks):
        weights[rows] = masks.neighbourhood_weights(square_masks[rows[0]], options.window)
    return weights


def _with_hidden(weights: np.ndarray, square_masks: np.ndarray) -> np.ndarray:
    """The weights with those of hidden pixels, which a guide speaks for."""
    hidden = HIDDEN_WEIGHT * weights.sum(axis=(1, 2, 3)) / square_masks.sum(axis=(1, 2, 3))
    return np.where(square_masks > 0, weights, hidden[:, None, None, None])
