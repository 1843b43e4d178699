#!/usr/bin/env python3
"""Completion: how soon preset best is where the original's search ends, and how good it is.

    bench/complete.py [FACES] --checkpoint-dir FOLDER --network FOLDER
    bench/complete.py --cold [FACES]        what one picture and sixteen cost, by every method
    bench/complete.py --cold [FACES] --before FOLDER    and by another checkout, in turns
    bench/complete.py --count 8 --iterations 100 --singles 1       a short check

The measure of speed is the plain contextual loss, mean over the faces, that preset original has
after its iterations: seconds until best's search has it too, starts included, from the models'
starts as they are cached (fitting them is timed by itself). Best weighs the known pixels by their
nearness to the hole, is guided within it, and stops early: it is after another loss. For this
comparison it is given the plain one and as many steps as it takes. The table of quality has best as
it is, and the network, which completes in one pass.

What a picture costs is the processor's time, user's and system's, of a process that starts anew,
and of the same pictures completed once more by it; its files are written, too.
"""

import argparse
import contextlib
import io
import multiprocessing
import os
import resource
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT)
os.environ["TQDM_DISABLE"] = "1"

import cli  # noqa: E402

LOOP = 50  # iterations of a round of single iterations
QUALITY = ("hole_psnr", "hole_ssim", "seam")


def main() -> None:
    options = parser().parse_args()
    if options.cold:
        print_cold(options)
        return
    cli.import_tensorflow()

    import completion
    from completion.options import PRESETS, with_changes
    from completion.searching import Searching
    from measuring import gallery
    from measuring.evaluation import Pictures
    from model import DCGAN
    from pictures import files

    model = DCGAN.restore(options.checkpoint_dir, warn=print)
    paths = gallery.spread(files.find([options.faces]), options.count)
    pictures = Pictures.read(paths, model.config.image_size, model.config.channels)
    cases = pictures.cases(options.mask)
    print(f"{len(cases)} faces of {options.faces}, mask {options.mask}, model {model.path}")
    fitting = fitting_seconds(model)
    completer = Searching.of(model)
    completer.ready()
    print(f"starts: fitted once per model in {fitting:.1f} s, not counted below")

    original = with_changes(PRESETS["original"], {"steps": options.iterations})
    as_original = {"context": "plain", "guide": "none", "steps": options.iterations}
    plain = with_changes(PRESETS["best"], as_original)
    ended = compare(completer, cases, original=original, best=plain, wanted=20)
    singles = [case for case in gallery.spread(cases, options.singles)]
    compare_singles(completer, singles, original=original, best=plain, wanted=15)
    compare_iterations(completer, cases[0], options.rounds)
    best = PRESETS["best"]
    rows = {
        "original": (ended, original.blend),
        "best": (_last(completer, cases, best), best.blend),
    }
    network = completion.restore(options.network, "network", warn=print)
    sizes = (model.config.image_size, model.config.channels)
    if (network.size, network.channels) == sizes:  # it is given the same squares
        for fidelity in (0.0, 1.0):
            asked = network.checked(with_changes(best, {"fidelity": fidelity}))
            _last(network, cases, asked)  # traced
            started = time.perf_counter()
            rows[f"network, fidelity {fidelity:g}"] = _last(network, cases, asked), best.blend
            seconds = time.perf_counter() - started
            print(f"{len(cases)} faces: network, fidelity {fidelity:g}, {seconds:.2f} s")
    print_quality(pictures, cases, rows)


def _last(completer, cases: Sequence, options) -> np.ndarray:
    """What a completion comes to, (N, S, S, C)."""
    return deque(completer.complete(cases, options), maxlen=1)[0].generated


