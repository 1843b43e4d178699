#!/usr/bin/env python3
"""Pictures that a trained DCGAN makes: a grid, single files, a walk, arithmetic, a memory check.

Samples are numbered, in a grid row by row from 0. --numbers picks some of them, and --arithmetic
takes three such lists: A B C shows the samples of mean(A) - mean(B) + mean(C). Of a model of
classes a grid shows pairs: in each row one sample, in each column a class.
"""

import argparse
from pathlib import Path

import cli
from cli import flag, non_negative_int, positive_float, positive_int


def parser() -> argparse.ArgumentParser:
    p = cli.Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flag(
        p,
        "--checkpointDir",
        type=Path,
        help="folder of a model (default: ./checkpoint if it holds one, else the one that ships)",
    )
    flag(
        p,
        "--out",
        type=Path,
        help="a picture, or a folder for one file per sample "
        "(default: samples/grid.png, walk.gif, or a name like arithmetic.png)",
    )
    flag(
        p,
        "--count",
        type=positive_int,
        help="samples 0 to N-1 (default: 64; of --walk and --nearest 8)",
    )
    flag(p, "--numbers", type=_numbers, metavar="LIST", help="these samples instead: 3,17,20-23")
    flag(p, "--seed", type=non_negative_int, default=0, help="of all samples (%(default)s)")
    flag(
        p,
        "--truncation",
        type=positive_float,
        default=1.0,
        help="z in [-T, T], of styles so far from their mean; below 1 more alike, more usual "
        "(%(default)s)",
    )
    flag(p, "--class", dest="class_name", metavar="NAME", help="samples of this class alone")
    _add_modes(p)
    return p


def _add_modes(p: argparse.ArgumentParser) -> None:
    from measuring import features

    modes = p.add_argument_group("instead of a grid").add_mutually_exclusive_group()
    flag(modes, "--walk", action="store_true", help="an animation from sample to sample and back")
    flag(
        modes,
        "--arithmetic",
        nargs=3,
        type=_numbers,
        metavar=("A", "B", "C"),
        help="vector arithmetic on mean z's, as in the DCGAN paper's figure 7",
    )
    flag(
        modes,
        "--mix",
        nargs=2,
        type=_numbers,
        metavar=("A", "B"),
        help="of a style-based model: in each row coarse styles of a sample of A, in each column "
        "fine ones of B",
    )
    flag(
        modes,
        "--nearest",
        type=Path,
        metavar="FOLDER",
        help="beside each sample the pictures of this folder that are nearest",
    )
    flag(p, "--frames", type=positive_int, default=20, help="of --walk, per leg (%(default)s)")
    flag(p, "--neighbours", type=positive_int, default=5, help="of --nearest (%(default)s)")
    flag(
        p,
        "--features",
        choices=("pixels", *features.NAMES),
        default="pixels",
        help="in which --nearest measures (%(default)s)",
    )


def _numbers(text: str) -> list[int]:
    numbers = []
    for part in text.split(","):
        first, dash, last = part.partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise argparse.ArgumentTypeError(f"{text!r} is not a list of numbers like 3,17,20-23")
        numbers += range(int(first), int(last or first) + 1)
    return numbers


def main() -> int:
    arguments = parser().parse_args()

    from measuring import gallery, sampling
    from pictures import codecs, files, grids
    from training import checkpoint

    mode = next(
        (m for m in ("walk", "arithmetic", "mix", "nearest") if getattr(arguments, m)), "grid"
    )
    name = "walk.gif" if mode == "walk" else f"{mode}.png"
    out = arguments.out or Path("samples") / name
    wrong = out.suffix.lower() not in grids.ANIMATIONS if mode == "walk" else not out.suffix
    if mode != "grid" and wrong:
        raise ValueError(f"--out {out}: --{mode} makes one picture; choose a name like {name}")
    if mode != "walk" and out.suffix:
        files.for_writing(out)
    paths = readable = files.find([arguments.nearest]) if arguments.nearest else []
    folder = checkpoint.choose(arguments.checkpoint_dir, kind="dcgan")
    cli.import_tensorflow()
    from model import DCGAN

    model = _of_class(
        DCGAN.restore(folder, warn=print), arguments, alone=mode != "grid" or not out.suffix
    )
    count = arguments.count or (8 if mode in ("walk", "nearest") else 64)
    numbers = arguments.numbers or list(range(count))

    def latents(numbers: list[int]):
        return sampling.latents(
            model, numbers, seed=arguments.seed, truncation=arguments.truncation
        )

    if mode == "walk":
        z = sampling.walk(
            model.space, latents(numbers), arguments.frames, truncation=arguments.truncation
        )
        grids.write_gif(out, codecs.to_bytes(model.generate(z)), seconds_per_frame=0.05)
    elif mode == "arithmetic":
        columns = [latents(chosen) for chosen in arguments.arithmetic]
        codecs.write(out, sampling.arithmetic(model, *columns, arguments.seed))
        print(_of_change(sampling.change(model, *columns)))
    elif mode == "mix":
        codecs.write(out, sampling.mixed(model, *(latents(chosen) for chosen in arguments.mix)))
    elif mode == "nearest":
        samples = codecs.to_bytes(model.generate(latents(numbers)))
        readable, pictures = gallery.read_all(paths, *samples.shape[2:])
        codecs.write(
            out,
            _beside_nearest(
                samples, numbers, paths=readable, pictures=pictures, arguments=arguments
            ),
        )
    elif out.suffix and len(model.each()) > 1:
        pairs = sampling.pairs(model, numbers, arguments.seed, arguments.truncation)
        codecs.write(out, grids.grid(codecs.to_bytes(pairs), len(model.each())))
    elif out.suffix:
        codecs.write(out, grids.grid(codecs.to_bytes(model.generate(latents(numbers)))))
    else:
        with files.locked(out):
            sampling.write_each(model, latents(numbers), numbers=numbers, folder=out)
    print(out)
    return cli.status(len(paths) - len(readable), len(paths))


def _of_class(model, arguments: argparse.Namespace, alone: bool):
    """The model given the class that is asked for. Raises ValueError for another's name, and where
    none is asked for and one has to be; alone: where no pairs can be shown."""
    if arguments.class_name:
        return model.given(arguments.class_name)
    if alone and model.config.classes:
        raise ValueError(f"choose a --class: {', '.join(model.config.classes)}")
    return model


def _of_change(change) -> str:
    levels = f"{change.made:.1f} grey levels, two samples differ by {change.usual:.1f}"
    text = f"A - B changes C by {levels}"
    return text if change.is_seen else f"{text}: no difference to see; A and B are too much alike"


def _beside_nearest(samples, numbers: list[int], paths: list[Path], pictures, arguments):
    """Samples beside their nearest pictures, of these files; says on standard output how near."""
    from measuring import features, sampling

    extract = None if arguments.features == "pixels" else features.load(arguments.features)
    found = sampling.find_nearest(samples, pictures, count=arguments.neighbours, extract=extract)
    for number, nearest, distances in zip(numbers, found.pictures, found.distances, strict=True):
        print(f"sample {number}: {distances[0]:.3g} from {paths[nearest[0]]}")
    unit = f"in features {extract.name!r}" if extract else "root mean square, of 255"
    print(f"distances {unit}; pictures there are usually {found.usual:.3g} from their nearest")
    return sampling.beside(samples, pictures[found.pictures])


if __name__ == "__main__":
    cli.run(main)
