"""The page as a visitor uses it, in headless Chromium."""

import io
import re
import struct
import zlib

import numpy as np
import pytest
from PIL import Image
from visiting import (
    busy,
    choose,
    click,
    paint,
    painted,
    pixels,
    save,
    settings,
    shown_at,
    upload,
    wait_for_status,
    wait_until,
)

from pictures import codecs
from web import examples, studio

POINTS = ((110, 100), (150, 100), (130, 160))  # that might place a face in it
FACE = np.s_[0:250, 110:360]  # of the photograph that comes with the page


@pytest.fixture(scope="module")
def two_faces(tmp_path_factory):
    """A photograph of two faces, (250, 500, 3): one and its mirror image."""
    face = codecs.read(examples.PHOTOGRAPH)[FACE]
    path = tmp_path_factory.mktemp("faces") / "two.png"
    codecs.write(path, np.concatenate([face, face[:, ::-1]], axis=1))
    return path


def faces_shown(page) -> list[str]:
    """The addresses of the pictures before and after."""
    images = page.locator("#slider img")
    return [images.nth(n).get_attribute("src") for n in range(images.count())]


def test_paints_undoes_and_completes(visit, server, photograph):
    page = visit()
    upload(page, photograph)
    page.locator("#legend").get_by_text("No face was found").wait_for()
    paint(page, (50, 20), (60, 60))
    wait_until(lambda: painted(page).max() > 0)
    page.keyboard.press("Control+z")
    wait_until(lambda: not painted(page).any())
    page.keyboard.press("Control+z")  # takes the picture itself away from nobody
    click(page, "Complete")
    page.get_by_text("Nothing is painted yet").wait_for()
    page.keyboard.press("Control+Shift+z")
    wait_until(lambda: painted(page).any())
    page.locator(".editor").get_by_role("button", name="Undo").click()

    page.get_by_label("number input for Brush size").fill("12")
    page.keyboard.press("Tab")
    page.wait_for_function("window.editor.tools.get('brush').brush_size == 12")
    paint(page, (50, 40), (70, 40))
    assert painted(page).max() == studio.OPACITY  # one sees what is beneath
    settings(page, Steps=20, Alternatives=2)
    found = set(server.folder.rglob("completed-2.png"))
    with page.expect_response("**/queue/join*"):
        click(page, "Complete")
    with busy(page):
        wait_until(lambda: set(server.folder.rglob("completed-2.png")) - found)
    wait_for_status(page, "Done")

    result = pixels(save(page, "picture"))
    before, hole = codecs.read(photograph), pixels(save(page, "mask")) > 0
    assert result.shape == before.shape
    assert (result == before)[~hole].all() and (result != before)[hole].any()
    # The stroke is no wider than the brush.
    rows, columns = np.nonzero(hole)
    assert hole[40, 50:70].all()
    assert 34 < rows.min() and rows.max() < 46 and 44 < columns.min() and columns.max() < 76
    assert Image.open(io.BytesIO(save(page, "animation"))).n_frames > 2

    page.get_by_label("Whole picture").check()
    wait_until(lambda: all("-whole" in address for address in faces_shown(page)))
    shown = pixels(page.request.get(faces_shown(page)[1]).body())
    assert (shown == codecs.resize(result, *shown.shape[:2])).all()
    page.locator("#alternatives button").nth(1).click()
    wait_until(lambda: "shown-2-whole" in faces_shown(page)[1])
    other = pixels(save(page, "picture"))
    assert (other == before)[~hole].all() and (other != result).any()


