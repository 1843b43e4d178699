"""The page beside: pictures painted in the style of others, as stylize.py does."""

import argparse
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import gradio as gr

import stylize
from data.drawn import PAINTINGS, drawn_painting
from networks.extractors import must_be_there
from networks.style_config import Objective, StyleConfig
from pictures import codecs
from training import checkpoint
from web import studio
from web.browser import SCROLL
from web.page import (
    AT_ONCE,
    BACK,
    OWN,
    before_and_after,
    buttons,
    on_the_way,
    thumbnails,
    upload,
    wire,
)
from web.safety import Limits, check
from web.turns import ENDS, Turns

PATH = "style"
HELP = """
# Paint a picture in another hand
Upload a picture, choose a style, and press *Paint*. A search takes its time: at 256 pixels ten
seconds where the server is idle, at 512 half a minute, more where it is busy; *Stop* keeps what it
has come to. Pictures are removed after half an hour.
"""
SEARCH = "The painting below, by search"
SIZES = (256, 512)
STRENGTHS = (0.25, 4.0)
SHOWN_EVERY = 1.0  # seconds


@dataclass(frozen=True)
class Hand:
    """What paints. folder: of a network, None for the search; number: of a style that it knows,
    from 1, None where a painting says which."""

    folder: Path | None = None
    number: int | None = None

    def arguments(self, painting: str | None, strength: float) -> argparse.Namespace:
        """What stylize.py would be told."""
        given = ["--checkpoint-dir", str(self.folder)] if self.folder else []
        if self.number:
            given += ["--style-number", str(self.number)]
        elif painting is None:
            raise ValueError("There is no painting yet: upload one, or take an example")
        else:
            weight = ["--style-weight", str(strength * Objective.style_weight)]
            given += ["--style", painting]
            given += ["--alpha", str(min(strength, 1))] if self.folder else weight
        return stylize.parser().parse_args([*given, "--", "picture"])

    def painter(self, painting: str | None, strength: float) -> stylize.Painter:
        arguments = self.arguments(painting, strength)
        make = stylize.network if self.folder else stylize.searching
        with studio.naming(painting, "The painting") if painting else nullcontext():
            return make(arguments)


def hands(folders: Sequence[Path]) -> dict[str, Hand]:
    """What paints, by words: styles that networks know, then the search, then networks for any."""
    known, any_style = {}, {}
    for folder in folders:
        values = checkpoint.config_of(folder)
        if values.get("kind") != "style":
            continue
        config = StyleConfig.from_dict(values)
        if config.network == "adain":
            any_style[f"The painting below, by {folder}"] = Hand(folder)
        for number, name in enumerate(config.styles if config.network != "adain" else (), 1):
            known[f"{name} ({folder})" if name in known else name] = Hand(folder, number)
    try:
        must_be_there(Objective.extractor)
    except ValueError:
        return known
    return known | {SEARCH: Hand()} | any_style


def paintings(folder: Path) -> list[Path]:
    """Draw some to choose from, and write them into the folder."""
    folder.mkdir(parents=True)
    paths = []
    for kind, seed in zip(reversed(PAINTINGS), (7, 1), strict=True):
        paths.append(folder / f"{kind}.png")
        codecs.write(paths[-1], drawn_painting(kind, SIZES[0], seed))
    return paths


