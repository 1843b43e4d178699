"""What a training run is measured by while it goes on: what training.loop evaluates by.

Every figure is of the averaged generator where there is one, and of the same z's every time, so
that a curve shows the model's changes and no others.
"""

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

from data.pipeline import Data, open_dataset
from measuring import features, metrics
from measuring.features import Extractor
from measuring.metrics import FeatureStatistics
from model import DCGAN
from networks.config import Config
from networks.style_config import StyleConfig
from networks.unet_config import UNetConfig
from pictures import codecs, damage

if TYPE_CHECKING:
    from translation.cycle_recipe import CycleConfig
    from translation.cyclegan import CycleGAN
    from translation.pix2pix import Pix2Pix
    from translation.style_transfer import StyleTransfer

MOST = 500  # pictures of each set that are measured: a minute of face descriptors on a core
HOLES = 1  # decides which, for a one-pass network
WIDTH = 8  # of those completed at once
COLLAPSED = 0.5  # diversity below this share of that of real pictures is warned of


class Watcher:
    """Measures a model. Called, it returns the figures; what real pictures give is computed once.

    training, validation: uint8 (N, S, S, C), at least 2; without validation pictures samples are
    compared with training ones. warn gets a sentence when diversity collapses, once each time.
    """

    def __init__(
        self,
        training: np.ndarray,
        validation: np.ndarray | None,
        extractor: Extractor,
        warn: Callable[[str], None] = tqdm.write,
    ):
        self.training, self.validation = training, validation
        self.extractor, self.warn = extractor, warn
        self._collapsed = False

    @property
    def reference(self) -> np.ndarray:
        return self.training if self.validation is None else self.validation

    @cached_property
    def _real(self) -> tuple[np.ndarray, FeatureStatistics, float]:
        """Features (N, D) of the reference, their statistics and diversity."""
        found = self.extractor(codecs.to_float(self.reference))
        return found, FeatureStatistics.of(found), metrics.diversity(found)

    def __call__(self, model: DCGAN) -> dict[str, float]:
        """frechet_distance, kernel_distance, diversity_ratio; d_accuracy_training, _validation
        (where there are such pictures) and _generated, whose first two drift apart as D overfits.
        """
        samples = model.sample(len(self.reference), seed=1)  # not those of the grids, seed 0's
        real, statistics, diversity = self._real
        found = self.extractor(samples)
        figures = {
            "frechet_distance": metrics.frechet_distance(FeatureStatistics.of(found), statistics),
            "kernel_distance": metrics.kernel_distance(found, real),
            "diversity_ratio": metrics.diversity(found) / diversity,
        }
        self._check_diversity(figures["diversity_ratio"])
        return figures | self._accuracies(model, samples)

    def _check_diversity(self, ratio: float) -> None:
        if ratio < COLLAPSED and not self._collapsed:
            self.warn(
                f"warning: samples are {ratio:.2f} times as diverse as real pictures; unless "
                "training has just begun, the generator is collapsing"
            )
        self._collapsed = ratio < COLLAPSED

    def _accuracies(self, model: DCGAN, samples: np.ndarray) -> dict[str, float]:
        """Shares that D gets right. Its logits have their border at 0, with lsgan at 1/2; those of
        a wgan-gp critic, which have none, halfway between the means of training and of generated
        pictures."""
        logits = {"training": model.logits(codecs.to_float(self.training))}
        if self.validation is not None:
            logits["validation"] = model.logits(codecs.to_float(self.validation))
        fake = model.logits(samples)
        halfway = (logits["training"].mean() + fake.mean()) / 2
        border = {"wgan-gp": halfway, "lsgan": 0.5}.get(model.recipe.loss, 0.0)
        right = {name: (values > border).mean() for name, values in logits.items()}
        right["generated"] = (fake <= border).mean()
        return {f"d_accuracy_{name}": float(share) for name, share in right.items()}


