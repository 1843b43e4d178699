#!/usr/bin/env python3
"""Write a model for other runtimes: as TensorFlow SavedModels, or as ONNX.

OUT holds what completes or generates (model.onnx, or the folder model), what judges
(discriminator), config.json, linear.npz, and card.md, which says what the model is. complete.py
takes a network that completes in one pass from there by ONNX Runtime, without TensorFlow.
"""

import argparse
import importlib.util
import json
import os
import re
import warnings
from collections.abc import Callable
from pathlib import Path

import cli  # before packages, of which it says which is missing

# isort: split
import numpy as np

ROOT = Path(__file__).resolve().parent
FORMATS = {"savedmodel": "tf_saved_model", "onnx": "onnx"}  # as Keras calls them
MOST = 1e-3  # that an export may differ, in units of 1 or of its largest number: an eighth of 1/255


def parser() -> argparse.ArgumentParser:
    p = cli.Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("model", metavar="MODEL", type=Path, help="folder of a model")
    p.add_argument("out", metavar="OUT", type=Path, help="a new folder, or an earlier export")
    cli.flag(p, "--format", choices=FORMATS, required=True, help="of the networks")
    return p


def main() -> None:
    arguments = parser().parse_args()

    from training import checkpoint

    checkpoint.must_exist(arguments.model)
    saved = checkpoint.load(arguments.model, warn=print)
    _check(arguments, saved)
    cli.import_tensorflow()
    made = export(arguments.model, saved, arguments.out, arguments.format)
    for name, difference in made.items():
        print(f"{arguments.out / name}: differs from TensorFlow by {difference:.2g} at most")


def _check(arguments: argparse.Namespace, saved) -> None:
    """Raises ValueError for what cannot be exported, or not there."""
    if saved.kind not in ("dcgan", "pix2pix"):
        raise ValueError(f"{saved.path}: a model of kind {saved.kind!r}; choose dcgan or pix2pix")
    if saved.config.get("classes") or saved.config.get("architecture", "dcgan") != "dcgan":
        raise ValueError(f"{saved.path}: has classes or a style; a DCGAN without them is exported")
    out = arguments.out
    if os.path.lexists(out) and not (out.is_dir() and _is_export(out)):
        raise ValueError(f"{out}: is there, and no export; choose another OUT")
    if arguments.format != "onnx":
        return
    if missing := [n for n in ("tf2onnx", "onnxruntime") if not importlib.util.find_spec(n)]:
        raise ValueError(
            f"--format onnx takes {' and '.join(missing)}: pip install -r requirements-export.txt"
        )
    if saved.config.get("precision", "float32") != "float32":
        raise ValueError(f"{saved.path}: computes in bfloat16, which takes --format savedmodel")


def _is_export(folder: Path) -> bool:
    try:
        return "exported" in json.loads((folder / "config.json").read_text())
    except (OSError, ValueError):
        return not any(folder.iterdir())


def export(model: Path, saved, out: Path, form: str) -> dict[str, float]:
    """Write the networks of a model's folder, whose checkpoint is `saved`; returns by how much each
    differs from TensorFlow's, on random inputs. Raises ValueError, and writes nothing, where that
    is too much."""
    from pictures.files import replacing
    from training import checkpoint

    differences = {}
    with replacing(out) as folder:
        folder.mkdir()
        for name, network in zip(("model", "discriminator"), _networks(saved), strict=True):
            path = folder / (f"{name}.onnx" if form == "onnx" else name)
            _write(network, path, form)
            differences[path.name] = _difference(network, path, form)
        config = saved.config | {
            "exported": form,
            "fingerprint": checkpoint.fingerprint(saved.weights | saved.linear),
        }
        if prior := config.get("prior"):  # relative to the model's folder
            config["prior"] = os.path.relpath(model / prior, out)
        (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
        if saved.linear:
            np.savez(folder / "linear.npz", **saved.linear)
        (folder / "card.md").write_text(_card(saved))
    return differences


def _networks(saved) -> tuple:
    """The networks that a model completes or samples with: a generator and a discriminator."""
    if saved.kind == "pix2pix":
        from translation.pix2pix import Pix2Pix

        return Pix2Pix.restore(saved.path).inference()
    from model import DCGAN

    made = DCGAN.restore(saved.path).inference()
    return made.generator, made.discriminator


def _write(network, path: Path, form: str) -> None:
    from networks.expectation import eliminating

    if form == "onnx":
        network = eliminating(network)
    _given(network, _inputs(network))  # Keras exports what has been called
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of tf2onnx, about NumPy
        network.export(str(path), format=FORMATS[form], verbose=False)


def _difference(network, path: Path, form: str) -> float:
    """The largest difference of what an export makes of random inputs. Raises ValueError where it
    is too large."""
    inputs = _inputs(network, count=3)
    largest = 0.0
    for wanted, found in zip(_given(network, inputs), _exported(path, form)(inputs), strict=True):
        difference = np.abs(wanted - found).max() / max(1, np.abs(wanted).max())
        largest = max(largest, float(difference))
    if not largest <= MOST:
        raise ValueError(f"{path.name} as {form} differs from TensorFlow by {largest:.2g}")
    return largest


def _exported(path: Path, form: str) -> Callable[[list], list]:
    """What an export makes of arrays."""
    if form == "onnx":
        import onnxruntime

        session = onnxruntime.InferenceSession(path)
        names = [given.name for given in session.get_inputs()]
        return lambda inputs: session.run(None, dict(zip(names, inputs, strict=True)))
    import tensorflow as tf

    loaded = tf.saved_model.load(str(path))  # which has to live as long as what it serves
    return lambda inputs: _given(loaded.serve, inputs)


def _given(network: Callable, inputs: list) -> list:
    """The outputs of a network, one after the other, given arrays."""
    import keras

    made = network(inputs if len(inputs) > 1 else inputs[0])
    return [np.asarray(part) for part in keras.tree.flatten(made)]


def _inputs(network, count: int = 1) -> list[np.ndarray]:
    """Random inputs, in [-1, 1]; masks are 0 or 1, and so are switches."""
    rng = np.random.default_rng(0)
    found = []
    for given in network.inputs:
        values = rng.uniform(-1, 1, (count, *given.shape[1:])).astype(np.float32)
        switch = given.name in ("mask", "fidelity", "trust")
        found.append(np.float32(values > 0) if switch else values)
    return found


def _card(saved) -> str:
    """The card of a model that ships; of another one what its config.json says."""
    for path in sorted((ROOT / "docs").glob("model-card*.md")):
        text = path.read_text()
        if saved.path.resolve() == ROOT / "models" / text.split(maxsplit=4)[3]:
            return re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", text)  # links lead nowhere from here
    rows = "".join(f"| {name} | {value} |\n" for name, value in saved.config.items())
    return f"# Model card: {saved.path.resolve().name}\n\n| | |\n| --- | --- |\n{rows}"


if __name__ == "__main__":
    cli.run(main)
