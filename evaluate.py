#!/usr/bin/env python3
"""Measure completions, mended pictures or samples against real ones, and print one table."""

import argparse
import json
from pathlib import Path

import cli
from cli import flag, non_negative_int, positive_float, positive_int

EPILOG = """methods, joined by commas:
  best, original          the presets of complete.py
  search, network, both   preset best by that --method; network:fidelity=1 and
                          search:steps=50:start=bank change its options;
                          network:model=DIR takes another model; one of fewer pixels
                          completes smaller pictures, and its results are enlarged
  telea, ns, biharmonic   inpainting of OpenCV and scikit-image
  mean, ppca-K            mean picture; probabilistic PCA of K components: fitted to --train;
                          ppca-K:caution=30 takes its noise to be 30 times what is left over
  NAME+BLEND              with that blending: mean+poisson, ppca-200+poisson, best+none

Nobody whom --train shows is evaluated: {rule}.
Give --train what the model was trained on, whatever the methods. None gets a hidden pixel."""


MENDING = """methods, joined by commas:
  network                 the model of --checkpoint-dir; network:fidelity=1:model=DIR
                          changes how smooth it is, and takes another model
  damaged                 nothing is done; a small picture is enlarged bicubically
  bicubic                 from the means that lowres and mosaic leave
  mean                    brightness as given, the colours that pictures of --train have on
                          average at each place: for grey
  ridge                   ridge regression from patches, fitted to --train"""


