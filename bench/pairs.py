#!/usr/bin/env python3
"""Whether one z shows one person in every class, and who smiles, for a model of aligned faces.

    bench/pairs.py checkpoint

Identity is the distance of face descriptors, of the first class's picture from each other class's
of the same z, and of another z. A pair corresponds if its own picture is the nearer one. Smiles are
by align/smiles.py, whose border of lfw-val-64 is .96.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT)

import cli  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkpoint", type=Path, help="folder of a model of classes")
    cli.flag(parser, "--count", type=cli.positive_int, default=200, help="z's (%(default)s)")
    cli.flag(parser, "--border", type=cli.positive_float, default=0.96, help="(%(default)s)")
    options = parser.parse_args()
    cli.import_tensorflow()

    from align import smiles
    from measuring import features
    from model import DCGAN
    from pictures import codecs

    models = DCGAN.restore(options.checkpoint, warn=print).each()
    if len(models) < 2:
        raise ValueError(f"{options.checkpoint}: a model of no classes")
    z, extract = models[0].draw(options.count), features.load("face")
    made = {model.config.classes[model.label]: model.generate(z) for model in models}
    for name, pictures in made.items():
        found = np.array([smiles.smile(face) for face in codecs.to_bytes(pictures)])
        share = (found > options.border).mean()
        print(f"{name}: smile {found.mean():.2f}, above {options.border}: {share:.0%}")
    first, *others = (extract(pictures) for pictures in made.values())
    for name, other in zip(list(made)[1:], others, strict=True):
        own = np.linalg.norm(other - first, axis=1)
        another = np.linalg.norm(np.roll(other, 1, axis=0) - first, axis=1)
        print(
            f"{name}: identity {own.mean():.3f} from {next(iter(made))} of the same z, of another "
            f"{another.mean():.3f}; {(own < another).mean():.0%} of pairs correspond"
        )


if __name__ == "__main__":
    cli.run(main)
