"""What each click of the page does: values of its components in, their new values out."""

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import gradio as gr
import numpy as np

from completion import Completer
from completion.case import Case, Hole
from completion.options import Options
from pictures import codecs, decoding
from web import studio
from web.models import Models
from web.safety import Limits, check
from web.studio import Result, Scene, Version, View
from web.turns import ENDS, Turns, warn
from web.wish import (
    BRUSH,
    BUILT_IN,
    FACES,
    FILE,
    POINTS,
    WHOLE,
    Wish,
    options_of,
    points_of,
)

LEGENDS = {
    FACES: "White frames: what is completed, of each face that you paint on.",
    WHOLE: "White frame: what is completed.",
    POINTS: "White frame: what is completed. To click other points, choose another place and this "
    "one again.",
}
NO_FACE = (
    "**No face was found**: what is in the white frame is completed as if it were a face. Is there "
    f"one? Choose “{POINTS}”, or “{FACES}” to look again once you have painted."
)
DISPLACED = (
    f" The face came out a little displaced: if it looks so, choose “{POINTS}” to show where it is."
)
FACE, PICTURE = "Face", "Whole picture"  # what of a result is shown
BRUSH_SHARE = 14  # of the square that is completed, to begin with
BRUSH_SIZES = (2, 100)  # radius in shown pixels


@contextmanager
def telling() -> Iterator[None]:
    """Hand a ValueError, which is the user's, to a program."""
    try:
        yield
    except ValueError as error:
        raise gr.Error(str(error), print_exception=False) from None


