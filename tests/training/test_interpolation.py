"""Between the pixel-only network and the last one: weights, figures, and what the card says."""

import shutil

import keras
import numpy as np
import pytest
import yaml

from relumen.errors import UserError
from relumen.export.from_run import export_run
from relumen.run import RunFolder
from relumen.training.interpolation import interpolated


def weights(path):
    return keras.models.load_model(path).get_weights()


@pytest.mark.parametrize("alpha", [0.0, 0.25, 1.0])
def test_weights_lie_between_those_of_the_two_networks(tiny_run, alpha):
    run = RunFolder(tiny_run)
    network, about = interpolated(run, alpha)
    ends = zip(weights(run.milestone_file("pixel")), weights(run.model_file), strict=True)
    for found, (first, last) in zip(network.get_weights(), ends, strict=True):
        np.testing.assert_allclose(found, first + alpha * (last - first), rtol=1e-5, atol=1e-7)
    assert about.alpha == alpha


def test_figures_are_those_of_the_blend(tiny_run):
    run = RunFolder(tiny_run)
    last, first = (interpolated(run, alpha)[1].figures for alpha in (1.0, 0.0))
    trained = run.about().figures
    assert [(f.image, f.condition) for f in first] == [(f.image, f.condition) for f in trained]
    np.testing.assert_allclose([f.psnr for f in last], [f.psnr for f in trained], atol=1e-3)
    assert [f.psnr for f in first] != [f.psnr for f in last]


def test_without_the_images_there_are_no_figures_and_that_is_said(tiny_run, tmp_path):
    run = RunFolder(tmp_path / "moved")
    shutil.copytree(tiny_run, run.path)
    config = run.config()
    config["data"]["folder"] = str(tmp_path / "gone")
    run.config_file.write_text(yaml.safe_dump(config))
    said = []
    network, about = interpolated(run, 0.5, said.append)
    assert about.figures == ()
    assert "no figures" in said[0] and str(tmp_path / "gone") in said[0]
    package = export_run(run.path, tmp_path / "package", trained=(network, about))
    assert "No figures on held-out images were given" in (package / "README.md").read_text()


def test_alpha_has_a_range(tiny_run):
    with pytest.raises(UserError, match=r"between 0 .* and 1 .*Received: 1\.5"):
        interpolated(RunFolder(tiny_run), 1.5)


def test_a_run_of_one_phase_has_nothing_to_interpolate(tiny_run, tmp_path):
    run = RunFolder(tmp_path / "one")
    shutil.copytree(tiny_run, run.path)
    run.milestone_file("pixel").unlink()
    with pytest.raises(UserError, match="no pixel-only network"):
        interpolated(run, 0.5)
