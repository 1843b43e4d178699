"""The first way to complete: a search for the z whose G(z) agrees with what is known."""

import dataclasses
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, partial
from itertools import zip_longest
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
        self._starts: dict[int | None, tuple[str, starts.Starts]] = {}  # of a class; whose they are

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
        idle = {"fidelity"}
        if self.config.architecture != "style":
            idle.add("per_layer")
        if not self.config.classes:
            idle |= {"class_name", "as_class"}
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
        for name in filter(None, (options.class_name, options.as_class)):
            if name not in self.config.classes:
                choices = ", ".join(self.config.classes) or "none"
                raise ValueError(f"class is {name!r}; choose from {choices}")
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
        if self.config.classes:
            chosen = options.class_name or f"the best of {', '.join(self.config.classes)}"
            text = f"{text}, as {chosen}" + (options.as_class and f", shown as {options.as_class}")
        if options.guide != "none":
            return f"{text}, guided by a {options.guide} model of its training pictures"
        if "linear" in self.guides:
            return text
        return f"{text}; there is no linear model of its training pictures to guide it"

    def steps(self, options: Options) -> int:
        return options.search.steps * options.search.restarts

    def ready(self) -> None:
        for model in self.model.each():
            self.fitted_starts(model)

    def fitted_starts(self, model: "DCGAN | None" = None) -> starts.Starts:
        """What ridge and bank starts know of the model, given a class if there are any: fitted
        once, then kept beside its weights, and fitted again where those have changed."""
        model = model or self.model
        fingerprint, label = model.fingerprint(), model.label
        if self._starts.get(label, ("",))[0] != fingerprint:
            arrays = checkpoint.cached(
                model.path,
                "starts" if label is None else f"starts-{label}",
                fingerprint=fingerprint,
                make=partial(self._fit_starts, model),
                needed=starts.OWN,
            )
            self._starts[label] = fingerprint, starts.Starts.from_arrays(arrays, model.space)
        return self._starts[label][1]

    def _fit_starts(self, model: "DCGAN") -> dict[str, np.ndarray]:
        tqdm.write(
            f"preparing the search in {self.path or 'this model'}: once, for a minute or so",
            file=sys.stderr,  # as progress bars are, which it leaves whole
        )
        return starts.Starts.fit(model.generate, model.space).to_arrays()

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
        models = [self.model.given(options.class_name)] if options.class_name else self.model.each()
        searches = [self._search(model, cases, options, draw, width) for model in models]
        if len(searches) == 1:
            yield from searches[0]
            return
        latest = [next(moments) for moments in searches]
        yield _best(latest)
        for moments in zip_longest(*searches):  # one that has settled stays as it is
            latest = [new or old for new, old in zip(moments, latest, strict=True)]
            yield _best(latest)

    def _search(
        self,
        model: "DCGAN",
        cases: Sequence[Case],
        options: Options,
        draw: int,
        width: int | None,
    ) -> Iterator[Moment]:
        """Of a model of no classes, or given one."""
        search, lowres = options.search, cases[0].means is not None
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
        steps = model.complete(
            known,
            square_masks,
            options=search,
            objective=dataclasses.replace(options.objective, lowres=lowres),
            weights=weights,
            first=draw * search.restarts,
            means=np.stack([case.means for case in cases]) if lowres else None,
            expected=expected,
            width=width,
            **self._beginning(model, options, draw, evidence=evidence, weights=weights),
        )
        shown = model.given(options.as_class) if options.as_class else model
        for step, z, loss in steps:

            def generate(z: np.ndarray = z) -> np.ndarray:
                generated = shown.generate(z, width)
                if guide is None:
                    return generated
                missed = guide.expected_differences(known - generated, draw, search.seed)
                return np.clip(generated + missed, -1, 1)

            yield Moment(step, loss=loss, latent=z, generate=generate)

    def _beginning(
        self,
        model: "DCGAN",
        options: Options,
        draw: int,
        evidence: tuple[np.ndarray, np.ndarray],
        weights: np.ndarray,
    ) -> dict:
        """Where the searches of a draw begin, and in which space; as arguments of DCGAN.complete.
        evidence: pictures and masks that tell of the latents."""
        search, space = options.search, model.space
        fitted = self.fitted_starts(model) if search.start != "random" else None
        preconditioner = None
        if fitted and search.approach == "lbfgs":
            preconditioner = fitted.preconditioner(weights)
        first = draw * search.restarts
        z = [
            starts.start(
                search.start,
                *evidence,
                space=space,
                seed=search.seed,
                restart=restart,
                starts=fitted,
            )
            for restart in range(first, first + search.restarts)
        ]
        if options.per_layer:
            layers = self.config.style_count
            z, space = [np.tile(start, layers) for start in z], space.layered(layers)
            if preconditioner is not None:  # of each layer by itself
                preconditioner = np.stack([np.kron(np.eye(layers), p) for p in preconditioner])
        return {"z": z, "space": space, "preconditioner": preconditioner}


def _best(moments: Sequence[Moment]) -> Moment:
    """Of several searches, picture by picture the one of the least loss."""
    losses = np.stack([moment.loss for moment in moments])
    best, rows = losses.argmin(axis=0), np.arange(losses.shape[1])

    def generate() -> np.ndarray:
        return np.stack([moment.generated for moment in moments])[best, rows]

    return Moment(
        max(moment.step for moment in moments),
        loss=losses[best, rows],
        latent=np.stack([moment.latent for moment in moments])[best, rows],
        generate=generate,
    )


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
