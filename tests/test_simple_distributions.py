"""The pictures of distributions: the formulas against SciPy, and the files the command writes."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import integrate, stats

SCRIPT = Path(__file__).parent.parent / "simple-distributions.py"
PICTURES = {
    "normal-pdf.png",
    "normal-samples.png",
    "normal-2d.png",
    "normal-2d-max.png",
    "inverse-cdf.png",
}


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("simple_distributions", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_most_likely_y_is_where_the_joint_density_is_highest(script):
    covariance = np.array([[2.0, 0.9], [0.9, 1.5]])
    joint = stats.multivariate_normal([0, 0], covariance)
    y = np.linspace(-5, 5, 100_001)
    for x in (-2.0, 0.0, 1.2):
        along = joint.pdf(np.stack([np.full_like(y, x), y], axis=1))
        best, variance = script.conditional_normal(x, covariance)
        assert best == pytest.approx(y[along.argmax()], abs=1e-4)
        density = along / integrate.trapezoid(along, y)
        assert variance == pytest.approx(
            integrate.trapezoid(density * (y - best) ** 2, y), rel=1e-3
        )


def test_custom_density_has_total_one(script):
    x = np.linspace(-3, 3, 2001)
    assert integrate.trapezoid(script.custom_density(x), x) == pytest.approx(1, abs=1e-4)
    assert (script.custom_density(x) >= 0).all()


def test_inverse_cdf_samples_have_the_distribution(script):
    x = np.linspace(-3, 3, 2001)
    cdf = script.cumulative(x, script.custom_density(x))
    assert cdf[0] == 0 and cdf[-1] == 1 and (np.diff(cdf) >= 0).all()
    uniform = np.random.default_rng(0).random(10_000)
    samples = script.sample_by_inverse_cdf(x, cdf, uniform)
    assert stats.kstest(samples, lambda s: np.interp(s, x, cdf)).pvalue > 0.01


def test_inverse_cdf_of_a_known_density(script):
    """Density 2x on [0, 1]: the cumulative is x squared, its inverse the square root."""
    x = np.linspace(0, 1, 10_001)
    uniform = np.array([0.04, 0.25, 0.81])
    samples = script.sample_by_inverse_cdf(x, script.cumulative(x, 2 * x), uniform)
    np.testing.assert_allclose(samples, [0.2, 0.5, 0.9], atol=1e-6)


def test_samples_differ_with_the_seed(script):
    for draw in (script.draw_samples, script.draw_normal_2d):
        first, again, other = (
            draw(np.random.default_rng(seed)).axes[0].collections[-1].get_offsets()
            for seed in (0, 0, 1)
        )
        np.testing.assert_array_equal(first, again)
        assert (first != other).any()


def test_command_writes_the_same_pictures_again(script, tmp_path, capsys):
    """Into --outDir, and without it into the current folder."""
    script.main([f"--outDir={tmp_path / 'out'}"])
    assert len(capsys.readouterr().out.splitlines()) == len(PICTURES)
    here = tmp_path / "here"
    here.mkdir()
    result = subprocess.run([sys.executable, SCRIPT], cwd=here, capture_output=True, text=True)
    assert result.returncode == 0 and result.stderr == ""
    assert {path.name for path in here.iterdir()} == PICTURES
    for name in PICTURES:
        first, again = (np.asarray(Image.open(tmp_path / f / name)) for f in ("out", "here"))
        assert first[..., :3].std() > 10, f"{name} is blank"
        np.testing.assert_array_equal(first, again)


def test_a_folder_that_cannot_be_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    result = subprocess.run(
        [sys.executable, SCRIPT, "--out-dir", tmp_path / "file"], capture_output=True, text=True
    )
    assert result.returncode == 2
    assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1