class Actions(Turns):
    """models: to choose from; folder: where results are written; seconds: the most for a search."""

    def __init__(self, models: Models, limits: Limits, folder: Path, seconds: float):
        super().__init__(folder)
        self.models, self.limits, self.seconds = models, limits, seconds

    # A picture, and a place in it

    def look(self, request: gr.Request, path: str | None, hole: np.ndarray | None = None) -> tuple:
        """A new picture, with a hole, bool (h, w), that is painted on it already -> photo, start,
        scene, number of the scene, place, clicks, kind, editor, brush size, results, complete,
        stop, status, live, and as for `show`.

        The photo is emptied by the same answer, whether it is taken or refused: what a second one
        would do to a picture that came in between is nothing to think about.
        """
        if path is None:
            return None, *[gr.skip()] * 18
        try:
            check(path, self.limits)
            scene = studio.look(path)
        except ValueError as error:
            warn(error, title="Not taken")
            return None, *[gr.skip()] * 18
        self.give_up(request)
        place = FACES if len(scene.faces) else WHOLE
        points = points_of(scene, place, [])
        hidden = gr.update(visible=False)
        return (
            None,
            hidden,
            scene,
            scene.number,
            place,
            [],
            BRUSH,
            canvas(scene, points, None if hole is None else studio.painted(hole)),
            int(np.clip(scene.side(points) / BRUSH_SHARE, *BRUSH_SIZES)),
            hidden,
            gr.update(visible=True),
            hidden,
            "",
            hidden,
            *arranged(BRUSH),
            legend(scene, place),
        )

    def show(self, *values) -> tuple:
        """How the hole is given, or where it lies -> brush column, mask, built-in, shown, legend.
        What is to be painted on, or clicked on, or else a picture of the hole."""
        wish = Wish(*values)
        scene, missing = wish.scene, wish.missing
        if scene is None:
            return (gr.skip(),) * 5
        if missing:
            shown = studio.painting(scene, np.empty((0, 3, 2)), wish.clicks)
            return *arranged(wish.kind, shown, label=f"Click {missing[0]}"), ""
        if wish.kind == BRUSH:
            return *arranged(BRUSH), legend(scene, wish.place)
        mask = None
        if wish.kind == BUILT_IN or wish.mask:
            completer = self.models.by_way(wish.way, wish.pixels)
            try:
                mask = self._cases(wish, completer, wish.options(completer))[0].mask
            except ValueError as error:
                warn(error)
        shown = studio.painting(scene, wish.points, wish.clicks, mask)
        return *arranged(wish.kind, shown, label="The hole"), legend(scene, wish.place)

    def place(self, *values) -> tuple:
        """A place chosen -> editor, and as for `show`. What is painted stays."""
        wish = Wish(*values)
        if wish.scene is None or wish.missing:
            return gr.skip(), *self.show(*values)
        layers = wish.editor["layers"] if wish.editor else []
        return canvas(wish.scene, wish.points, *layers[:1]), *self.show(*values)

    def click(self, event: gr.SelectData, *values) -> tuple:
        """A click into the picture -> clicks, and as for `place`"""
        wish = Wish(*values)
        if wish.place != POINTS:
            return (gr.skip(),) * 7
        x, y = (value / wish.scene.scale for value in event.index)
        clicks = [*(wish.clicks if wish.missing else []), (x, y)]
        try:
            return clicks, *self.place(*wish._replace(clicks=clicks))
        except ValueError as error:  # the three lie on a line
            warn(error)
            return [], *self.place(*wish._replace(clicks=[]))

    def _cases(self, wish: Wish, completer: Completer, options: Options) -> list[Case]:
        path, points, keep_tone = wish.scene.path, wish.points, options.keep_tone

        def prepared(hole: Hole) -> list[Case]:
            return studio.prepare(path, completer, hole, points=points, keep_tone=keep_tone)

        if wish.kind == BRUSH:
            layers = wish.editor["layers"] if wish.editor else []
            with TemporaryDirectory(dir=self.folder) as folder:
                return prepared(Hole(file=studio.painted_mask(layers, Path(folder))))
        if wish.kind == FILE:
            return prepared(self._mask_file(wish.mask))
        return prepared(Hole(wish.built_in, options.search.seed))

    def _mask_file(self, path: str | None) -> Hole:
        if path is None:
            raise ValueError("There is no mask file yet: upload one, or use the brush")
        check(path, self.limits)
        return Hole(file=Path(path))

    # Completing

    def ask(self, request: gr.Request, scene: Scene | None, number: int | None) -> tuple:
        """A click on Complete, as in Turns. number: of the scene that the page shows. What the
        server keeps may be the one that follows."""
        if scene is None or scene.number != number:
            return (gr.skip(),) * 4
        return super().ask(request)

    def complete(
        self, request: gr.Request, number: int | None, seen: str, *values
    ) -> Iterator[tuple]:
        """What was asked for by this number -> complete, stop, status, live, results, result,
        chosen, gallery, slider, three downloads. Yields what it comes to on its way, and each
        alternative as it is found."""
        yield from self.take(
            request,
            number,
            lambda folder, stop: self._complete(Wish(*values), seen, folder, stop),
            begins="Looking at the picture…",
            others=7,
        )

    def _complete(
        self, wish: Wish, seen: str, folder: Path, stop: threading.Event
    ) -> Iterator[tuple]:
        completer = self.models.by_way(wish.way, wish.pixels)
        options = wish.options(completer)
        cases = self._cases(wish, completer, options)
        shown, hidden, first = gr.update(visible=True), gr.update(visible=False), True
        doubt = ""
        for view in studio.complete(
            completer,
            cases,
            wish.scene.path,
            options=options,
            folder=folder,
            stop=stop,
            seconds=self.seconds,
        ):
            if isinstance(view, Result) and first and wish.place == FACES:
                doubt = DISPLACED if studio.is_displaced(cases, view) else ""
            status = described(view, options.alternatives) + doubt
            if isinstance(view, Result):
                yield hidden, shown, status, hidden, *self._found(view, seen, first)
                first = False
            elif first:
                live = gr.update(value=view.squares, visible=True)
                yield hidden, shown, status, live, hidden, *[gr.skip()] * 7
            else:
                yield hidden, shown, status, *[gr.skip()] * 9

    def _found(self, result: Result, seen: str, first: bool) -> tuple:
        """-> results, result, chosen, gallery, slider, three downloads. What was found first is
        chosen, and then what somebody chooses."""
        faces = [str(version.face) for version in result.completed]
        if not first:
            return gr.skip(), result, gr.skip(), faces, *[gr.skip()] * 4
        chosen = result.completed[0]
        return (
            gr.update(visible=True),
            result,
            chosen,
            faces,
            *compared(result, chosen, seen),
            str(result.mask),
            str(result.animation),
        )

    def choose(self, result: Result, seen: str, event: gr.SelectData) -> tuple:
        """One of the alternatives -> chosen, slider, picture to download"""
        chosen = result.completed[event.index]
        return chosen, *compared(result, chosen, seen)

    def go_on(self, request: gr.Request, chosen: Version) -> tuple:
        """What is chosen becomes the picture -> as for `look`"""
        return self.look(request, str(chosen.picture))

    # For programs

    def api(
        self,
        picture: str,
        built_in: str,
        fit: str,
        model: str | None = None,
        preset: str = "best",
        alternatives: float = 1,
        seed: float = 0,
        mask: str | None = None,
        steps: float | None = None,
        lam: float | None = None,
        blend: str | None = None,
        method: str | None = None,
        fidelity: float | None = None,
        progress: gr.Progress = gr.Progress(),  # noqa: B008 (how Gradio hands it over)
    ) -> Iterator[tuple]:
        """Complete the hole of a picture: a mask file (white = hole), or one that is built in.

        Returns the completed pictures, the best first, the mask, and an animation.
        """
        searched = (
            preset == "original" or built_in == "lowres" or steps is not None or lam is not None
        )
        with telling(), studio.own_folder(self.folder) as folder:
            check(picture, self.limits)
            pixels = math.inf if fit == "face" else min(decoding.size_in_file(codecs.load(picture)))
            method = method or ("search" if searched else None)
            completer = self.models.get(model, method, pixels)
            options = options_of(
                completer,
                preset,
                steps=steps,
                lam=lam,
                blend=blend,
                fidelity=fidelity,
                alternatives=alternatives,
                seed=seed,
            )
            path = Path(picture)
            hole = self._mask_file(mask) if mask else Hole(built_in, options.search.seed)
            cases = studio.prepare(path, completer, hole, fit=fit, keep_tone=options.keep_tone)
            for view in studio.complete(
                completer,
                cases,
                path,
                options=options,
                folder=folder,
                stop=threading.Event(),
                seconds=self.seconds,
            ):
                if isinstance(view, Result):
                    pictures = [str(version.picture) for version in view.completed]
                    yield pictures, str(view.mask), str(view.animation)
                else:
                    done = view.draw * view.steps + view.step
                    whole = options.alternatives * view.steps
                    progress((done, whole), desc=described(view, options.alternatives))
                    yield gr.skip(), gr.skip(), gr.skip()