@pytest.mark.slow
def test_the_first_result_shows_while_others_are_looked_for(visit, photograph, hold):
    page = visit()
    hold(2)
    upload(page, photograph)
    page.get_by_label("Built-in", exact=True).check()
    page.locator("#shown img").wait_for()
    settings(page, Steps=20, Alternatives=3)
    click(page, "Complete")
    page.locator("#slider img").first.wait_for()
    wait_until(lambda: page.locator("#alternatives button").count() == 2)
    click(page, "Stop")  # which is there as long as others are looked for
    wait_for_status(page, "Stopped: the best so far")
    page.get_by_role("button", name="Complete", exact=True).wait_for()

    click(page, "Continue from this result")
    page.locator("#slider").wait_for(state="detached")  # an old result goes with its picture
    page.locator(".editor canvas").first.wait_for()
    paint(page, (60, 30), (60, 50))
    settings(page, Steps=1, Alternatives=1)
    click(page, "Complete")
    wait_for_status(page, "Done")
    assert page.locator("#alternatives button").count() == 1
    hole = pixels(save(page, "mask")) > 0
    assert not hole[:, :20].any() and hole[40, 60]

    # What a search comes to goes with its picture as well.
    hold()
    settings(page, Steps=20)
    click(page, "Complete")
    wait_for_status(page, "Step")
    choose(page, photograph, "New picture")
    page.get_by_role("button", name="Complete", exact=True).wait_for()
    wait_until(lambda: page.locator("#status").inner_text() == "")
    assert not page.locator("#slider").is_visible()


@pytest.mark.slow
def test_paint_stays_where_another_place_is_chosen(visit, two_faces, photograph):
    page = visit()
    upload(page, two_faces)
    page.locator("#legend").get_by_text("of each face").wait_for()
    size = (500, 250)
    paint(page, (130, 150), (140, 150), size=size)
    paint(page, (360, 150), (370, 150), size=size)
    before = painted(page)
    assert before[150, [135, 365]].all()
    page.get_by_label("Points I click").check()
    for (x, y), words in zip(POINTS, ("left eye", "right eye", "bottom lip"), strict=True):
        page.locator("#shown").get_by_text(words).wait_for()
        image = page.locator("#shown img")
        box = image.bounding_box()
        left, top = (box["width"] - 500) / 2, (box["height"] - 250) / 2  # it is as large as it is
        image.click(position={"x": left + x, "y": top + y})
    page.locator("#legend").get_by_text("To click other points").wait_for()
    shown_at(page, size, (0, 0))
    wait_until(lambda: (painted(page) == before).all())
    page.get_by_label("Faces", exact=True).check()
    page.locator("#legend").get_by_text("of each face").wait_for()

    # Both faces are completed, in one pass.
    page.get_by_text("Settings", exact=True).click()
    page.get_by_label("Method").click()
    page.get_by_role("option").filter(has_text="In one pass (").click()
    page.get_by_label("Fidelity").first.wait_for()
    click(page, "Complete")
    wait_for_status(page, "Done")
    assert page.locator("#alternatives button").count() == 3
    hole, result = pixels(save(page, "mask")) > 0, pixels(save(page, "picture"))
    changed = (result != codecs.read(two_faces)).any(axis=-1)
    assert changed[:, :250].any() and changed[:, 250:].any() and not changed[~hole].any()
    choose(page, photograph, "New picture")
    page.locator("#slider").wait_for(state="detached")
    shown_at(page, (120, 80), (0, 0))
    assert not painted(page).any()


def test_refuses_what_is_no_picture(visit, tmp_path, photograph):
    """What comes right after a refusal is taken, and a refusal takes nothing away."""
    text, wide, bomb = tmp_path / "text.png", tmp_path / "wide.png", tmp_path / "bomb.png"
    text.write_text("not a picture")
    codecs.write(wide, np.zeros((4, 20_000, 3), np.uint8))
    write_bomb(bomb)
    refused = ((text, "not a picture"), (wide, "20,000 x 4"), (bomb, "more than"))
    page = visit()
    for path, words in refused:
        choose(page, path)
        page.get_by_text(words).first.wait_for()
    choose(page, photograph)
    paint(page, (50, 40), (70, 40))
    codecs.write(wide, np.zeros((20_000, 4, 3), np.uint8))
    choose(page, wide, "New picture")
    page.get_by_text("4 x 20,000").wait_for()
    told, button = (page.locator(each).bounding_box() for each in (".toast-wrap", "#other"))
    assert told["y"] > button["y"] + button["height"]  # one can go on at once
    assert painted(page).any()
    choose(page, text, "New picture")
    choose(page, photograph, "New picture")
    wait_until(lambda: not painted(page).any())


