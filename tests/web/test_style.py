"""The page that paints pictures in the style of others, as stylize.py does."""

import shutil
import threading
from types import SimpleNamespace

import gradio as gr
import numpy as np
import pytest
from visiting import (
    choose,
    click,
    pixels,
    save,
    wait_for_status,
)

import stylize
from networks.style_config import Objective, StyleConfig
from pictures import codecs
from translation.style_transfer import StyleTransfer
from web import style
from web.safety import Limits
from web.style import SEARCH, Hand, StylePage, hands

ME = SimpleNamespace(session_hash="me")


@pytest.fixture(scope="module")
def any_style(tmp_path_factory):
    """A network for any style."""
    config = StyleConfig(image_size=16, network="adain", encoder_blocks=("stem",))
    folder = tmp_path_factory.mktemp("any") / "any"
    StyleTransfer(config).state.save(folder)
    return folder


@pytest.fixture
def page(painter, tmp_path):
    """Its actions, without a page around them."""
    made = StylePage.__new__(StylePage)
    super(StylePage, made).__init__(tmp_path)
    made.hands, made.limits, made.seconds = hands([painter]), Limits(), 100.0
    return made


def painted(page, *values) -> list[tuple]:
    """The answers to a click with so many values of the page."""
    number, *_ = page.ask(ME)
    answers = list(page.paint(ME, number, *values))
    page.end(ME)
    return answers


def test_what_networks_know_comes_first_then_what_takes_any_painting(
    painter, any_style, model, tmp_path
):
    other = shutil.copytree(painter, tmp_path / "other")
    offered = hands([model, any_style, painter, other])
    assert list(offered.values()) == [
        *(Hand(folder, number) for folder in (painter, other) for number in (1, 2)),
        Hand(),
        Hand(any_style),
    ]
    assert list(offered)[:3] == ["strokes", "glass", f"strokes ({other})"]
    assert hands([model]) == {SEARCH: Hand()}


def test_without_the_weights_of_a_search_there_is_none(painter, any_style, monkeypatch):
    def missing(name):
        raise ValueError(name)

    monkeypatch.setattr(style, "must_be_there", missing)
    assert list(hands([painter, any_style])) == ["strokes", "glass"]


def test_it_paints_as_stylize_does(page, painter, photograph, tmp_path):
    *_, (_, _, status, _, _, slider, saved) = painted(
        page, str(photograph), "glass", None, 1, True, 64
    )
    arguments = ["x", "--checkpointDir", str(painter), "--style-number", "2"]
    by_network = stylize.network(stylize.parser().parse_args(arguments))
    given = codecs.read(photograph)
    wanted, _ = stylize.painted(given, by_network, 64, True, tmp_path / "x.gif")
    assert (codecs.read(saved) == wanted).all() and (wanted != given).any()
    assert slider[1] == saved and (codecs.read(slider[0]) == given).all()
    assert "Done" in status


def test_strength_is_of_the_search_a_weight_and_of_a_network_how_far_it_goes(any_style, photograph):
    by_search = Hand().arguments(str(photograph), 0.5)
    assert by_search.style_weight == 0.5 * Objective.style_weight and by_search.alpha is None
    by_network = Hand(any_style).arguments(str(photograph), 0.5)
    assert by_network.alpha == 0.5 and by_network.style_weight is None


def test_what_cannot_be_painted_is_told_in_words_for_the_page(page, photograph, tmp_path):
    torn = tmp_path.parent / "torn.png"
    torn.write_bytes(b"torn")
    for path, painting, words in (
        (None, photograph, "no picture yet"),
        (photograph, None, "no painting yet"),
        (torn, photograph, "not a picture"),
        (photograph, torn, "not a picture"),
    ):
        files = (path and str(path), painting and str(painting))
        with pytest.warns(UserWarning, match=words) as told:
            *_, last = painted(page, files[0], SEARCH, files[1], 1, False, 64)
        assert last[2] == "" and not list(tmp_path.iterdir())
        assert not any("--" in str(warning.message) for warning in told)


def test_a_search_can_be_stopped_and_another_picture_gives_it_up(page, photograph, monkeypatch):
    """By a search that takes for ever."""
    going = threading.Event()

    def paint(pictures):
        step = 0
        while True:
            yield SimpleNamespace(step=step, pictures=255 - pictures, loss=np.zeros(1))
            step += 1
            going.set()

    painter = SimpleNamespace(steps=10**9, paint=paint)
    monkeypatch.setattr(Hand, "painter", lambda *arguments: painter)
    values = (str(photograph), SEARCH, str(photograph), 1, False, 64)

    def begin():
        number, *_ = page.ask(ME)
        answers = page.paint(ME, number, *values)
        assert next(answers)[2].startswith("Looking")
        assert next(answers)[2].startswith("Step 0")
        return answers

    answers = begin()
    page.stop(ME)
    *_, (_, _, status, _, results, _, saved) = answers
    assert "Stopped" in status and results["visible"]
    assert (codecs.read(saved) != codecs.read(photograph)).any()
    page.end(ME)
    answers = begin()
    page.renew(ME)
    assert list(answers) == []
    assert page.end(ME)[4]["visible"] is False
    assert page.end(ME)[2] == gr.skip()


def test_a_visitor_finds_it_and_paints(visit, photograph):
    page = visit()
    page.get_by_text("painted in another hand?").click()
    page.get_by_role("button", name="Paint", exact=True).wait_for()
    choose(page, photograph)
    page.locator("#plain img").wait_for()
    click(page, "Paint")
    wait_for_status(page, "Done")
    given, made = codecs.read(photograph), pixels(save(page, "picture"))
    assert made.shape == given.shape and (made != given).any()
    page.get_by_label(SEARCH).check()
    page.get_by_label("strokes").wait_for()
    click(page, "Paint")
    wait_for_status(page, "Step")
    click(page, "Stop")
    wait_for_status(page, "Stopped: the best so far")
    page.get_by_role("button", name="Paint", exact=True).wait_for()
    page.get_by_text("Is something missing?").click()
    page.get_by_text("Complete a picture").wait_for()
