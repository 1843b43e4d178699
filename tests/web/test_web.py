"""The page as programs use it; what it refuses; and what it does without a browser."""

import gc
import json
import re
import shutil
import sys
import threading
import urllib.error
import urllib.request
import weakref
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import numpy as np
import pytest
from lively import SIZE
from PIL import Image
from visiting import SECONDS, click, settings, upload, wait_for_status, wait_until

import cli
import completion
from completion.case import Hole, prepare
from completion.finish import finish
from completion.options import PRESETS, with_changes
from pictures import codecs, masks
from training import checkpoint
from web import actions, app, examples, safety, studio, turns, wish
from web.memory import Recent
from web.models import WAYS, Models

ROOT = Path(__file__).parents[2]
LIMITS = safety.Limits()


# As a program


def test_documented_client_does_what_complete_py_does(
    server, model, photograph, mask_file, tmp_path, monkeypatch
):
    code = re.search(r"```python\n(.*?)```", (ROOT / "docs" / "web.md").read_text(), re.S)[1]
    assert len([line for line in code.splitlines() if line.strip()]) <= 5
    shutil.copy(photograph, tmp_path / "photograph.png")
    shutil.copy(mask_file, tmp_path / "mask.png")
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(code.replace("http://127.0.0.1:7860", server.url), names)

    tiny = completion.restore(model)
    options = PRESETS["best"]
    case = prepare(photograph, SIZE, 3, Hole(file=mask_file))
    *_, last = tiny.complete([case], options)
    expected = finish(case, last.generated[0], options.blend)
    assert (codecs.read(names["pictures"][0]) == expected).all()
    assert (codecs.read(names["mask"], 1) == codecs.read(mask_file, 1)).all()


def test_a_queue_is_served_in_order_says_busy_and_forgets_who_leaves(
    visit, server, photograph, hold
):
    from gradio_client import Client, handle_file

    page, late = visit(), visit()
    for each in page, late:
        upload(each, photograph)
        each.get_by_label("Built-in", exact=True).check()
        each.locator("#shown img").wait_for()
    hold()  # by a search of the first visitor, which ends when she leaves
    settings(page, Steps=20)
    settings(late, Steps=1, Alternatives=1)
    client, jobs = Client(server.url, verbose=False), []
    click(page, "Complete")
    wait_for_status(page, "Step")
    for _ in range(2):  # what is given up while it waits keeps nobody from asking again
        click(late, "Complete")
        wait_for_status(late, turns.WAITING)
        click(late, "Stop")
    for rank in range(2, 10):
        jobs.append(
            client.submit(
                picture=handle_file(photograph),
                built_in="random",
                seed=rank,
                steps=1,
                api_name="/complete",
            )
        )
        wait_until(lambda job=jobs[-1]: job.status().rank is not None)
        assert jobs[-1].status().rank == rank
    with pytest.raises(Exception, match="(?i)queue is full"):
        client.predict(picture=handle_file(photograph), api_name="/complete")
    click(late, "Complete")
    late.get_by_text("currently busy").wait_for()
    late.get_by_role("button", name="Complete", exact=True).wait_for()
    page.context.close()
    results = [Path(job.result(SECONDS)[0][0]).read_bytes() for job in jobs]
    written = {p.read_bytes(): p.stat().st_mtime_ns for p in server.folder.rglob("completed-*")}
    times = [written[result] for result in results]
    assert times == sorted(times) and len(set(results)) == 8
    click(late, "Complete")
    wait_for_status(late, "Done")


def test_fetches_nothing_for_anybody(server):
    """No address that a client names, and no answer to a name that only points here."""
    assert status(server.url + "/gradio_api/file=http://127.0.0.1:1/") == 403
    assert status(server.url + "/gradio_api/proxy=http://127.0.0.1:1/") == 403
    assert status(server.url, Host="elsewhere.example") == 400
    from gradio_client import Client

    picture = {"path": "http://127.0.0.1:1/a.png", "meta": {"_type": "gradio.FileData"}}
    with pytest.raises(Exception, match="."):
        Client(server.url, verbose=False).predict(picture=picture, api_name="/complete")


