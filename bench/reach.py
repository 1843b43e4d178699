#!/usr/bin/env python3
"""How much of real pictures a prior can show at all: each is shown to its search whole.

    bench/reach.py lfw-val-64 models/faces64 checkpoint --linear 100 --picture sheet.png

The search is preset best's without a guide. What it finds is put into the centre hole of
evaluate.py and blended there, and figures are those. --linear K: also, what the first K components
of the first model's linear model show, blurred, for K numbers a picture.
"""

import argparse
import dataclasses
import sys
from collections import deque
from collections.abc import Callable
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT)

import cli  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dataset", type=Path)
    parser.add_argument("models", type=Path, nargs="+", help="checkpoint folders")
    cli.flag(parser, "--count", type=cli.positive_int, default=48, help="(%(default)s)")
    cli.flag(parser, "--linear", type=cli.positive_int, metavar="K")
    cli.flag(parser, "--picture", type=Path, help="what to look at: PNG")
    arguments = parser.parse_args()
    cli.import_tensorflow()

    from completion.options import PRESETS
    from completion.searching import Searching
    from measuring import evaluation, features, gallery, sheets
    from model import DCGAN
    from pictures import codecs, files
    from search.linear import Given

    models = [DCGAN.restore(folder, warn=print) for folder in arguments.models]
    paths = gallery.spread(files.find([arguments.dataset]), arguments.count)
    config, linear = models[0].config, models[0].linear
    pictures = evaluation.Pictures.read(paths, config.image_size, config.channels)
    truth = evaluation.Truth(pictures, features.load("auto"))
    whole = {case.path: case.whole() for case in pictures.cases("center")}

    def shown(generate: Callable) -> Callable:
        def of_whole(cases) -> np.ndarray:
            squares = [whole[case.path] for case in cases]
            known = np.ones_like(cases[0].square_mask)
            return generate(
                [
                    dataclasses.replace(case, square=square, square_mask=known)
                    for case, square in zip(cases, squares, strict=True)
                ]
            )

        return of_whole

    def by_search(completer: Searching) -> Callable:
        options = dataclasses.replace(PRESETS["best"], guide="none")
        return lambda cases: deque(completer.complete(cases, options), maxlen=1)[0].generated

    def by_components(cases) -> np.ndarray:
        first = {n: getattr(linear, n)[: arguments.linear] for n in ("components", "variances")}
        masks = np.stack([case.square_mask for case in cases])
        given = Given(dataclasses.replace(linear, noise=1e-6, **first), masks)
        return given.expected(np.stack([case.square for case in cases]))

    ways = {str(model.path): by_search(Searching.of(model)) for model in models}
    if arguments.linear:
        ways[f"{arguments.linear} components"] = by_components
    made = [evaluation.Method(name, shown(way), "poisson") for name, way in ways.items()]
    results = list(evaluation.complete_all(truth, "center", made, seed=0))
    print(evaluation.completion_table(results, pictures.people))
    if arguments.picture:
        sheet = sheets.sheet(pictures, results, 0, count=len(pictures.paths), enlarge=2)
        codecs.write(arguments.picture, sheet)


if __name__ == "__main__":
    cli.run(main)
