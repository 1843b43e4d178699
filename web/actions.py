"""What each click of the page does: values of its components in, their new values out."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import gradio as gr
import numpy as np

from completion.case import Case, Hole
from completion.options import PRESETS, Options, with_changes
from pictures import codecs
from web import studio
from web.safety import Limits, check
from web.studio import Models, Result, Scene, View

WHOLE, POINTS = "whole", "points"  # places besides the faces, which are named by their numbers
BRUSH, FILE, BUILT_IN = "Brush", "Mask file", "Built-in"
KINDS = (BRUSH, FILE, BUILT_IN)
EYE = "the inner corner of the {} eye"
CLICKS = (EYE.format("left"), EYE.format("right"), "the bottom lip")
ENDS = {
    "done": "Done",
    "stopped": "Stopped: the best so far",
    "time": "Time is up: the best so far",
}
LIVE_SIDE = 320  # pixels of the picture that is shown while a search goes on


class Wish(NamedTuple):
    """What the page's components say, in the order of its inputs."""

    scene: Scene | None
    where: str
    clicks: list[tuple[float, float]]
    kind: str
    mask: str | None
    built_in: str
    model: str
    preset: str
    steps: float | None
    lam: float | None
    blend: str | None
    alternatives: float | None
    seed: float | None
    editor: dict | None = None

    @property
    def points(self) -> np.ndarray | None:
        return points_of(self.scene, self.where, self.clicks)

    @property
    def options(self) -> Options:
        return options_of(
            self.preset,
            steps=self.steps,
            lam=self.lam,
            blend=self.blend,
            alternatives=self.alternatives,
            seed=self.seed,
        )


def points_of(scene: Scene | None, where: str, clicks: list) -> np.ndarray | None:
    """The three points (3, 2) to align by; None to take the whole picture."""
    if scene is None:
        raise ValueError("There is no picture yet: upload or paste one, or take an example")
    if where == WHOLE:
        return None
    if where == POINTS:
        if len(clicks) < len(CLICKS):
            raise ValueError(f"Click {CLICKS[len(clicks)]} in the picture first")
        return np.array(clicks)
    return scene.faces[int(where)][1]


def options_of(preset: str, **changes: float | str | None) -> Options:
    """The preset with what was given by hand; whole numbers come from the page as floats."""
    whole = {"steps", "alternatives", "seed"}
    given = {k: int(v) if k in whole else v for k, v in changes.items() if v is not None}
    return with_changes(PRESETS[preset], given)


@contextmanager
def telling() -> Iterator[None]:
    """Tell a ValueError, which is the user's, on the page; decorates a handler too."""
    try:
        yield
    except ValueError as error:
        raise gr.Error(str(error), title="Not possible", print_exception=False) from None


