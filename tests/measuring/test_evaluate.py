"""evaluate.py and what it stands on: methods by name, people, figures, tables."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from lively import with_starts
from processes import ROOT, without_tensorflow

import completion
import evaluate
from data import split
from data.drawn import drawn_faces
from measuring import evaluation, features, gallery, methods, sheets, tables
from measuring.evaluation import Pictures, Truth
from measuring.features import Extractor
from measuring.methods import Spec
from model import DCGAN
from networks.config import Config
from pictures import codecs

SIZE = 16
NAMES = [
    "best:steps=3",
    "best+none:steps=2:start=bank:context=plain",
    "original:steps=3",
    "telea",
    "ns",
    "biharmonic",
    "mean",
    "mean+poisson",
    "ppca-5",
    "ppca-5+feather:caution=9",
]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    DCGAN(Config(image_size=SIZE, z_dim=8, gf_dim=4, df_dim=4)).save(folder / "model")
    model = DCGAN.restore(folder / "model")
    return model


@pytest.fixture(scope="module")
def completer(model):
    return with_starts(model, samples=128, components=8)


@pytest.fixture(scope="module")
def train():
    return drawn_faces(40, SIZE, seed=1)


@pytest.fixture(scope="module")
def pictures():
    paths = [Path(f"Person_{person}_{number:04d}.png") for person in "abc" for number in (1, 2)]
    return Pictures(paths, split.people(paths), drawn_faces(6, SIZE))


def colours(name="random"):
    """An extractor that is quick: mean colour and its deviation."""

    def batch(pictures):
        return np.concatenate([pictures.mean((1, 2)), pictures.std((1, 2))], axis=1)

    return Extractor(name, 6, SIZE, batch)


# Whom pictures show


def paths(*names):
    return [Path("folder") / name for name in names]


def test_apart_from_training_people():
    train = paths("A_B_0001.png", "C_0001.png", "000004.png")
    evaluated = paths("A_B_0002.png", "A_0002.png", "C_D_0001.png", "000004.jpg", "000005.jpg")
    names = [path.name for path in gallery.apart(evaluated, train)]
    assert names == ["A_0002.png", "C_D_0001.png", "000005.jpg"]
    assert gallery.apart(evaluated, []) == evaluated
    numbered = paths("photo_0001.png", "photo_0002.png", "photo_0003.png")
    assert gallery.apart(numbered, numbered[:2]) == numbered[2:]


def test_spread_takes_from_everywhere():
    assert gallery.spread(range(10), 4) == [0, 2, 5, 7]
    assert gallery.spread(range(3), 4) == gallery.spread(range(3), None) == [0, 1, 2]


# Methods


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["center", "strokes"])
def test_no_method_sees_hidden_pixels_or_changes_known_ones(completer, train, pictures, name, kind):
    completers = {(None, ""): completer, ("search", ""): completer}
    method = methods.make([Spec.parse(name)], completers, train)[0]
    cases = pictures.cases(kind)
    hidden = np.stack([case.square_mask for case in cases]) == 0
    noise = np.random.default_rng(0).integers(0, 256, pictures.pixels.shape, np.uint8)
    other = Pictures(pictures.paths, pictures.people, np.where(hidden, noise, pictures.pixels))
    result = method.complete(cases)
    np.testing.assert_array_equal(method.complete(other.cases(kind)), result)
    known = np.broadcast_to(~hidden, result.shape)
    np.testing.assert_array_equal(result[known], pictures.pixels[known])
    assert (result != pictures.pixels).any()


def test_random_holes_differ_between_pictures_and_follow_the_seed(pictures):
    def masks(kind, seed):
        return np.stack([case.square_mask for case in pictures.cases(kind, seed)])

    assert (masks("strokes", 0)[0] != masks("strokes", 0)[1]).any()
    np.testing.assert_array_equal(masks("strokes", 0)[1:], masks("strokes", 1)[:-1])
    assert (masks("center", 0) == masks("center", 5)[:1]).all()


def test_a_model_of_fewer_pixels_completes_smaller_pictures(completer):
    """And no hidden pixel reaches the smaller ones."""
    spec = Spec.parse("search:model=small:steps=3")
    assert (spec.model, spec.way, spec.options.search.steps) == ("small", "search", 3)
    method = methods.make([spec], {("search", "small"): completer}, None)[0]
    large = Pictures([Path("a_0001.png")], ["a"], drawn_faces(1, 2 * SIZE))
    cases = large.cases("strokes")
    known = cases[0].square_mask[..., 0] > 0
    result = method.complete(cases)[0]
    np.testing.assert_array_equal(result[known], large.pixels[0][known])
    assert (result[~known] != large.pixels[0][~known]).any()
    other = Pictures(large.paths, large.people, np.where(known[..., None], large.pixels, 77))
    np.testing.assert_array_equal(method.complete(other.cases("strokes"))[0], result)


def test_names_of_methods():
    spec = Spec.parse("best:steps=7:lam=0.5:start=bank")
    assert (spec.options.search.steps, spec.options.search.start) == (7, "bank")
    assert spec.options.objective.lam == 0.5 and spec.options.blend == "poisson"
    assert Spec.parse("best+none").options.blend == "none"
    assert Spec.parse("ppca-200+poisson").components == 200
    assert Spec.parse("ppca-200+poisson").blend == "poisson"
    assert Spec.parse("ppca-200+poisson:caution=30").caution == 30
    assert Spec.parse("mean").components == 0 and Spec.parse("mean").blend == "none"
    assert Spec.parse("telea").components is None


@pytest.mark.parametrize(
    "name, message",
    [
        ("telae", "unknown method 'telae'; choose from original, best, search"),
        ("ppca-0", "unknown method 'ppca-0'"),
        ("mean+glue", r"method mean\+glue: choose \+BLEND from none, feather, poisson"),
        ("telea:steps=2", "method telea:steps=2: no option 'steps'; it has none"),
        ("ppca-9:steps=2", "method ppca-9:steps=2: no option 'steps'; it has caution"),
        ("best:stepz=2", "method best:stepz=2: no option 'stepz'; it has "),
        ("best:steps=few", "method best:steps=few: steps is 'few'; it must be a number"),
        ("ppca-9:caution=-1", "caution is -1.0; it must be above 0"),
        ("best:start=here", "start is 'here'; choose from"),
    ],
)
def test_a_name_that_is_none(name, message):
    with pytest.raises(ValueError, match=message):
        Spec.parse(name)


def test_mean_and_ppca_need_training_pictures():
    with pytest.raises(ValueError, match="fitted to the pictures of --train DIR"):
        methods.make([Spec.parse("mean")], {}, None)


# Figures


def test_figures_of_a_result_that_is_true(pictures, train):
    truth = Truth(pictures, colours("face"))
    perfect = methods.Method("perfect", lambda cases: codecs.to_float(pictures.pixels))
    mean = methods.make([Spec.parse("mean")], {}, train)[0]
    found = list(evaluation.complete_all(truth, "center", [perfect, mean], seed=0))
    assert [result.method for result in found] == ["perfect", "mean"]
    figures = evaluation.row(found[0], pictures.people)
    assert figures["hole_psnr"] is None  # all of them infinite
    assert figures["ssim"] == figures["hole_ssim"] == {"mean": 1, "low": 1, "high": 1}
    assert figures["identity_distance"]["mean"] == 0
    assert figures["frechet_distance"] == pytest.approx(0, abs=1e-6)
    worse = evaluation.row(found[1], pictures.people)
    apart = worse["psnr"]["mean"] - worse["hole_psnr"]["mean"]
    assert apart == pytest.approx(6.02, abs=0.01)  # a quarter of the picture is hidden
    assert worse["frechet_distance"] > 1e-4 and worse["identity_distance"]["mean"] > 0
    assert worse["psnr"]["low"] < worse["psnr"]["mean"] < worse["psnr"]["high"]


def test_identity_is_measured_in_face_features_alone(pictures):
    truth = Truth(pictures, colours("random"))
    square_masks = np.ones((6, SIZE, SIZE, 1))
    assert "identity_distance" not in truth.values(pictures.pixels, square_masks, truth.features)
    assert truth.identity_yardsticks() == {}


def test_identity_yardsticks_are_means_over_pairs(pictures):
    truth = Truth(pictures, colours("face"))
    distance = np.linalg.norm(truth.features[:, None] - truth.features, axis=2)
    people = pictures.people
    pairs = [(i, j) for i in range(6) for j in range(i)]
    same = np.mean([distance[p] for p in pairs if people[p[0]] == people[p[1]]])
    different = np.mean([distance[p] for p in pairs if people[p[0]] != people[p[1]]])
    assert truth.identity_yardsticks() == pytest.approx(
        {"same_person": same, "different_people": different}
    )


def test_summary_leaves_out_what_is_not_finite():
    found = evaluation.summary(np.array([1.0, np.nan, 3.0, np.inf]), ["a", "a", "b", "c"])
    assert found["mean"] == 2 and 1 <= found["low"] < 2 < found["high"] <= 3
    assert evaluation.summary(np.array([np.nan]), ["a"]) is None


def test_pictures_of_the_model_itself(model):
    own = Pictures.generated(model, 3, seed=2)
    np.testing.assert_array_equal(own.pixels, codecs.to_bytes(model.sample(3, seed=2)))
    assert len(set(own.people)) == 3


def test_distances_of_samples(model, train):
    rows = evaluation.sample_distances(model, train[:20], colours(), seed=0, train=train[20:])
    assert rows["samples"]["frechet_distance"] > rows["training pictures"]["frechet_distance"] > 0
    assert rows["training pictures"]["diversity_ratio"] == pytest.approx(1, abs=0.3)
    assert rows["samples"]["seconds"] > 0


# The table, the sheet, and the command


def test_table():
    columns = [
        tables.Column("a", "A, dB", 1),
        tables.Column("b", "B x1000", 1, 1000),
        tables.Column("c", "C", 1),
    ]
    rows = {
        ("center", "best"): {"a": {"mean": 20.04, "low": 19.9, "high": 20.5}, "b": 0.0124},
        ("center", "mean"): {"a": 9.9},
    }
    assert tables.markdown(rows, ("mask", "method"), columns) == (
        "| mask   | method |     A, dB | B x1000 |\n"
        "| ------ | ------ | --------: | ------: |\n"
        "| center | best   | 20.0 ±0.3 |    12.4 |\n"
        "| center | mean   |       9.9 |       - |"
    )


def test_a_sheet_of_more_pictures_than_columns_has_blocks_of_rows(monkeypatch):
    monkeypatch.setattr(sheets, "COLUMNS", 4)
    names = [Path(f"{number}.png") for number in range(7)]
    pictures = Pictures(names, split.people(names), drawn_faces(7, SIZE))
    results = [
        evaluation.Result("center", name, 255 - pictures.pixels, {}, {}, 0.0)
        for name in ("inverted", "a name of more than one line")
    ]
    sheet = sheets.sheet(pictures, results, seed=0, count=6, enlarge=3)
    row = side = 3 * SIZE
    assert sheet.shape == (2 * 4 * row, sheets.LABEL_PIXELS + 4 * side, 3)
    faces = sheet[1::3, sheets.LABEL_PIXELS + 1 :: 3].reshape(8, SIZE, 4, SIZE, 3).swapaxes(1, 2)
    np.testing.assert_array_equal(faces[[0, 4]].reshape(8, SIZE, SIZE, 3)[:6], pictures.pixels[:6])
    np.testing.assert_array_equal(faces[[2, 6], :2], 255 - faces[[0, 4], :2])
    hidden = np.stack([case.square_mask for case in pictures.cases("center")[:4]]) == 0
    np.testing.assert_array_equal(faces[1], np.where(hidden, 255, pictures.pixels[:4]))
    assert (faces[4:, 2:] == 255).all()  # two of four places are empty


@pytest.fixture
def folders(tmp_path, train):
    for number, face in enumerate(train):
        codecs.write(tmp_path / "train" / f"Person{number // 2}_{number % 2 + 1:04d}.png", face)
    for number, face in enumerate(drawn_faces(6, SIZE)):  # persons 18, 19 are in train
        name = f"Person{18 + number // 2}_{number % 2 + 7:04d}.png"
        codecs.write(tmp_path / "faces" / name, face)
    codecs.write(tmp_path / "faces" / "Larger_0001.png", drawn_faces(1, 40)[0])
    return tmp_path


def run(monkeypatch, *arguments):
    monkeypatch.setattr(features, "load", colours)
    monkeypatch.setattr(sys, "argv", ["evaluate.py", *map(str, arguments)])
    return evaluate.main()


def test_completion_command(monkeypatch, capsys, folders, model):
    run(
        monkeypatch,
        "completion",
        "--dataset",
        folders / "faces",
        "--train",
        folders / "train",
        "--mask",
        "center,random",
        "--methods",
        "best:steps=2:start=random,telea,ppca-5+poisson",
        "--checkpointDir",
        model.path,
        "--features",
        "random",
        "--json",
        folders / "out.json",
        "--picture",
        folders / "out.png",
    )
    shown = capsys.readouterr().out
    assert "left out 4 of 7 pictures: people of --train" in shown
    assert "3 pictures of 2 people" in shown
    lines = [line for line in shown.splitlines() if line.startswith("|")]
    assert len(lines) == 2 + 2 * 3 and len({len(line) for line in lines}) == 1
    assert "| random | ppca-5+poisson " in shown
    written = json.loads((folders / "out.json").read_text())
    assert written["settings"]["mask"] == ["center", "random"]
    assert written["fingerprint"] == completion.restore(model.path).fingerprint()
    assert [Path(path).stem for path in written["pictures"]] == [
        "Larger_0001",
        "Person20_0007",
        "Person20_0008",
    ]
    row = written["rows"][1]
    assert (row["mask"], row["method"]) == ("center", "telea")
    assert row["hole_psnr"]["mean"] == pytest.approx(np.mean(row["values"]["hole_psnr"]))
    sheet = codecs.read(folders / "out.png")
    assert sheet.shape == (2 * 5 * SIZE, sheets.LABEL_PIXELS + 3 * SIZE, 3)
    first = sheets.LABEL_PIXELS
    np.testing.assert_array_equal(
        sheet[:SIZE, first + SIZE : first + 2 * SIZE], drawn_faces(5, SIZE)[4]
    )


def test_completion_of_the_models_own_pictures(monkeypatch, capsys, model):
    run(
        monkeypatch,
        "completion",
        "--generated",
        "--count",
        2,
        "--methods",
        "original:steps=1",
        "--checkpoint-dir",
        model.path,
        "--features",
        "random",
    )
    assert "2 pictures of 2 people" in capsys.readouterr().out


def test_samples_command(monkeypatch, capsys, folders, model):
    run(
        monkeypatch,
        "samples",
        "--dataset",
        folders / "faces",
        "--train",
        folders / "train",
        "--shared-people",
        "--count",
        5,
        "--checkpoint-dir",
        model.path,
        "--features",
        "random",
        "--json",
        folders / "out.json",
    )
    shown = capsys.readouterr().out
    assert "left out" not in shown and "| training pictures |" in shown and "5 of each" in shown
    rows = json.loads((folders / "out.json").read_text())["rows"]
    assert set(rows["samples"]) == {
        "frechet_distance",
        "kernel_distance",
        "diversity_ratio",
        "seconds",
    }


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--mask", "centre"], "--mask 'centre': choose from random, center"),
        (["--mask", "full"], "--mask 'full': choose from"),
        (["--enlarge", "2"], "--enlarge is of the sheet that --picture FILE writes"),
        (["--methods", "mean"], "methods mean and ppca-K are fitted to the pictures of --train"),
        (
            ["--methods", "best", "--image-size", "8"],
            "--image-size 8: .* makes 16 pixels; choose a",
        ),
        (["--methods", "telea", "--train", "faces"], "--train .*faces shows everyone there"),
    ],
)
def test_what_is_wrong_is_one_line(monkeypatch, folders, model, arguments, message):
    arguments = [folders / word if word == "faces" else word for word in arguments]
    with pytest.raises(ValueError, match=message):
        run(
            monkeypatch,
            "completion",
            "--dataset",
            folders / "faces",
            "--checkpoint-dir",
            model.path,
            "--features",
            "random",
            *arguments,
        )
    with pytest.raises(ValueError, match="--dataset DIR is needed"):
        run(monkeypatch, "samples")


@pytest.mark.parametrize("flags", [["--dataset", "faces"], ["--shared-people"]])
def test_generated_pictures_contradict_what_is_of_a_dataset(monkeypatch, flags):
    with pytest.raises(ValueError, match=f"{' '.join(flags)} with --generated"):
        run(monkeypatch, "completion", "--generated", *flags)


def test_where_nobody_occurs_twice_nothing_is_said_of_two_photographs_of_one(pictures):
    alone = Pictures(pictures.paths[::2], pictures.people[::2], pictures.pixels[::2])
    said = {len(p.paths): evaluation.notes(Truth(p, colours("face"))) for p in (pictures, alone)}
    assert "between two photographs of one person" in said[6]
    assert "nan" not in said[3] and "of one person" not in said[3]
    assert "0 for the same picture, 0." in said[3] and "between different people" in said[3]
    assert (
        evaluation.report(Truth(alone, colours("face")), [])["identity_yardsticks"]["same_person"]
        is None
    )


def test_files_that_cannot_be_read_are_passed_over_named_and_counted(
    monkeypatch, capsys, folders, model
):
    (folders / "faces" / "Person3_0001.png").write_text("no picture")
    (folders / "train" / "Person4_0009.png").write_bytes(b"")
    arguments = ["--dataset", folders / "faces", "--train", folders / "train"]
    arguments += ["--json", folders / "out.json", "--image-size", SIZE, "--shared-people"]
    assert run(monkeypatch, "completion", *arguments, "--methods", "mean") == 1
    shown = capsys.readouterr()
    lines = shown.err.splitlines()
    assert [Path(line.split(":")[0]).name for line in lines if "passed over" in line] == [
        "Person3_0001.png",
        "Person4_0009.png",
    ]
    assert "2 files passed over" in shown.out and "7 pictures of 4 people" in shown.out
    written = json.loads((folders / "out.json").read_text())
    assert (written["evaluated"], written["passed_over"]) == (7, 2)
    with pytest.raises(ValueError, match="none of 1 pictures can be read"):
        gallery.read_all([folders / "faces" / "Person3_0001.png"], SIZE, 3)


@pytest.mark.parametrize(
    "command, status, words",
    [
        ("evaluate.py completion --help", 0, "--enlarge"),
        ("evaluate.py completion --mask heart --dataset .", 2, "error: --mask 'heart'"),
        ("evaluate.py completion --dataset nowhere", 2, "error: nowhere: no such file or folder"),
        ("evaluate.py samples --dataset nowhere", 2, "error: nowhere: no such file or folder"),
        ("sample.py --help", 0, "--arithmetic"),
        ("sample.py --count 0", 2, "argument --count: '0' is not a whole number above 0"),
        ("sample.py --nearest nowhere", 2, "error: nowhere: no such file or folder"),
        ("sample.py --checkpointDir nowhere", 2, "error: nowhere: no such checkpoint folder"),
    ],
)
def test_answers_before_tensorflow_is_imported(tmp_path, command, status, words):
    script, *flags = command.split()
    done = without_tensorflow(ROOT / script, *flags, cwd=tmp_path)
    assert (done.returncode, words in done.stdout + done.stderr) == (status, True), done
    assert not list(tmp_path.iterdir())
