"""Checkpoint folders: weights with their configuration, switched atomically; TensorFlow 1 import.

    checkpoint/step-00000500/   config.json  weights.npz  linear.npz  training.npz  state.json
    models/faces64/             config.json  weights.npz  linear.npz
    an export (export.py)       config.json  linear.npz  and networks for other runtimes

config.json says which kind of model it is ("dcgan" where it does not), and holds its configuration
and recipe; "base" in it names a folder, relative to its own, that has the weights which this one
lacks. weights.npz holds the variables of the networks by name ("generator/h1/kernel"), linear.npz
the linear model of the training pictures (search/linear.py; models of other programs have none),
training.npz the variables of the optimisers, state.json the counters. A zip archive carries a
checksum of every member, so a damaged file is noticed.
"""

import json
import math
import os
import re
import shutil
import zipfile
import zlib
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from pictures.files import remove_leftovers, replacing

Arrays = dict[str, np.ndarray]

_MODELS = Path(__file__).resolve().parents[1] / "models"
# To fill holes; the first that serves is taken. And to mend what is whole.
SHIPPED = tuple(_MODELS / name for name in ("faces-pix2pix-128", "faces-pix2pix", "faces64"))
MENDING = tuple(_MODELS / name for name in ("faces-lowres", "faces-grey", "faces-old"))
PAINTING = _MODELS / "style"
EXPORTED = _MODELS / "faces-onnx"  # where the README has it written
TRAINED = ("checkpoint-pix2pix", "checkpoint")  # where training scripts write by default

# What reading a damaged archive raises; RuntimeError where it seems encrypted, or compressed in a
# way that zipfile does not know.
_UNREADABLE = (OSError, ValueError, KeyError, EOFError, RuntimeError, zipfile.BadZipFile)


class DamagedCheckpoint(ValueError):
    """A checkpoint folder whose files cannot be read back."""


@dataclass(frozen=True)
class Checkpoint:
    """What one folder holds; training and state are empty where only a model was saved, and linear
    where it has no linear model."""

    path: Path
    config: dict
    weights: Arrays
    linear: Arrays = field(default_factory=dict)
    training: Arrays = field(default_factory=dict)
    state: dict = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """Which class restores it."""
        return self.config.get("kind", "dcgan")

    @property
    def exported(self) -> str | None:
        """The format of an export, which has no weights; None for a model."""
        return self.config.get("exported")

    def must_be(self, kind: str) -> None:
        """Raises ValueError for a model of another kind."""
        if self.kind != kind:
            raise ValueError(
                f"{self.path}: another model: its kind is {self.kind}, here it is {kind}"
            )


def save(
    path: Path,
    config: dict,
    weights: Arrays,
    training: Arrays | None = None,
    state: dict | None = None,
    linear: Arrays | None = None,
    half: bool = False,
) -> None:
    """Write a checkpoint folder under a temporary name, then rename it. half: weights in half
    precision and packed, which takes less than half of the space; load gives them back in single
    precision."""
    write = np.savez_compressed if half else np.savez
    if half:
        weights = {name: value.astype(np.float16) for name, value in weights.items()}
    with replacing(path) as folder:
        folder.mkdir()
        write(folder / "weights.npz", **weights)
        if linear:
            write(folder / "linear.npz", **linear)
        if training:
            np.savez(folder / "training.npz", **training)
            _write_json(folder / "state.json", state)
        _write_json(folder / "config.json", config)


def _write_json(path: Path, content: dict) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n")


def model_weights(weights: Arrays) -> Arrays:
    """Weights by name ("generator/h1/kernel"), with averages ("average/...") in the places of the
    generators they are averages of."""
    averaged = {
        network_of(name): value for name, value in weights.items() if name.startswith("average")
    }
    return {n: v for n, v in weights.items() if not n.startswith("average")} | averaged


def network_of(average: str) -> str:
    """average/... -> generator/...; average_x/... -> generator_x/..."""
    return average.replace("average", "generator", 1)


def fingerprint(weights: Arrays) -> str:
    """Tells one model's weights from another's, whether a training folder holds it or a model's."""
    checksum = 0
    for name, value in sorted(model_weights(weights).items()):
        checksum = zlib.crc32(np.ascontiguousarray(value), zlib.crc32(name.encode(), checksum))
    return f"{checksum:08x}"


def step_path(folder: Path, step: int) -> Path:
    """Where the checkpoint of a step lives."""
    return Path(folder) / f"step-{step:08d}"


def step_paths(folder: Path) -> list[Path]:
    """Checkpoints of a training folder, newest first."""
    return sorted(Path(folder).glob("step-" + "[0-9]" * 8), reverse=True)


def remove_old(folder: Path, keep: int) -> None:
    """Remove all but the newest `keep` checkpoints, and what an interrupted save left."""
    for path in step_paths(folder)[keep:] + list(Path(folder).glob(".step-*")):
        if not path.name.startswith("."):
            # Renamed first: a half-removed folder must not look like a checkpoint.
            path = path.rename(path.with_name(f".{path.name}"))
        shutil.rmtree(path)