def parser() -> argparse.ArgumentParser:
    from data import split
    from measuring import features

    p = cli.Parser(description=__doc__)
    what = p.add_subparsers(dest="what", required=True)
    completion = what.add_parser(
        "completion",
        help="complete pictures whose truth is known, by several methods",
        epilog=EPILOG.format(rule=split.RULE),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    samples = what.add_parser("samples", help="compare samples with real pictures as sets")
    _add_completion_flags(completion)
    mending = what.add_parser(
        "mending",
        help="damage pictures and mend them, by several methods",
        epilog=MENDING,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_mending_flags(mending)
    flag(samples, "--truncation", type=positive_float, default=1.0, help="z in [-T, T] (1)")
    for sub, train in (
        (completion, "what mean and ppca are fitted to"),
        (mending, "what mean and ridge are fitted to"),
        (samples, "as many of these are measured too: as good as samples can be"),
    ):
        flag(sub, "--dataset", type=Path, help="folder of pictures, aligned as the model's")
        flag(sub, "--train", type=Path, help=f"folder of training pictures: {train}")
        flag(sub, "--shared-people", action="store_true", help="evaluate people of --train too")
        flag(sub, "--count", type=positive_int, help="pictures, spread over the folder (all)")
        flag(
            sub,
            "--checkpointDir",
            type=Path,
            help="folder of a model "
            "(default: ./checkpoint if it holds one, else the one that ships)",
        )
        flag(
            sub,
            "--features",
            choices=features.NAMES,
            default="auto",
            help="for distances of sets (auto: face where installed, else random)",
        )
        flag(sub, "--seed", type=non_negative_int, default=0, help="of holes and samples (0)")
        flag(sub, "--json", type=Path, metavar="FILE", help="write everything measured")
    return p


def _add_completion_flags(parser: argparse.ArgumentParser) -> None:
    from measuring.evaluation import MASKS

    flag(
        parser,
        "--mask",
        type=_names,
        default=["center"],
        metavar="LIST",
        help=f"of {', '.join(MASKS)} (default: center)",
    )
    flag(
        parser,
        "--methods",
        type=_names,
        metavar="LIST",
        help="see below (default: best, telea, ns, biharmonic; with --train also mean and ppca)",
    )
    _add_sheet_flags(parser)
    flag(
        parser,
        "--generated",
        action="store_true",
        help="instead of --dataset: pictures that the model itself makes",
    )
    flag(
        parser,
        "--image-size",
        type=positive_int,
        help="of the pictures, a multiple of each model's (default: the largest model's, or 64)",
    )


def _add_sheet_flags(parser: argparse.ArgumentParser) -> None:
    flag(
        parser,
        "--picture",
        type=Path,
        metavar="FILE",
        help="write a sheet of the first pictures: true, damaged, a row for each method",
    )
    flag(parser, "--shown", type=positive_int, help="pictures on that sheet (8)")
    flag(parser, "--enlarge", type=positive_int, help="pixels of the sheet for each (1)")


def _add_mending_flags(parser: argparse.ArgumentParser) -> None:
    flag(parser, "--damage", help="as of train-pix2pix.py (default: the model's)")
    flag(
        parser,
        "--methods",
        type=_names,
        default=["network", "damaged", "bicubic"],
        metavar="LIST",
        help="see below (default: network, damaged, bicubic)",
    )
    _add_sheet_flags(parser)
    flag(parser, "--image-size", type=positive_int, help="(default: the model's, or 64)")


def _names(text: str) -> list[str]:
    return [name for name in text.split(",") if name]


def main() -> int:
    from pictures.files import replacing

    arguments = parser().parse_args()
    _check(arguments)
    measure = {"completion": _completion, "mending": _mending, "samples": _samples}
    found = measure[arguments.what](arguments)
    if arguments.json:
        settings = {name: _plain(value) for name, value in vars(arguments).items()}
        with replacing(arguments.json) as temporary:
            temporary.write_text(json.dumps({"settings": settings} | found, indent=1) + "\n")
    return cli.status(found["passed_over"], found["passed_over"] + found["evaluated"])


def _plain(value):
    return str(value) if isinstance(value, Path) else value


def _check(arguments: argparse.Namespace) -> None:
    """Raises ValueError for flags that contradict each other or have no effect."""
    from measuring.evaluation import MASKS

    completion = arguments.what == "completion"
    generated = completion and arguments.generated
    if not (arguments.dataset or generated):
        raise ValueError("--dataset DIR is needed: pictures to measure with")
    if generated:
        for name in ("dataset", "shared_people"):
            if value := getattr(arguments, name):
                flag_ = f"--{name.replace('_', '-')}" + f" {value}" * (value is not True)
                raise ValueError(
                    f"{flag_} with --generated, which measures the model's own pictures"
                )
    for name in ("shown", "enlarge") if arguments.what != "samples" else ():
        if getattr(arguments, name) and not arguments.picture:
            raise ValueError(f"--{name} is of the sheet that --picture FILE writes")
    for kind in arguments.mask if completion else ():
        if kind not in MASKS:
            raise ValueError(f"--mask {kind!r}: choose from {', '.join(MASKS)}")


def _completion(arguments: argparse.Namespace) -> dict:
    """Print the table of completions; returns what --json holds."""
    from measuring import evaluation, features, methods, sheets
    from pictures import codecs
    from training import checkpoint

    names = arguments.methods or methods.DEFAULTS + methods.FITTED * bool(arguments.train)
    specs = [methods.Spec.parse(name) for name in names]
    chosen, others = _paths(arguments)
    completers = _completers(arguments, specs)
    completer = next(iter(completers.values()), None)
    channels = completer.channels if completer else 3
    if completers:
        cli.import_tensorflow()
    size = arguments.image_size or max((other.size for other in completers.values()), default=64)
    for other in completers.values():
        if size % other.size:
            raise ValueError(
                f"--image-size {size}: {other.path} makes {other.size} pixels; choose a multiple"
            )
    if arguments.generated:
        from model import DCGAN

        folder = checkpoint.choose(arguments.checkpoint_dir, kind="dcgan")
        sampled, count = DCGAN.restore(folder), arguments.count or 100
        pictures = evaluation.Pictures.generated(sampled, count, arguments.seed)
    else:
        pictures = evaluation.Pictures.read(chosen, size, channels)
    train, unread = _train(others, size, channels)
    made = methods.make(specs, completers, train)
    truth = evaluation.Truth(pictures, features.load(arguments.features))
    results = [
        result
        for kind in arguments.mask
        for result in evaluation.complete_all(truth, kind, made, seed=arguments.seed)
    ]
    print(evaluation.completion_table(results, pictures.people))
    print(f"\n{evaluation.notes(truth)}")
    if arguments.picture:
        shown, enlarge = arguments.shown or 8, arguments.enlarge or 1
        sheet = sheets.sheet(pictures, results, arguments.seed, count=shown, enlarge=enlarge)
        codecs.write(arguments.picture, sheet)
    unread += max(len(chosen) - len(pictures.paths), 0)
    return _model_of(completer) | _counts(pictures, unread) | evaluation.report(truth, results)


def _mending(arguments: argparse.Namespace) -> dict:
    """Print the table of mended pictures; returns what --json holds."""
    from completion.mending import Mender
    from measuring import evaluation, features, mending, sheets
    from pictures import codecs
    from pictures.damage import Damage

    menders = {}
    for name in arguments.methods:
        folder, _ = mending.parse(name)
        if name.startswith("network"):
            if not (folder or arguments.checkpoint_dir):
                raise ValueError(f"method {name} takes a model: --checkpoint-dir DIR")
            menders[name] = Mender.of(Path(folder or arguments.checkpoint_dir), warn=print)
    mender = next(iter(menders.values()), None)
    if not (mender or arguments.damage):
        raise ValueError("--damage is needed where no network says it")
    damage = Damage(arguments.damage or mender.damage.name)
    size = arguments.image_size or (mender.size if mender else 64)
    if wrong := [m for m in menders.values() if m.size != size]:
        raise ValueError(f"--image-size {size}: {wrong[0].path} makes {wrong[0].size} pixels")
    chosen, others = _paths(arguments)
    pictures = evaluation.Pictures.read(chosen, size, mender.channels if mender else 3)
    train, unread = _train(others, size, pictures.pixels.shape[3])
    methods = mending.make(arguments.methods, damage, train, menders)
    truth = evaluation.Truth(pictures, features.load(arguments.features))
    results = list(mending.mend_all(truth, damage, methods, arguments.seed))
    print(mending.table(results, pictures.people))
    print(f"\n{evaluation.notes(truth)}")
    if arguments.picture:
        first = pictures.first(arguments.shown or 8).pixels
        given = codecs.to_float(mending.damaged(first, damage, arguments.seed))
        seen = codecs.to_bytes([damage.enlarged(picture) for picture in given])
        group = [("true", first), (damage.name, seen)]
        group += [(result.method, result.pixels[: len(first)]) for result in results]
        codecs.write(arguments.picture, sheets.of_groups([group], arguments.enlarge or 1))
    unread += len(chosen) - len(pictures.paths)
    return _counts(pictures, unread) | evaluation.report(truth, results)


def _completers(arguments: argparse.Namespace, specs) -> dict:
    """What completes in each way that the methods ask for, the first one's first."""
    import completion
    from training import checkpoint

    wanted = [(spec.way, spec.model) for spec in specs if spec.options]
    wanted = wanted or [("search", "")] * arguments.generated
    completers = {}
    for way, model in dict.fromkeys(wanted):
        given = Path(model) if model else arguments.checkpoint_dir
        kind, pixels = completion.METHODS.get(way), arguments.image_size or 64
        folder = checkpoint.choose(given, kind, pixels)
        completers[way, model] = completion.restore(folder, way, warn=print)
    return completers


def _samples(arguments: argparse.Namespace) -> dict:
    """Print the table of samples; returns what --json holds."""
    from measuring import evaluation, features
    from training import checkpoint

    chosen, others = _paths(arguments)
    folder = checkpoint.choose(arguments.checkpoint_dir, kind="dcgan")
    cli.import_tensorflow()
    from model import DCGAN

    model = DCGAN.restore(folder, warn=print)
    size, channels = model.config.image_size, model.config.channels
    pictures = evaluation.Pictures.read(chosen, size, channels)
    train, unread = _train(others, size, channels)
    extractor = features.load(arguments.features)
    rows = evaluation.sample_distances(
        model,
        pictures.pixels,
        extractor,
        seed=arguments.seed,
        truncation=arguments.truncation,
        train=train,
    )
    print(evaluation.samples_table(rows, len(pictures.paths), extractor))
    unread += len(chosen) - len(pictures.paths)
    found = {"features": extractor.name, "rows": rows}
    return _model_of(model) | _counts(pictures, unread) | found


def _paths(arguments: argparse.Namespace) -> tuple[list[Path], list[Path]]:
    """The files to measure with, none where --generated, and those of --train."""
    from measuring import gallery
    from pictures import files

    others = files.find([arguments.train]) if arguments.train else []
    if not arguments.dataset:
        return [], others
    paths = files.find([arguments.dataset])
    apart = paths if arguments.shared_people else gallery.apart(paths, others)
    if not apart:
        raise ValueError(
            f"{arguments.dataset}: --train {arguments.train} shows everyone there; "
            "--shared-people evaluates them nevertheless"
        )
    if len(apart) < len(paths):
        print(f"left out {len(paths) - len(apart)} of {len(paths)} pictures: people of --train")
    return gallery.spread(apart, arguments.count), others


def _train(paths: list[Path], size: int, channels: int):
    """The training pictures, uint8 (N, size, size, C), or None; how many could not be read."""
    from measuring import gallery

    if not paths:
        return None, 0
    readable, pixels = gallery.read_all(paths, size, channels)
    return pixels, len(paths) - len(readable)


def _counts(pictures, passed_over: int) -> dict:
    """What was measured and what was not; says the latter on standard output."""
    if passed_over:
        print(f"{passed_over} files passed over")
    return {"evaluated": len(pictures.paths), "passed_over": passed_over}


def _model_of(model) -> dict:
    return {"model": model and str(model.path), "fingerprint": model and model.fingerprint()}


if __name__ == "__main__":
    cli.run(main)