def status(address: str, **headers: str) -> int:
    try:
        request = urllib.request.Request(address, headers=headers)
        return urllib.request.urlopen(request, timeout=SECONDS).status
    except urllib.error.HTTPError as error:
        return error.code


# Without a server


@pytest.mark.parametrize(
    "flags, words",
    [
        (["--checkpoint", "nowhere"], ["nowhere: holds no model"]),
        (["--auth", "user"], ["USER:PASSWORD"]),
        (["--port", "0"], ["above 0"]),
        (["--host", "0.0.0.0"], ["warning: whoever reaches 0.0.0.0", "error: no model"]),
        (["--host", "0.0.0.0", "--auth", "user:secret"], ["error: no model"]),
    ],
)
def test_faults_and_warnings_are_a_line_each(flags, words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(checkpoint, "SHIPPED", (Path("nowhere"),))
    monkeypatch.setattr(sys, "argv", ["app.py", *flags])
    with pytest.raises(SystemExit) as exit:
        cli.run(app.main)
    lines = [line for line in capsys.readouterr().err.splitlines() if ": " in line]
    assert exit.value.code == 2
    assert all(map(str.__contains__, lines[-len(words) :], words))


def test_loopback():
    assert all(map(safety.is_loopback, ("localhost", "127.0.0.1", "127.1.2.3", "::1", "[::1]")))
    assert not any(map(safety.is_loopback, ("0.0.0.0", "192.168.0.2", "::", "example.org", "")))


def test_check_reads_the_header_alone(tmp_path, photograph):
    safety.check(photograph, LIMITS)
    path = tmp_path / "large.png"
    codecs.write(path, np.zeros((10, 10, 3), np.uint8))
    path.write_bytes(path.read_bytes() + bytes(LIMITS.bytes))
    with pytest.raises(ValueError, match="25 MB; the most is 25"):
        safety.check(path, LIMITS)
    Image.new("L", (8, 8)).save(tmp_path / "drawing.tiff")
    safety.check(tmp_path / "drawing.tiff", LIMITS)
    with pytest.raises(ValueError, match="png, jpg, webp, bmp, tif, gif, .* or xpm"):
        safety.check(__file__, LIMITS)


def scene_of(path: Path, *faces: np.ndarray) -> studio.Scene:
    return studio.Scene(path, codecs.read(path).shape[:2], np.reshape(faces, (-1, 3, 2)))


def asked(scene: studio.Scene, **values) -> list:
    """What the page's components say, in the order of its inputs."""
    given = {
        "scene": scene,
        "place": wish.FACES,
        "clicks": [],
        "kind": wish.BRUSH,
        "preset": "best",
    }
    return [(given | values).get(name) for name in wish.Wish._fields]


def test_clicks_place_a_face(photograph, model, tmp_path):
    do = actions.Actions(Models([model]), LIMITS, tmp_path, SECONDS)
    corners = [(50, 35), (65, 35), (57, 55)]  # of a face's eyes, and its lip
    scene = scene_of(photograph, corners)

    def click(clicks, position, place=wish.POINTS):
        event = SimpleNamespace(index=np.multiply(position, scene.scale))
        return do.click(event, *asked(scene, place=place, clicks=clicks))

    clicks = []
    for position, label in zip(corners, ("right eye", "bottom lip", "The hole"), strict=True):
        clicks, editor, *_, shown, _ = click(clicks, position)
        assert len(clicks) < 3 and label in shown["label"] or shown["value"] is None
    face, *_ = do.place(*asked(scene))
    assert (editor["background"] == face["background"]).all()
    assert click(clicks, (1, 1))[0] == [(1, 1)]  # the fourth begins anew
    assert click([(1, 1), (2, 2)], (3, 3))[0] == []  # and so do three on a line
    assert not isinstance(click([], (1, 1), wish.FACES)[0], list)


def test_what_was_asked_of_another_picture_does_not_show(photograph, model, tmp_path):
    """Neither what a search comes to, nor an answer that was on its way, nor a job that waited."""
    do = actions.Actions(Models([model]), LIMITS, tmp_path, SECONDS)
    me, scene = SimpleNamespace(session_hash="me"), scene_of(photograph)
    values = asked(
        scene, place=wish.WHOLE, kind=wish.BUILT_IN, built_in="center", way="By search", steps=20
    )

    def ask() -> Iterator[tuple]:
        number, *_, words = do.ask(me, scene, scene.number)
        assert words == turns.WAITING
        return do.complete(me, number, actions.PICTURE, *values)

    compared = [answer[8] for answer in ask() if isinstance(answer[8], tuple)]
    assert [Path(path).name for path in compared[0]] == ["before-whole.png", "shown-1-whole.png"]
    *_, status, _, results = do.end(me)
    assert status == results == gr.skip()  # they stay

    job = ask()
    next(job)
    shown = do.look(me, str(photograph))
    assert scene.number not in shown and list(job) == []
    late = ask()  # before the end of the one before has come
    assert do.end(me) == (gr.skip(),) * 5
    *_, results = next(late)[:5]
    assert results["visible"] is False and list(late)
    complete, stop, *_ = do.end(me)
    assert complete["visible"] and not stop["visible"]

    job = ask()
    next(job)
    do.look(me, str(photograph))
    assert list(job) == []
    complete, stop, status, _, results = do.end(me)
    assert complete["visible"] and not stop["visible"]
    assert status == "" and results["visible"] is False
    assert do.ask(me, scene, scene.number - 1) == (gr.skip(),) * 4


def test_what_waits_can_be_given_up(photograph, model, tmp_path):
    """By Stop, by another picture, by another click; and where the server is busy, or breaks."""
    do = actions.Actions(Models([model]), LIMITS, tmp_path, SECONDS)
    me, scene = SimpleNamespace(session_hash="me"), scene_of(photograph)
    values = asked(scene, way="By search")
    given_up = (
        lambda: do.stop(me),
        lambda: do.look(me, str(photograph)),
        lambda: do.ask(me, scene, scene.number),
    )
    for give_up in given_up:
        number, *_ = do.ask(me, scene, scene.number)
        give_up()
        assert list(do.complete(me, number, actions.FACE, *values)) == [(gr.skip(),) * 12]
    assert do.end(me) == (gr.skip(),) * 5  # the last of those is to come
    complete, stop, status, _, results = do.fail(me)
    assert complete["visible"] and not stop["visible"]
    assert status == "" and results == gr.skip()
    assert do.stop(me) == (gr.skip(),) * 3


def test_the_picture_decides_between_models_that_ship(tmp_path, monkeypatch):
    configs = {
        "large": {"kind": "pix2pix", "image_size": 128, "prior": "../prior"},
        "small": {"kind": "pix2pix", "image_size": 64, "prior": "../prior"},
        "prior": {"image_size": 64},
    }
    for name, config in configs.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(json.dumps(config))
    folders = tuple(tmp_path.resolve() / name for name in configs)
    monkeypatch.setattr(checkpoint, "SHIPPED", folders)
    monkeypatch.setattr(completion, "restore", lambda folder, method, kept: (folder.name, method))
    models = Models(folders, by_size=True)
    assert sorted(models.ways) == sorted(WAYS.values())
    for pixels, name in ((64, "small"), (127, "small"), (128, "large"), (np.inf, "large")):
        assert models.by_way(WAYS["network"], pixels) == (name, "network")
        assert models.by_way(WAYS["both"], pixels) == (name, "both")
        assert models.get(None, "search", pixels) == (name, "search")
    assert models.by_way(WAYS["search"]) == ("prior", "search")
    assert len(Models(folders).ways) == 5


def test_ways_share_their_networks(model, network):
    models = Models([model, network])
    by_search, alone = models.get(str(model)), models.get(str(network))
    both = models.get(str(network), "both")
    assert both.prior is by_search is models.get(str(network), "search") and alone.prior is None
    assert both.model is alone.model and both.fingerprint() != alone.fingerprint()


def test_what_was_used_last_is_kept_and_shared(model, network):
    """A network that no way of those kept needs any more is gone."""
    recent = Recent(kept=2)
    models, made = Models([model, network], recent=recent), []
    alone = weakref.ref(models.get(str(network)))
    assert models.get(str(network)) is alone()
    prior = models.get(str(network), "both").prior
    assert recent.get("another", lambda: made.append(1) or "made") == "made"
    assert alone() is not None  # within "both"
    assert models.get(str(model)) is prior  # in the place of "both"
    gc.collect()
    assert alone() is None
    assert recent.get("another", lambda: "anew") == "made" and made == [1]


def test_what_is_hardly_a_face_gets_no_frame():
    """The detector takes the badge on her sleeve for one, with a score of .16 beside 1.2."""
    assert len(studio.look(examples.PHOTOGRAPH).faces) == 1


def test_painted_hole_is_where_it_was_painted(photograph, tmp_path):
    hole = np.zeros((80, 120), bool)
    hole[20:30, 40:50] = True
    layer = studio.painted(hole)
    known = masks.from_file(studio.painted_mask([layer], tmp_path))
    assert ((known[..., 0] == 0) == hole).all()


def test_nothing_painted_is_told(tmp_path):
    for layers in ([], [np.zeros((480, 480, 4), np.uint8)]):
        with pytest.raises(ValueError, match="Nothing is painted"):
            studio.painted_mask(layers, tmp_path)


def test_messages_speak_of_the_page(photograph, model, tmp_path):
    """Holes beside every face, or beyond the square, are told without a flag or a file's name."""
    tiny = completion.restore(model)
    everywhere = np.ones((80, 120), bool)
    everywhere[:4] = False
    files = [tmp_path / name for name in ("beside", "beyond")]
    for file, hole in zip(files, (np.eye(80, 120) > 0, everywhere), strict=True):
        file.mkdir()
        studio.painted_mask([studio.painted(hole)], file)
    face = np.array([[(100, 20), (110, 20), (105, 30)]])
    for points, file, words in ((face, files[0], "No face"), (None, files[1], "white frame")):
        with pytest.raises(ValueError, match=words) as told:
            studio.prepare(photograph, tiny, Hole(file=file / "painted.png"), points)
        assert "--" not in str(told.value) and ".png" not in str(told.value)


def test_stop_keeps_the_best(model, photograph, tmp_path):
    tiny, stop = completion.restore(model), threading.Event()
    options = with_changes(PRESETS["original"], {"steps": 40, "alternatives": 3, "lr": 0.5})
    cases = studio.prepare(photograph, tiny, Hole("center"))
    views = []
    completing = studio.complete(tiny, cases, photograph, options, tmp_path, stop, float("inf"))
    for view in completing:
        views.append(view)
        if isinstance(view, studio.View) and view.step >= 20:
            stop.set()
    assert view.ended == "stopped" and len(view.completed) == 1
    moments = list(tiny.complete(cases, options))[: views[-2].step + 2]
    best = min(moments, key=lambda moment: moment.loss[0])
    expected = finish(cases[0], best.generated[0], options.blend)
    assert (codecs.read(view.completed[0].picture) == expected).all()


def test_time_is_bounded(model, photograph, tmp_path):
    tiny = completion.restore(model)
    cases, options = studio.prepare(photograph, tiny, Hole("center")), PRESETS["original"]
    *_, result = studio.complete(
        tiny, cases, photograph, options, folder=tmp_path, stop=threading.Event(), seconds=0
    )
    assert result.ended == "time" and result.completed[0].picture.exists()


def test_a_folder_goes_with_its_job(tmp_path):
    with pytest.raises(GeneratorExit), studio.own_folder(tmp_path) as folder:
        raise GeneratorExit
    assert not folder.exists()
    with studio.own_folder(tmp_path) as folder:
        pass
    assert folder.exists()