class StylePage(Turns):
    """Adds the page to `blocks`, at /style; what it writes goes into the folder. seconds: the most
    for a search."""

    def __init__(
        self,
        blocks: gr.Blocks,
        hands: dict[str, Hand],
        limits: Limits,
        folder: Path,
        seconds: float,
    ):
        super().__init__(folder)
        self.hands, self.limits, self.seconds = hands, limits, seconds
        self._drawn = paintings(folder / "paintings")
        first = next(iter(hands))
        own, strength, size = self.settings(first)
        with blocks.route("Paint in another hand", PATH):
            gr.Markdown(HELP)
            gr.HTML(BACK, padding=False)
            asked = gr.Number(visible="hidden", label="Number of what was asked for")
            with gr.Row():
                with gr.Column(min_width=320):
                    photo = upload("Picture", height=240, elem_id="plain")
                    hand = gr.Radio(
                        list(hands), value=first, label="In the hand of", visible=len(hands) > 1
                    )
                    with gr.Row(**own) as painted_by:
                        painting = upload("Painting", value=str(self._drawn[0]), height=180)
                        drawn = thumbnails(
                            [(str(path), path.stem) for path in self._drawn], label="Or an example"
                        )
                    force = gr.Slider(
                        STRENGTHS[0], **strength, step=0.25, label="Strength of style"
                    )
                    with gr.Row():
                        keep = gr.Checkbox(label="Keep the picture's colours")
                        pixels = gr.Radio(SIZES, **size, label="Pixels of the longer side")
                with gr.Column(min_width=320):
                    with gr.Row():
                        button, stop = buttons("Paint")
                    status, live = on_the_way("On its way")
                    with gr.Column(visible=False, elem_id="results") as results:
                        slider = before_and_after(480)
                        save = gr.DownloadButton("Save picture", size="md")
            hand.input(
                lambda words: tuple(gr.update(**each) for each in self.settings(words)),
                hand,
                [painted_by, force, pixels],
                **AT_ONCE,
            )
            drawn.select(self.take_drawn, None, painting, **OWN)
            answers = [button, stop, status, live, results]
            slider.change(None, None, None, js=SCROLL)
            photo.change(self.renew, None, answers, **AT_ONCE)
            inputs = [photo, hand, painting, force, keep, pixels]
            wire(self, [], asked, self.paint, inputs, answers, [slider, save])

    def settings(self, words: str) -> tuple[dict, dict, dict]:
        """Of what paints: whether there is a painting; strength; size."""
        hand = self.hands[words]
        most = 1 if hand.folder else STRENGTHS[1]
        size = SIZES[1] if hand.folder else SIZES[0]
        return (
            {"visible": hand.number is None},
            {"visible": hand.number is None, "maximum": most, "value": 1},
            {"value": size},
        )

    def take_drawn(self, event: gr.SelectData) -> str:
        return str(self._drawn[event.index])

    def renew(self, request: gr.Request) -> tuple:
        """Another picture -> the answers"""
        self.give_up(request)
        hidden = gr.update(visible=False)
        return gr.update(visible=True), hidden, "", hidden, hidden

    def paint(
        self,
        request: gr.Request,
        number: int | None,
        path: str | None,
        words: str,
        painting: str | None,
        strength: float,
        keep_colour: bool,
        size: int,
    ) -> Iterator[tuple]:
        """What was asked for by this number -> the answers, slider, picture to download"""

        def job(folder: Path, stop: threading.Event) -> Iterator[tuple]:
            for given in filter(None, (path, painting)):
                check(given, self.limits)
            if path is None:
                raise ValueError("There is no picture yet: upload one")
            painter = self.hands[words].painter(painting, strength)
            return self._painted(Path(path), painter, keep_colour, size, folder, stop)

        yield from self.take(request, number, job, begins="Looking at the picture…", others=2)

    def _painted(
        self,
        path: Path,
        painter: stylize.Painter,
        keep_colour: bool,
        size: int,
        folder: Path,
        stop: threading.Event,
    ) -> Iterator[tuple]:
        picture, deadline, due = studio.read(path), time.monotonic() + self.seconds, 0.0
        small, ended = stylize.shrunk(picture.pixels, size), "done"
        shown, hidden = gr.update(visible=True), gr.update(visible=False)
        for moment in painter.paint(small[None]):
            now = time.monotonic()
            if stop.is_set() or now > deadline:
                ended = "stopped" if stop.is_set() else "time"
                break
            if now > due and moment.step < painter.steps:
                due = now + SHOWN_EVERY
                picture_so_far = codecs.resize(moment.pictures[0], *small.shape[:2])
                live = gr.update(value=picture_so_far, visible=True)
                status = f"Step {moment.step} of {painter.steps}"
                yield hidden, shown, status, live, hidden, gr.skip(), gr.skip()
        pixels = stylize.enlarged(moment.pictures[0], picture.pixels, keep_colour)
        before, result = studio.write_beside(picture, pixels, folder / "painted.png")
        status = f"**{ENDS[ended]}**"
        yield hidden, shown, status, hidden, shown, (before, result), result