def canvas(scene: Scene, points: np.ndarray | None, paint: np.ndarray | None = None) -> dict:
    """The editor's value: the picture, and what is painted on it.

    There always is a layer: setting one empties what can be undone, and with it the picture itself.
    """
    background = studio.painting(scene, points)
    if paint is None:
        paint = np.zeros((*background.shape[:2], 4), np.uint8)
    return {"background": background, "layers": [paint], "composite": None}


def arranged(kind: str, shown: np.ndarray | None = None, label: str = "") -> tuple:
    """-> brush column, mask, built-in, shown. What is hidden keeps its content."""
    return (
        gr.update(visible="hidden" if shown is not None else True),
        gr.update(visible=kind == FILE),
        gr.update(visible=kind == BUILT_IN),
        gr.update(value=shown, label=label, visible=shown is not None),
    )


def legend(scene: Scene, place: str) -> str:
    return NO_FACE if place != POINTS and not len(scene.faces) else LEGENDS[place]


def compared(result: Result, chosen: Version, seen: str) -> tuple:
    """-> slider, picture to download"""
    before, after = (
        version.face if seen == FACE else version.whole for version in (result.before, chosen)
    )
    return (str(before), str(after)), str(chosen.picture)


def described(view: View | Result, alternatives: int) -> str:
    if isinstance(view, Result):
        if view.ended:
            return f"**{ENDS[view.ended]}**"
        return f"**Found {len(view.completed)} of {alternatives}**, looking for others…"
    which = f"Alternative {view.draw + 1} of {alternatives} · " if alternatives > 1 else ""
    return f"{which}Step {view.step} of {view.steps}"