def tidy(folder: Path, step: int) -> None:
    """Ready a training folder for a run that goes on from `step`: remove what killed runs left
    half-written, and rename newer checkpoints. Those are damaged, or the run would go on from them;
    they must not count among the ones that are kept."""
    remove_leftovers(Path(folder))
    for path in step_paths(folder):
        if path > step_path(folder, step):
            damaged = path.with_name(f"damaged-{path.name}")
            if damaged.exists():
                shutil.rmtree(damaged)
            path.rename(damaged)


def exists(folder: Path) -> bool:
    """Whether `folder` is or holds a model of ours or of TensorFlow 1."""
    folder = Path(folder)
    return bool((folder / "weights.npz").exists() or step_paths(folder) or _tf1_prefix(folder))


def must_exist(folder: Path, maker: str = "train-dcgan.py") -> None:
    """Raises ValueError where `folder` neither is nor holds a model, not even a damaged one; maker:
    the script that makes one."""
    if not (exists(folder) or (Path(folder) / "config.json").exists()):
        problem = "holds no checkpoint" if Path(folder).is_dir() else "no such checkpoint folder"
        raise ValueError(f"{folder}: {problem} ({maker} --checkpoint-dir {folder} makes one)")


def default_folders(kind: str | None = None, pixels: float = math.inf) -> list[Path]:
    """Where models are when none is named: what was trained here, then what ships, last what is
    larger than the pictures, of so many pixels a side; kind: of that kind alone. Those that undo
    other damage than holes are left out. Raises ValueError where there is none."""
    places = [*map(Path, TRAINED), *sorted(SHIPPED, key=lambda path: excess(path, pixels))]

    def serves(path: Path) -> bool:
        config = config_of(path)
        return kind in (None, config.get("kind", "dcgan")) and config.get("damage") in (
            None,
            "hole",
        )

    found = [path for path in places if exists(path) and serves(path)]
    if not found:
        raise ValueError(
            f"no model: ./{' and ./'.join(TRAINED)} hold none and none ships; train one with "
            "train-pix2pix.py or train-dcgan.py, or name its folder with --checkpoint-dir"
        )
    return found


def excess(folder: Path, pixels: float) -> float:
    """Pixels a side that a model has more than pictures of so many a side."""
    return max(config_of(folder).get("image_size", 64) - pixels, 0)


def config_of(folder: Path) -> dict:
    """What the config.json of a folder that holds a model says; {} of TensorFlow 1."""
    for path in (folder, *step_paths(folder)):
        try:
            return json.loads((path / "config.json").read_text())
        except (OSError, ValueError):
            pass  # another checkpoint may be whole; load says what is wrong with this one
    return {}


def choose(given: Path | None, kind: str | None = None, pixels: float = math.inf) -> Path:
    """The folder given, which must_exist, else the first of default_folders of that kind for
    pictures of so many pixels, and says on standard output which."""
    if given:
        must_exist(given)
        return given
    folder = default_folders(kind, pixels)[0]
    name = f"that ships, models/{folder.name}"
    if folder not in SHIPPED:
        name = f"in {folder}"
        if ship := next((path for path in default_folders(kind, pixels) if path in SHIPPED), None):
            name += f"; --checkpoint-dir {os.path.relpath(ship)} is the one that ships"
    print(f"using the model {name}")
    return folder


def load(folder: Path | str, warn=lambda message: None, exported: str | None = None) -> Checkpoint:
    """Read a model folder, a training folder's newest readable checkpoint, or a TensorFlow 1 one.

    A damaged newest checkpoint is reported to `warn`, and the one before it is taken.
    exported: a format of exports that will do as well. Raises ValueError, in one line naming the
    folder, where there is nothing to load.
    """
    folder = Path(folder)
    must_exist(folder)
    if (folder / "weights.npz").exists() or (folder / "config.json").exists():
        saved = _load_one(folder)
        if saved.exported not in (None, exported):
            raise ValueError(
                f"{folder}: an export as {saved.exported}, which has no weights; take the model it "
                "was made of"
            )
        return saved
    damaged = []
    for path in step_paths(folder):
        try:
            return _load_one(path)
        except DamagedCheckpoint as error:
            damaged.append(error)
            warn(f"{error}; trying the one before")
    if damaged:
        raise damaged[0]
    return _load_tf1(_tf1_prefix(folder))


def _load_one(path: Path) -> Checkpoint:
    try:
        config = json.loads((path / "config.json").read_text())
        weights, linear, training, state = {}, {}, {}, {}
        if "exported" not in config:
            weights = _read_arrays(path / "weights.npz", _single)
        if (path / "linear.npz").exists():
            linear = _read_arrays(path / "linear.npz")
        if (path / "training.npz").exists() or (path / "state.json").exists():
            training = _read_arrays(path / "training.npz")
            state = json.loads((path / "state.json").read_text())
        base = config.pop("base", "")
    except _UNREADABLE as error:
        why = " ".join(str(error).split())
        raise DamagedCheckpoint(f"{path}: damaged checkpoint ({why})") from None
    if base:  # what was not repeated
        of_base = load(path / base)
        weights, linear = of_base.weights | weights, of_base.linear | linear
    return Checkpoint(
        path=path, config=config, weights=weights, linear=linear, training=training, state=state
    )