class CompletionWatcher:
    """Measures a one-pass network by how it completes or mends pictures, uint8 (N, S, S, C), at
    least 2, with the same damage every time, of the kind that it learns from."""

    def __init__(self, pictures: np.ndarray, extractor: Extractor, kind: str = "hole"):
        self.true, self.extractor, self.damaged = codecs.to_float(pictures), extractor, None
        numbers, size = range(len(pictures)), pictures.shape[1]
        if kind == "hole":
            self.masks = np.stack([damage.draw_hole(size, (HOLES, i)) for i in numbers])
        else:
            pairs = damage.make_pairs(self.true, np.array(numbers), HOLES, kind)
            self.true, self.masks, self.damaged = pairs

    @cached_property
    def _real(self) -> FeatureStatistics:
        return FeatureStatistics.of(self.extractor(self.true))

    def __call__(self, model: "Pix2Pix") -> dict[str, float]:
        """frechet_distance of the completed pictures from the true ones; hole_psnr, in dB, or of
        other damage psnr."""
        seen = self.true if self.damaged is None else self.damaged
        completed = model.complete(seen, self.masks, fidelity=0.0, width=WIDTH)
        if self.damaged is None:
            completed = np.where(self.masks > 0, self.true, completed)
        found = FeatureStatistics.of(self.extractor(completed))
        name, hole = ("hole_psnr", self.masks) if self.damaged is None else ("psnr", None)
        return {
            "frechet_distance": metrics.frechet_distance(found, self._real),
            name: float(metrics.psnr(completed, self.true, hole).mean()),
        }


def watch(
    config: Config,
    data: Data,
    validation: Path | None = None,
    crop: int | None = None,
    warn: Callable[[str], None] = tqdm.write,
) -> Watcher:
    """A Watcher with up to MOST pictures of a run's data, and of the folder of validation pictures,
    cut and resized as the data are. Raises ValueError for a folder without readable ones."""
    held_out = _held_out(config, validation, crop) if validation else None
    training = np.concatenate(list(data.some(MOST)))
    return Watcher(training, held_out, features.load("auto"), warn=warn)


def watch_completions(
    config: UNetConfig, data: Data, validation: Path | None = None, crop: int | None = None
) -> CompletionWatcher:
    """`watch` for a one-pass network; without a validation folder by pictures it is trained on."""
    pictures = _held_out(config, validation, crop) if validation else None
    if pictures is None:
        pictures = np.concatenate(list(data.some(MOST)))
    return CompletionWatcher(pictures, features.load("auto"), config.damage)


def watch_styles(
    config: StyleConfig,
    pairs: Callable,
    data: Data,
    validation: Path | None = None,
    crop: int | None = None,
) -> Callable[["StyleTransfer"], dict[str, float]]:
    """`watch` for a network that paints: its loss, and what of that is content, style and
    variation, of pictures that `pairs` gives the same styles every time."""
    pictures = _held_out(config, validation, crop) if validation else None
    if pictures is None:
        pictures = np.concatenate(list(data.some(MOST)))
    batch = pairs(codecs.to_float(pictures), np.arange(len(pictures)))

    def measure(model: "StyleTransfer") -> dict[str, float]:
        rows = [slice(first, first + WIDTH) for first in range(0, len(pictures), WIDTH)]
        found = [model.measure(tuple(part[some] for part in batch)) for some in rows]
        names = ("loss", "content", "style", "variation")
        return {name: float(np.concatenate([f[name] for f in found]).mean()) for name in names}

    return measure


class TranslationWatcher:
    """Measures a CycleGAN by how far what it makes of pictures of A, float32 (N, S, S, C), lies
    from those of B, as sets."""

    def __init__(self, a: np.ndarray, b: np.ndarray, extractor: Extractor):
        self.a, self.extractor = a, extractor
        self._real = FeatureStatistics.of(extractor(b))

    def __call__(self, model: "CycleGAN") -> dict[str, float]:
        """frechet_distance of translated pictures from those of the other kind."""
        found = FeatureStatistics.of(self.extractor(model.translate(self.a, "ab", WIDTH)))
        return {"frechet_distance": metrics.frechet_distance(found, self._real)}


def watch_translations(
    config: "CycleConfig", data: Data, target: Data, validation: Path | None, crop: int | None
) -> TranslationWatcher:
    """A watcher of pictures of the validation folder, of A, or else of the run's own."""
    own = _held_out(config, validation, crop) if validation else None
    if own is None:
        own = np.concatenate(list(data.some(MOST)))
    other = np.concatenate(list(target.some(MOST)))
    return TranslationWatcher(*map(codecs.to_float, (own, other)), features.load("auto"))


def _held_out(
    config: Config | UNetConfig | StyleConfig, folder: Path, crop: int | None
) -> np.ndarray:
    opened = open_dataset(folder, config.image_size, config.channels, crop, batch_size=1)
    return np.concatenate(list(opened.some(MOST)))