class Actions:
    """models: to choose from; folder: where results are written; seconds: the most for a search."""

    def __init__(self, models: Models, limits: Limits, folder: Path, seconds: float):
        self.models, self.limits, self.folder, self.seconds = models, limits, folder, seconds
        self._stops: dict[str, threading.Event] = {}  # of the searches asked for, by session

    # A picture, and a place in it

    def look(self, path: str | None) -> tuple:
        """A new picture -> scene, where, clicks, place, work, help, shown, editor"""
        there, hidden = gr.update(visible=True), gr.update(visible=False)
        if path is None:
            return None, gr.skip(), [], hidden, hidden, there, None, None
        try:
            check(path, self.limits)
            scene = studio.look(path)
        except ValueError as error:
            raise gr.Error(str(error), title="Not taken", print_exception=False) from None
        choices = [(f"Face {n + 1}", str(n)) for n in range(len(scene.faces))]
        choices += [("Whole picture", WHOLE), ("Three points I click", POINTS)]
        where = gr.update(choices=choices, value=choices[0][1])
        return scene, where, [], there, there, hidden, *self.place(scene, choices[0][1], [])

    @telling()
    def place(self, scene: Scene, where: str, clicks: list) -> tuple:
        """A place chosen -> shown, editor"""
        by_points = where == POINTS
        missing = CLICKS[len(clicks) :] if by_points else ()
        points = None if missing else points_of(scene, where, clicks)
        label = "Click a face to choose it"
        if by_points:
            label = f"Click {missing[0]}" if missing else "Click again to choose other points"
        shown = gr.update(
            value=studio.outlined(scene, points, clicks if by_points else []),
            label=label,
            visible=bool(scene.faces) or by_points,
        )
        canvas = {"background": studio.canvas(scene, points), "layers": [], "composite": None}
        return shown, canvas

    @telling()
    def click(self, scene: Scene, where: str, clicks: list, event: gr.SelectData) -> tuple:
        """A click into the picture -> where, clicks, shown, editor"""
        x, y = (value / scene.scale for value in event.index)
        if where == POINTS:
            clicks = [*(clicks if len(clicks) < len(CLICKS) else []), (x, y)]
        elif (number := scene.face_at(x, y)) is None:
            return where, clicks, gr.skip(), gr.skip()
        else:
            where = str(number)
        return where, clicks, *self.place(scene, where, clicks)

    # The hole

    @telling()
    def preview(self, *values) -> np.ndarray | None:
        """What a mask file or a built-in mask hides, tinted."""
        wish = Wish(*values)
        if wish.scene is None or wish.kind == BRUSH or (wish.kind == FILE and not wish.mask):
            return None
        return studio.preview(self._case(wish), wish.points)

    def _case(self, wish: Wish) -> Case:
        points, model = wish.points, self.models.get(wish.model)
        if wish.kind == BRUSH:
            layers = wish.editor["layers"] if wish.editor else []
            paint = np.max([layer[..., 3] for layer in layers], axis=0) if layers else None
            size = model.size
            with TemporaryDirectory(dir=self.folder) as folder:
                file = studio.painted_mask(
                    wish.scene, points, paint=paint, size=size, folder=Path(folder)
                )
                return studio.prepare(wish.scene.path, model, Hole(file=file), points=points)
        if wish.kind == FILE:
            hole = self._mask_file(wish.mask)
        else:
            hole = Hole(wish.built_in, wish.options.search.seed)
        return studio.prepare(wish.scene.path, model, hole, points=points)

    def _mask_file(self, path: str | None) -> Hole:
        if path is None:
            raise ValueError("There is no mask file yet: upload one, or use the brush")
        check(path, self.limits)
        return Hole(file=Path(path))

    # The search

    def stop(self, request: gr.Request) -> None:
        if event := self._stops.get(request.session_hash):
            event.set()

    def complete(self, request: gr.Request, *values) -> Iterator[tuple]:
        """The picture of the page -> complete, stop, status, live, results, gallery, slider, three
        downloads, files. Yields what the search comes to on its way, and what it came to."""
        wish, stop = Wish(*values), threading.Event()
        self._stops[request.session_hash] = stop
        shown, hidden = gr.update(visible=True), gr.update(visible=False)
        with telling(), studio.own_folder(self.folder) as folder:
            case, model = self._case(wish), self.models.get(wish.model)
            for view in studio.complete(
                model,
                case,
                options=wish.options,
                folder=folder,
                stop=stop,
                seconds=self.seconds,
            ):
                if isinstance(view, Result):
                    yield shown, hidden, *self._finished(wish.scene.path, view)
                else:
                    live = codecs.resize(view.square, LIVE_SIDE, LIVE_SIDE)
                    live = gr.update(value=live, visible=True)
                    yield hidden, shown, described(view), live, *[gr.skip()] * 7

    def _finished(self, before: Path, result: Result) -> tuple:
        captions = ("" if loss is None else f"loss {loss:.1f}" for loss in result.losses)
        files = [(str(before), str(path)) for path in result.pictures]
        best = result.pictures[0]
        return (
            f"**{ENDS[result.ended]}**",
            gr.update(visible=False),
            gr.update(visible=True),
            list(zip(result.details, captions, strict=True)),
            files[0],
            str(best),
            str(result.mask),
            str(result.animation),
            files,
        )

    def end(self, request: gr.Request) -> tuple:
        """The search is over, however it went -> complete, stop, live"""
        self._stops.pop(request.session_hash, None)
        return gr.update(visible=True), gr.update(visible=False), gr.update(visible=False)

    def choose(self, files: list[tuple[str, str]], event: gr.SelectData) -> tuple:
        """One of the alternatives -> slider, picture to download"""
        return files[event.index], files[event.index][1]

    # For programs

    def api(
        self,
        picture: str,
        built_in: str,
        fit: str,
        model: str,
        preset: str,
        alternatives: float,
        seed: float,
        mask: str | None = None,
        steps: float | None = None,
        lam: float | None = None,
        blend: str | None = None,
        progress: gr.Progress = gr.Progress(),  # noqa: B008 (how Gradio hands it over)
    ) -> Iterator[tuple]:
        """Complete the hole of a picture: a mask file (white = hole), or one that is built in.

        Returns the completed pictures, the best first, the mask, and an animation of the search.
        """
        options = options_of(
            preset, steps=steps, lam=lam, blend=blend, alternatives=alternatives, seed=seed
        )
        with telling(), studio.own_folder(self.folder) as folder:
            check(picture, self.limits)
            network = self.models.get(model)
            hole = self._mask_file(mask) if mask else Hole(built_in, options.search.seed)
            case = studio.prepare(Path(picture), network, hole, fit=fit)
            never = threading.Event()
            for view in studio.complete(
                network,
                case,
                options=options,
                folder=folder,
                stop=never,
                seconds=self.seconds,
            ):
                if isinstance(view, Result):
                    pictures = [str(path) for path in view.pictures]
                    yield pictures, str(view.mask), str(view.animation)
                else:
                    progress((view.step, view.steps), desc=described(view))
                    yield gr.skip(), gr.skip(), gr.skip()


def described(view: View) -> str:
    loss = "" if view.loss is None else f" · loss {view.loss:.1f}"
    return f"Step {view.step} of {view.steps}{loss}"
