"""What a run folder keeps is read back as it was."""

import json
import math

import pytest

from relumen.run import About, Figures, RunFolder, kind_of

ABOUT = About(
    system="cgan",
    scale=1,
    channels=1,
    halo=4,
    data="two images",
    command="relumen train cgan",
    machine="CPU",
    software="relumen",
    seconds=1.0,
    steps=2,
    finished=True,
)


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan, 12.5])
def test_figures_that_are_no_finite_numbers_are_read_back(tmp_path, value):
    """Such as the PSNR of an input that is its target already."""
    figures = Figures(image="a.tif", condition="as given", psnr=20.0, ssim=0.5, bicubic_psnr=value, bicubic_ssim=1.0)
    run = RunFolder(tmp_path)
    run.model_file.touch()
    run.write_about(ABOUT.model_copy(update={"figures": (figures,), "measures": {"real: noise": value}}))
    json.loads(run.about_file.read_text(encoding="utf-8"), parse_constant=pytest.fail)  # it is JSON for all others too
    told = run.about()
    for found in (told.figures[0].bicubic_psnr, told.measures["real: noise"]):
        assert found == value or (math.isnan(found) and math.isnan(value))


def test_deblurgan_is_a_wasserstein_critic_that_sees_the_result_alone():
    config = {"system": "cgan", "losses": {"adversarial": 0.1, "form": "wasserstein"}}
    assert kind_of({**config, "discriminator": {"conditional": False}}) == "deblurgan"
    assert kind_of({**config, "discriminator": {"conditional": True}}) == "cgan"
