#!/usr/bin/env python3
"""Fill holes in pictures with what a trained model finds likely."""

import argparse
import importlib.util
import math
import os
from pathlib import Path

import cli
from cli import (
    decay,
    flag,
    fraction,
    non_negative_float,
    non_negative_int,
    point,
    positive_float,
    positive_int,
)


def parser() -> argparse.ArgumentParser:
    from align import cluster
    from completion.options import PRESETS
    from pictures.files import WRITTEN, path_of

    presets = "\n".join(f"  {name}: {_described(options)}" for name, options in PRESETS.items())
    p = cli.Parser(
        description=__doc__,
        epilog=f"presets (a flag given by hand wins):\n{presets}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("imgs", nargs="+", type=path_of, help="pictures, or folders of them, or URLs")
    flag(
        p,
        "--checkpointDir",
        type=Path,
        help="folder of a model, ours or the original's "
        "(default: ./checkpoint-pix2pix or ./checkpoint if it holds one, else one that ships)",
    )
    flag(p, "--outDir", type=path_of, default=Path("completions"), help="(default: %(default)s)")
    flag(p, "--outInterval", type=positive_int, default=50, help="steps between grids (50)")
    flag(
        p,
        "--format",
        choices=WRITTEN,
        default="png",
        help="of results/; jpg alone changes known pixels a little (%(default)s)",
    )
    flag(p, "--preset", choices=PRESETS, default="best", help="(default: %(default)s)")
    flag(p, "--imgSize", type=positive_int, help="the model's size, checked against the checkpoint")
    flag(p, "--batch-size", type=positive_int, default=64, help="pictures searched for together")
    flag(p, "--seed", type=non_negative_int, help="decides starts, draws and random masks (0)")
    _add_hole(p.add_argument_group("the hole"))
    _add_place(p.add_argument_group("pictures of another size than the model's"))
    _add_way(p.add_argument_group("the way"))
    cluster.add_flags(p.add_argument_group("several machines"))
    find = p.add_argument_group("search")
    _add_search(find)
    _add_loss(find)
    return p


def _add_hole(hole) -> None:
    from completion.case import Hole
    from pictures import masks
    from pictures.files import path_of

    given = hole.add_mutually_exclusive_group()
    flag(
        given,
        "--maskType",
        choices=(*masks.CHOICES, "cam"),
        default="center",
        help="(%(default)s); cam: where an ImageNet network looks for --class",
    )
    flag(
        hole,
        "--class",
        dest="class_name",
        metavar="NAME",
        help="with cam, of ImageNet (the most probable one); else, of a model of classes, the one "
        "to search in (the one that fits best)",
    )
    flag(hole, "--centerScale", type=float, help=f"margin of center ({Hole.center_scale})")
    flag(hole, "--fraction", type=fraction, help=f"hidden by random ({Hole.fraction})")
    flag(given, "--mask", type=path_of, help="mask file, white = hole, or a folder of them by name")
    flag(hole, "--mask-hole", choices=masks.PAINTS, help="what of the mask file is the hole")
    flag(
        hole,
        "--invert-mask",
        dest="mask_hole",
        action="store_const",
        const="black",
        help="= --mask-hole black",
    )
    flag(given, "--mask-alpha", action="store_true", help="transparent pixels are the hole")
    flag(
        given,
        "--detect-scratches",
        action="store_true",
        help="thin light or dark lines are the hole: a proposal, look at it with --preview",
    )
    flag(hole, "--dilate", type=non_negative_int, default=0, help="grow the hole, in pixels")
    flag(hole, "--preview", action="store_true", help="write the holes over the pictures and stop")


def _add_place(place) -> None:
    from completion.case import FITS

    flag(place, "--fit", choices=FITS, default="resize", help="the centre square, or the face")
    flag(place, "--face", dest="fit", action="store_const", const="face", help="= --fit face")
    flag(
        place,
        "--face-points",
        nargs=3,
        type=point,
        metavar="x,y",
        help="inner corners of the eyes and bottom lip, in pixels, where no face is found",
    )


def _add_way(way) -> None:
    from completion import METHODS

    flag(
        way,
        "--method",
        choices=METHODS,
        help="search: of a DCGAN, for what agrees with what is known; network: in one pass, by one "
        "that has learned to; both: alternatives by search, filled in by the network (default: "
        "what the model is made for; search with --preset original)",
    )
    flag(
        way,
        "--runtime",
        choices=("tensorflow", "onnx"),
        help="onnx: a network that export.py has written, without TensorFlow (default: what the "
        "model's folder holds; without one, onnx where TensorFlow is not installed)",
    )
    flag(
        way,
        "--fidelity",
        type=fraction,
        help="of the network: 0 is sharp, 1 smooth and nearer to the truth on average (0)",
    )


def _add_search(find) -> None:
    from search import latent, starts

    flag(find, "--approach", choices=latent.APPROACHES)
    flag(find, "--nIter", dest="steps", type=non_negative_int, help="iterations")
    flag(find, "--lr", type=positive_float, help="of adam and momentum")
    flag(find, "--schedule", choices=latent.SCHEDULES, help="of the learning rate")
    flag(find, "--beta1", type=decay)
    flag(find, "--beta2", type=decay)
    flag(find, "--eps", type=positive_float)
    flag(find, "--momentum", type=decay)
    flag(find, "--hmcBeta", type=positive_float)
    flag(find, "--hmcEps", type=positive_float)
    flag(find, "--hmcL", type=positive_int)
    flag(find, "--hmcAnneal", type=positive_float)
    flag(find, "--clip", choices=latent.CLIPS, help="what happens to z outside of [-1, 1]")
    flag(find, "--prior-weight", type=non_negative_float, help="of |z|^2, with --clip none")
    flag(
        find,
        "--as",
        dest="as_class",
        metavar="NAME",
        help="of a model of classes: the one to show what is found in",
    )
    flag(
        find,
        "--per-layer",
        action="store_true",
        default=None,
        help="of a style-based model: a style for each layer (W+)",
    )
    flag(find, "--start", choices=starts.KINDS, help="where z starts")
    flag(find, "--restarts", type=positive_int, help="searches, of which the best counts")
    flag(find, "--tolerance", type=non_negative_float, help="stop what gains less (0: no)")
    flag(find, "--alternatives", type=positive_int, help="different completions of each picture")


def _add_loss(find) -> None:
    from completion.options import CONTEXTS, GUIDES
    from pictures import blend
    from pictures.files import path_of
    from search import objective

    flag(find, "--lam", type=non_negative_float, help="weight of the perceptual loss")
    flag(find, "--context", choices=CONTEXTS, help="known pixels count alike, or by nearness")
    flag(find, "--window", type=positive_int, help="of that nearness, in pixels, odd")
    flag(
        find,
        "--guide",
        choices=GUIDES,
        help="linear: the linear model of the training pictures guides the search within the "
        "hole, and tells what G missed; auto: if there is one; not with lowres",
    )
    flag(find, "--norm", choices=objective.NORMS, help="of the contextual loss")
    flag(
        find,
        "--perceptual",
        "--prior",
        type=_perceptual,
        action=_Perceptual,
        metavar="WEIGHT",
        help="of the distance in ImageNet features around the hole, which need "
        "requirements-features.txt (0); or "
        f"{' or '.join(objective.PERCEPTUAL)}: form of the perceptual loss, -log D or log(1 - D)",
    )
    flag(find, "--blend", choices=blend.METHODS)
    flag(find, "--reference", type=path_of, help="folder of true pictures to measure against")


def _described(options) -> str:
    found = options.search
    rate = f"lr {found.lr} {found.schedule}, " if found.approach in ("adam", "momentum") else ""
    prior = f" (prior weight {found.prior_weight})" if found.clip == "none" else ""
    window = f" (window {options.window})" if options.context == "weighted" else ""
    guide = f", guide {options.guide}" if options.guide != "none" else ""
    return (
        f"{found.approach}, {found.steps} steps, {rate}start {found.start}, "
        f"clip {found.clip}{prior}, lam {options.objective.lam}, "
        f"context {options.context}{window}{guide}, norm {options.objective.norm}, "
        f"perceptual {options.objective.perceptual}, features {options.objective.features}, "
        f"blend {options.blend}"
    )


def _perceptual(text: str) -> float | str:
    from search.objective import PERCEPTUAL

    if text in PERCEPTUAL:
        return text
    try:
        return non_negative_float(text)
    except argparse.ArgumentTypeError as error:
        raise argparse.ArgumentTypeError(f"{error}, nor {' or '.join(PERCEPTUAL)}") from None


class _Perceptual(argparse.Action):
    """A weight is that of the features' distance, a word the form of the perceptual loss."""

    def __call__(self, parser, namespace, value, option_string=None):
        name = "features" if isinstance(value, float) else "perceptual"
        setattr(namespace, name, value)


def main() -> int:
    arguments = parser().parse_args()

    import completion
    from align import cluster
    from completion.folder import preview, run
    from completion.options import PRESETS, fields, with_changes
    from completion.outputs import inputs
    from pictures import files

    engine = cluster.asked_for(arguments)
    if engine and arguments.preview:
        raise ValueError("--engine ray has no effect with --preview")
    hole = _hole(arguments)
    others = filter(None, (arguments.mask, arguments.reference))
    paths = inputs(arguments.imgs, arguments.out_dir, [*others])
    preset = PRESETS[arguments.preset]
    given = {k: v for k, v in vars(arguments).items() if k in fields(preset) and v is not None}
    if hole.looked_for:
        del given["class_name"]  # is of ImageNet
    options = with_changes(preset, given)
    method = arguments.method or _asked_for(arguments, given)
    folder = _folder(arguments, completion.METHODS.get(method), paths)
    completer = completion.restore(folder, method, warn=print)
    if idle := sorted(given.keys() - completer.heeds):
        raise ValueError(f"{', '.join(idle)} would change nothing: {completer.describe(options)}")
    options = completer.checked(options)
    if arguments.img_size not in (None, completer.size):
        raise ValueError(
            f"--img-size is {arguments.img_size}, but the model makes {completer.size} pixels"
        )
    job = _job(arguments, completer, options=options, hole=hole, paths=paths)
    if arguments.face_points and len(paths) > 1:
        raise ValueError(f"--face-points are those of one picture; {len(paths)} are given")
    if arguments.preview:
        with files.locked(arguments.out_dir):
            failed = preview(job, paths)
        if failed < len(paths):
            print(f"previews are in {arguments.out_dir / 'preview'}")
        return cli.status(failed, len(paths))
    print(completer.describe(options))
    with files.locked(arguments.out_dir):
        completed, done, bad = run(job, paths, engine)
    print(f"{completed} completed, {done} done before, {bad} passed over; see {arguments.out_dir}")
    return cli.status(bad, len(paths))


def _asked_for(arguments: argparse.Namespace, given: dict) -> str | None:
    """The way that the other flags mean: what belongs to a search asks for one, where no model is
    named; None for what the model is made for."""
    from completion.options import OF_ALL

    if arguments.preset == "original":
        return "search"
    asked = given.keys() - OF_ALL or arguments.mask_type == "lowres"
    return "search" if asked and arguments.checkpoint_dir is None else None


def _pixels(arguments: argparse.Namespace, paths: list[Path]) -> float:
    """How large what is completed is, in pixels a side: the smaller models that ship serve small
    pictures. Faces of a photograph may have any size."""
    from pictures import decoding

    if arguments.fit == "face" or arguments.face_points:
        return math.inf
    try:
        return min(decoding.size_in_file(paths[0].read_bytes()))
    except Exception:  # whatever a decoder raises: reading it says what is wrong
        return math.inf


def _folder(arguments: argparse.Namespace, kind: str | None, paths: list[Path]) -> Path:
    """The folder of the model: the one given, else one of that kind. Raises ValueError where it is
    for another runtime than was asked for."""
    from training import checkpoint

    given, runtime = arguments.checkpoint_dir, arguments.runtime
    if given is None:
        runtime = runtime or ("tensorflow" if importlib.util.find_spec("tensorflow") else "onnx")
        given = checkpoint.EXPORTED if runtime == "onnx" else None
    if runtime and given and (given / "model.onnx").exists() != (runtime == "onnx"):
        why = f"--runtime {runtime}: {given} holds no model for it"
        if runtime == "onnx":
            model, out = checkpoint.SHIPPED[0], checkpoint.EXPORTED
            export = f"./export.py {os.path.relpath(model)} {os.path.relpath(out)} --format onnx"
            why += f"; one is made by pip install -r requirements-export.txt, and {export}"
        raise ValueError(why)
    return checkpoint.choose(given, kind, _pixels(arguments, paths))


def _hole(arguments: argparse.Namespace):
    """The hole that was asked for. Raises ValueError for a flag that would have no effect."""
    from completion.case import Hole

    if arguments.mask_hole and not arguments.mask:
        raise ValueError("--mask-hole says how to read a mask file; give one with --mask")
    own = arguments.mask or arguments.mask_alpha or arguments.detect_scratches
    built_in = None if own else arguments.mask_type
    given = {}
    for name, kind in (("fraction", "random"), ("center_scale", "center")):
        if (value := getattr(arguments, name)) is None:
            continue
        if built_in != kind:
            raise ValueError(
                f"--{name.replace('_', '-')} has no effect; it belongs to --mask-type {kind}"
            )
        given[name] = value
    if built_in == "lowres" and arguments.guide not in (None, "auto", "none"):
        raise ValueError(f"--guide {arguments.guide} has no effect with --mask-type lowres")
    if built_in == "cam":
        from networks import extractors

        extractors.must_be_there("efficientnet-lite0")
        if arguments.class_name:
            extractors.class_number(arguments.class_name)
    return Hole(
        kind=arguments.mask_type,
        seed=arguments.seed or 0,
        paint=arguments.mask_hole,
        alpha=arguments.mask_alpha,
        scratches=arguments.detect_scratches,
        looked_for=(built_in == "cam" and arguments.class_name) or "",
        dilate=arguments.dilate,
        **given,
    )


def _job(arguments: argparse.Namespace, completer, options, hole, paths: list[Path]):
    from completion.folder import Job
    from pictures import masks

    return Job(
        completer,
        options,
        hole=hole,
        out_dir=arguments.out_dir,
        fit=arguments.fit,
        face_points=arguments.face_points,
        masks_of=arguments.mask and masks.match(paths, arguments.mask),
        references=arguments.reference and masks.match(paths, arguments.reference, "true picture"),
        interval=arguments.out_interval,
        batch_size=arguments.batch_size,
        suffix=arguments.format,
    )


if __name__ == "__main__":
    cli.run(main, stopped="stopped: the same command goes on with what is left")