def _read_arrays(path: Path, as_kept: Callable = lambda array: array) -> Arrays:
    """as_kept: what becomes of each, at once: all of them in two precisions would take memory."""
    with np.load(path, allow_pickle=False) as archive:
        return {name: as_kept(archive[name]) for name in archive.files}


def _single(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float32) if array.dtype == np.float16 else array


def cached(
    path: Path | None,
    name: str,
    fingerprint: str,
    make: Callable[[], Arrays],
    needed: Collection[str] = (),
) -> Arrays:
    """Arrays that are made once per model and kept beside its weights, as name.npz.

    path: the model's folder (the prefix of a TensorFlow 1 checkpoint), or None for a model that
    was never saved. Those of other weights, and of older programs that kept none of some name
    that is needed, are made anew; a read-only folder is left alone.
    """
    if path is None:
        return make()
    place = path / f"{name}.npz" if path.is_dir() else Path(f"{path}.{name}.npz")
    try:
        arrays = _read_arrays(place)
        if arrays.pop("fingerprint").item() == fingerprint and arrays.keys() >= set(needed):
            return arrays
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        pass  # absent or damaged: as good as absent
    arrays = make()
    with suppress(OSError), replacing(place) as temporary:
        np.savez_compressed(temporary, fingerprint=fingerprint, **arrays)
    return arrays


# TensorFlow 1 checkpoints of the original program, by name. Both of its schemes: d_bn1 to 3 and
# d_h3_lin (the published model), d_bn0 to 2 and d_h4_lin (its last version).

_TF1_NAME = re.compile(
    r"(?:.*/)?(?P<net>[gd])_(?P<layer>h0_lin|h\d+_lin|h\d+_conv|h\d+|bn\d+)/"
    r"(?P<part>Matrix|bias|w|biases|gamma|beta|moving_mean|moving_variance)"
)
_TF1_PARTS = {"Matrix": "kernel", "w": "kernel", "biases": "bias"}


def _tf1_prefix(path: Path) -> str | None:
    """The prefix (tf.train.Saver's path) of a TensorFlow 1 checkpoint in or at `path`."""
    if path.is_dir():
        indexes = sorted(path.glob("*.index"), key=lambda p: (p.stat().st_mtime, p.name))
        return str(indexes[-1].with_suffix("")) if indexes else None
    return str(path) if Path(f"{path}.index").exists() else None


def _load_tf1(prefix: str) -> Checkpoint:
    import tensorflow as tf  # the only part of this module that needs it

    try:
        reader = tf.train.load_checkpoint(prefix)
        names = [n for n in reader.get_variable_to_shape_map() if _TF1_NAME.fullmatch(n)]
        found = {name: reader.get_tensor(name) for name in names}
    except tf.errors.OpError as error:
        raise DamagedCheckpoint(f"{prefix}: damaged checkpoint ({error.message})") from None
    shift = 1 if any("d_bn0/" in name for name in names) else 0
    weights = {our_name(name, shift): array for name, array in found.items()}
    try:
        return Checkpoint(path=Path(prefix), config=_tf1_config(weights), weights=weights)
    except KeyError as error:
        raise ValueError(f"{prefix}: not a DCGAN checkpoint (no variable {error})") from None


def our_name(name: str, shift: int = 0) -> str:
    """generator/g_h1/w -> generator/h1/kernel; shift is added to the numbers of D's norms."""
    net, layer, part = _TF1_NAME.fullmatch(name).group("net", "layer", "part")
    if net == "d":
        if layer.startswith("bn"):
            layer = f"bn{int(layer[2:]) + shift}"
        layer = "lin" if layer.endswith("_lin") else layer
    network = {"g": "generator", "d": "discriminator"}[net]
    return f"{network}/{layer}/{_TF1_PARTS.get(part, part)}"


def _tf1_config(weights: Arrays) -> dict:
    """The configuration, widths read from the shapes."""
    layers = sum(bool(re.fullmatch(r"generator/h\d+/kernel", name)) for name in weights)
    outputs = [weights[f"generator/h{i + 1}/kernel"].shape[2] for i in range(layers)]
    first = weights["generator/bn0/gamma"].shape[0]
    d_widths = [weights[f"discriminator/h{i}_conv/kernel"].shape[3] for i in range(layers)]
    return {
        "image_size": 4 * 2**layers,
        "channels": outputs[-1],
        "z_dim": weights["generator/h0_lin/kernel"].shape[0],
        "gf_dim": outputs[-2] if layers > 1 else first,
        "df_dim": d_widths[0],
        "g_widths": [first, *outputs[:-1]],
        "d_widths": d_widths,
    }
