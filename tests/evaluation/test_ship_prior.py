"""The folder of a prior that ships: small, with a card, and without a path of the machine that trained it."""

import numpy as np
import pytest
import yaml

from relumen.errors import UserError
from relumen.evaluation.ship_prior import ship_prior
from relumen.models.stylegan2_discriminator import Discriminator
from relumen.prior.folder import Prior
from relumen.prior.samples import samples
from relumen.run import RunFolder
from relumen.training.config import load_config
from relumen.training.prior_data import SHIPPED
from relumen.training.prior_transfer import DISCRIMINATOR, discriminator_of


@pytest.fixture
def run(tiny_prior_with_flow):
    """A prior with its flow, as a training leaves it."""
    config = load_config("prior", "nfkb", [f"init={tiny_prior_with_flow.parent}/prior-cells"])
    folder = RunFolder(tiny_prior_with_flow)
    folder.write_config(config.model_dump(mode="json"))
    folder.write_about(folder.about().model_copy(update={"data": f"12 {SHIPPED}"}))
    return tiny_prior_with_flow


def test_a_shipped_prior_makes_the_same_images_and_keeps_its_flow(run, tmp_path):
    shipped = Prior.open(ship_prior(run, tmp_path / "prior-test"))
    names = {"README.md", "about.json", "config.yaml", "figure-1.png", "flow.json", "flow.keras"}
    assert {path.name for path in shipped.path.iterdir()} == names | {"model.keras", "samples.png"}
    np.testing.assert_allclose(samples(shipped, 4, 0), samples(Prior.open(run), 4, 0), rtol=0, atol=5e-3)
    assert np.isfinite(shipped.flow.log_prob(shipped.style_vectors(3, 0)[1])).all()


def test_the_discriminator_ships_as_a_start_for_other_stains(run, tmp_path):
    critic = Discriminator((8, 8), 2)
    critic.save(RunFolder(run).milestone_file(DISCRIMINATOR))
    shipped = discriminator_of(RunFolder(ship_prior(run, tmp_path / "prior-test")))
    assert shipped is not None
    image = np.random.default_rng(0).uniform(-1, 1, (4, 8, 8, 2)).astype(np.float32)
    np.testing.assert_allclose(shipped(image), critic(image), rtol=0, atol=5e-3)


def test_its_card_says_what_it_is_and_what_it_is_not_good_for(run, tmp_path):
    card = (ship_prior(run, tmp_path / "prior-test", "It blurs crowds.") / "README.md").read_text()
    for words in (
        "\n- It blurs crowds.\n",
        "/prior-test 'It blurs crowds.'`: matrices",
        "synthesised",
        "not good for",
        "DNA, NF-kB",
        "relumen train flow",
        "new ones in each pass",
        "grey levels of 255",
        "chi-squared, 6 degrees",
        "BSD-3-Clause",
        "ExampleVitraImages",
    ):
        assert words in card


def test_its_card_tells_real_images_of_any_stage_and_says_where_there_are_none(run, tmp_path):
    folder = RunFolder(run)
    real, drawn = folder.about(), folder.about().model_copy(update={"data": "12 drawn images"})
    for about, told in ((drawn, False), (drawn.model_copy(update={"stages": real.all_stages}), True)):
        folder.write_about(about)
        card = (ship_prior(run, tmp_path / f"prior-{told}") / "README.md").read_text()
        assert ("ExampleVitraImages" in card) == told != ("All training images were drawn" in card)


def test_a_prior_of_other_images_does_not_ship(run, tmp_path):
    config = load_config("prior", "cells", ["images={crops: {folder: mine, channels: {DNA: 0}}}"])
    RunFolder(run).write_config(config.model_dump(mode="json"))
    with pytest.raises(UserError, match="its card could not state them"):
        ship_prior(run, tmp_path / "prior-test")


def test_it_knows_no_path_of_the_machine_that_trained_it(run, tmp_path):
    folder = ship_prior(run, tmp_path / "prior-test")
    assert yaml.safe_load((folder / "config.yaml").read_text())["init"] == "prior-cells"
    assert str(run.parent) not in (folder / "config.yaml").read_text() + (folder / "about.json").read_text()


def test_an_unfinished_run_does_not_ship(run, tmp_path):
    folder = RunFolder(run)
    folder.write_about(folder.about().model_copy(update={"finished": False}))
    with pytest.raises(UserError, match=f"relumen train prior --resume {run}"):
        ship_prior(run, tmp_path / "prior-test")
    assert not (tmp_path / "prior-test").exists()