def write_bomb(path, side: int = 50_000) -> None:
    """A PNG of a few kilobytes that claims to decode to gigabytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    rows = zlib.compress(bytes((side + 1) * 100), 9)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    )


@pytest.mark.slow
def test_mask_file_and_stop_on_a_phone(visit, photograph, mask_file, hold):
    hold()
    page = visit(390, 844, has_touch=True, is_mobile=True, color_scheme="dark")
    upload(page, photograph)
    page.get_by_label("Mask file", exact=True).check()
    page.locator("#mask input[type=file]").set_input_files(mask_file)
    page.locator("#shown img").wait_for()
    settings(page, Steps=20, Alternatives=1)
    click(page, "Complete")
    wait_for_status(page, "Step")
    click(page, "Stop")
    wait_for_status(page, "Stopped: the best so far")
    wait_until(lambda: is_on_screen(page, "#slider", 844))
    assert (pixels(save(page, "mask")) == pixels(mask_file.read_bytes())).all()
    before, after = codecs.read(photograph), pixels(save(page, "picture"))
    assert (after != before).any()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    # A single alternative is as small as one of many, and the result is not cut off.
    assert page.locator("#alternatives button").bounding_box()["width"] < 100
    outer = page.locator("#slider").bounding_box()
    for image in page.locator("#slider img").all():
        box = image.bounding_box()
        assert outer["y"] <= box["y"] and box["y"] + box["height"] <= outer["y"] + outer["height"]


def is_on_screen(page, selector: str, height: int) -> bool:
    box = page.locator(selector).bounding_box()
    return box is not None and box["y"] >= 0 and box["y"] + box["height"] <= height


def test_one_screen_by_keyboard_alone_and_every_control_is_named(visit):
    page = visit()
    page.locator("#examples button").first.wait_for()
    assert_named(page)
    for _ in range(10):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.closest('#examples') !== null"):
            break
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Complete", exact=True).wait_for()
    wait_until(lambda: painted(page).any())
    settings(page, Steps=1)
    page.get_by_text("Settings", exact=True).click()
    page.get_by_role("button", name="Complete", exact=True).focus()
    page.keyboard.press("Enter")
    wait_for_status(page, "Done")
    page.locator("#alternatives button").first.focus()
    page.keyboard.press("Enter")
    line = page.locator("#slider").get_by_role("slider", name="Before and after")
    line.focus()
    hidden = []  # of the picture after, which lies above
    for key, share in (("Home", 0), ("ArrowRight", 5), ("ArrowRight", 10), ("End", 100)):
        page.keyboard.press(key)
        wait_until(lambda share=share: line.get_attribute("aria-valuenow") == str(share))
        clip = page.locator("#slider img").last.evaluate("image => image.style.clipPath")
        hidden.append(float(re.findall(r"[\d.]+(?=%)", clip)[0]))
    assert hidden == sorted(set(hidden))
    for part in (".editor", "#legend", "#slider", "#alternatives", "#results button >> nth=-1"):
        wait_until(lambda part=part: is_on_screen(page, part, 768))
    assert page.evaluate("scrollY") == 0
    assert_named(page)


def assert_named(page) -> None:
    """Of what can be operated, nothing is without a name for a screen reader."""
    lines = page.locator("body").aria_snapshot().splitlines()
    roles = ("button", "radio", "slider", "spinbutton", "textbox", "combobox", "listbox")
    controls = [line.strip(" -") for line in lines if line.strip(" -").startswith(roles)]
    assert controls
    assert not [control for control in controls if '"' not in control and "[" not in control]