def print_cold(options: argparse.Namespace) -> None:
    """A row for every method: seconds of a processor for one picture and sixteen, and memory."""
    ways = {
        "search": (options.checkpoint_dir, "search", 1),
        "one pass, TensorFlow": (options.network, "network", 1),
        "one pass, ONNX Runtime": (options.onnx, "network", 1),
        "both, 4 alternatives": (options.network, "both", 4),
    }
    print("| method | one, cold | warm | MB | sixteen, cold | warm | MB |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for name, (folder, method, alternatives) in ways.items():
        if not folder.exists():
            print(f"{name}: no {folder}", file=sys.stderr)
            continue
        programs = {"": ROOT}
        if options.before and folder != options.onnx:  # which it may not know
            programs = {", before": options.before.resolve()} | programs
        rows = {end: [] for end in programs}
        for count in (1, 16):
            for end, row in rows.items():
                with multiprocessing.get_context("spawn").Pool(1) as pool:
                    arguments = (programs[end], options.faces, folder, method, alternatives, count)
                    row += pool.apply(measured, arguments)
        for end, row in rows.items():
            print(f"| {name}{end} | {' | '.join(row)} |", flush=True)


def measured(
    program: Path, faces: Path, folder: Path, method: str, alternatives: int, count: int
) -> list[str]:
    """Of a process that has just started a checkout of this program: its seconds until so many
    pictures are completed, those for the same once more, and its peak memory in MB."""
    sys.path[0] = str(program)
    del sys.modules["cli"]
    import completion
    from completion.case import Hole
    from completion.folder import Job, run
    from completion.options import PRESETS, with_changes
    from measuring import gallery
    from pictures import files

    completer = completion.restore(folder, method)
    asked = with_changes(PRESETS["best"], {"alternatives": alternatives})
    paths = gallery.spread(files.find([faces]), count)
    seconds, before = [], 0.0
    with tempfile.TemporaryDirectory() as out, contextlib.redirect_stdout(io.StringIO()):
        for name in ("cold", "warm"):
            job = Job(completer, completer.checked(asked), Hole("center"), Path(out, name))
            assert run(job, paths) == (count, 0, 0)
            seconds.append(f"{time.process_time() - before:.1f}")
            before = time.process_time()
    return [*seconds, f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000:.0f}"]


def parser() -> argparse.ArgumentParser:
    from pictures import masks

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "faces",
        type=Path,
        nargs="?",
        default=ROOT / "data" / "lfw-val-64",
        help="a folder, best of pictures not trained on (%(default)s)",
    )
    cli.flag(
        parser,
        "--checkpoint-dir",
        type=Path,
        default=ROOT / "models" / "faces64",
        help="(%(default)s)",
    )
    for name, folder in (("network", "faces-pix2pix"), ("onnx", "faces-onnx")):
        folder = ROOT / "models" / folder
        cli.flag(parser, f"--{name}", type=Path, default=folder, help="(%(default)s)")
    cli.flag(parser, "--cold", action="store_true", help="what pictures cost, and nothing else")
    cli.flag(parser, "--before", type=Path, help="another checkout, for --cold")
    cli.flag(parser, "--count", type=cli.positive_int, default=64, help="faces (%(default)s)")
    cli.flag(
        parser,
        "--singles",
        type=cli.positive_int,
        default=3,
        help="faces that are also searched for alone (%(default)s)",
    )
    cli.flag(
        parser,
        "--iterations",
        type=cli.positive_int,
        default=1000,
        help="of the original (%(default)s)",
    )
    cli.flag(
        parser,
        "--rounds",
        type=cli.positive_int,
        default=5,
        help="of single iterations (%(default)s)",
    )
    cli.flag(parser, "--mask", choices=masks.CHOICES, default="center", help="(%(default)s)")
    return parser


def fitting_seconds(model) -> float:
    from search import starts

    started = time.perf_counter()
    starts.Starts.fit(model.generate, model.space)
    return time.perf_counter() - started


def contextual(cases: Sequence, generated: np.ndarray) -> float:
    """The plain contextual loss, L1 over known pixels, mean over the faces."""

    return float(
        np.mean(
            [
                (np.abs(case.square - picture) * case.square_mask).sum()
                for case, picture in zip(cases, generated, strict=True)
            ]
        )
    )


def seconds_of(completer, cases: Sequence, options, steps: int) -> float:
    """Seconds of a search, its starts included, until it has taken `steps` steps."""
    started = time.perf_counter()
    for moment in completer.complete(cases, options):
        if moment.step == steps:
            break
    return time.perf_counter() - started


def steps_until(completer, cases: Sequence, options, target: float) -> tuple[int | None, float]:
    """The first step at which the contextual loss is down to target (None: never), and the lowest
    loss until then."""
    lowest = np.inf
    for moment in completer.complete(cases, options):
        lowest = min(lowest, contextual(cases, moment.generated))
        if lowest <= target:
            return moment.step, lowest
    return None, lowest


def compare(completer, cases: Sequence, original, best, wanted: float) -> np.ndarray:
    """Print how much sooner best is there; returns what the original came to."""
    for options in (original, best):  # traced, and every buffer once used
        seconds_of(completer, cases, options, steps=1)
    started = time.perf_counter()
    end = deque(completer.complete(cases, original), maxlen=1)[0]
    slow = time.perf_counter() - started
    target = contextual(cases, end.generated)
    steps, lowest = steps_until(completer, cases, options=best, target=target)
    head = f"{len(cases)} face{'s' * (len(cases) > 1)}: original {slow:.2f} s to {target:.1f}"
    if steps is None:
        print(f"{head}, best never (lowest {lowest:.1f} in {best.search.steps} steps)", flush=True)
    else:
        fast = seconds_of(completer, cases, best, steps=steps)
        print(
            f"{head}, best {fast:.3f} s and {steps} steps: {slow / fast:.1f} times less "
            f"(target: at least {wanted})",
            flush=True,
        )
    return end.generated


def compare_singles(completer, cases: Sequence, original, best, wanted: float) -> None:
    for case in cases:
        compare(completer, [case], original=original, best=best, wanted=wanted)


def compare_iterations(completer, case, rounds: int) -> None:
    """Milliseconds of one iteration for one face, ours and a plain loop's, in turns."""
    from completion.options import PRESETS, with_changes

    ours = with_changes(PRESETS["original"], {"steps": LOOP - 1})  # and the evaluation of the end
    loop = plain_loop(completer.model, case)
    milliseconds = []
    for _ in range(rounds + 1):
        ended = seconds_of(completer, [case], ours, steps=LOOP - 1), _seconds(loop)
        milliseconds.append([1000 * seconds / LOOP for seconds in ended])
    ours, plain = np.array(milliseconds[1:]).T
    print(
        f"one iteration for one face: {np.median(ours):.1f} ms, of a plain loop that fetches "
        f"loss, gradient and image {np.median(plain):.1f} ms: {np.median(ours / plain):.2f} "
        "(target: at most 0.5)",
        flush=True,
    )


def _seconds(function: Callable) -> float:
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def plain_loop(model, case) -> Callable[[], None]:
    """The original's loop on stock layers: each iteration fetches loss, gradient and image."""
    import keras
    import tensorflow as tf

    from networks import strided
    from training import losses

    def stock(network: keras.Model) -> keras.Model:
        kinds = {
            getattr(strided, n): getattr(keras.layers, n) for n in ("Conv2D", "Conv2DTranspose")
        }
        copy = keras.models.clone_model(
            network,
            clone_function=lambda one: kinds.get(type(one), type(one)).from_config(
                one.get_config()
            ),
        )
        copy.set_weights(network.get_weights())
        return copy

    generator, discriminator = map(stock, (model.average or model.generator, model.discriminator))
    picture, mask = case.square[None], case.square_mask[None]

    @tf.function
    def evaluate(z):
        with tf.GradientTape() as tape:
            tape.watch(z)
            image = generator(z, training=False)
            loss = losses.contextual_loss(image, picture, mask)
            loss += 0.1 * losses.perceptual_loss("generator", discriminator(image, training=False))
        return loss, tape.gradient(loss, z), image

    def loop() -> None:
        z = np.random.default_rng(0).uniform(-1, 1, (1, model.config.z_dim)).astype(np.float32)
        mean = square = np.zeros_like(z)
        for step in range(1, LOOP + 1):
            loss, gradient, image = (part.numpy() for part in evaluate(tf.constant(z)))
            mean = 0.9 * mean + 0.1 * gradient
            square = 0.999 * square + 0.001 * gradient**2
            rate = 0.01 * np.sqrt(1 - 0.999**step) / (1 - 0.9**step)
            z = np.clip(z - rate * mean / (np.sqrt(square) + 1e-8), -1, 1).astype(np.float32)

    return loop


def print_quality(pictures, cases: Sequence, results: dict) -> None:
    """Hole PSNR, SSIM and seam. results: name -> generated squares (N, S, S, C), blending."""
    from completion.finish import square_result
    from measuring import evaluation, features
    from measuring.tables import markdown

    truth = evaluation.Truth(pictures, features.load("random"))
    square_masks = np.stack([case.square_mask for case in cases])
    rows = {}
    for name, (generated, blending) in results.items():
        pairs = zip(cases, generated, strict=True)
        pixels = np.stack([square_result(case, g, blending) for case, g in pairs])
        values = truth.values(pixels, square_masks, truth.features)
        rows[(name,)] = {k: evaluation.summary(values[k], pictures.people) for k in QUALITY}
    columns = [
        evaluation.Column(k, t, d)
        for k, t, d in (
            ("hole_psnr", "hole PSNR, dB", 2),
            ("hole_ssim", "hole SSIM", 3),
            ("seam", "seam", 2),
        )
    ]
    print(markdown(rows, ("preset",), columns))


if __name__ == "__main__":
    cli.run(main)
