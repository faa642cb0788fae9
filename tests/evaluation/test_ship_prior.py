"""The folder of a prior that ships: small, with a card, and without a path of the machine that trained it."""

import numpy as np
import pytest
import yaml

from relumen.errors import UserError
from relumen.evaluation.ship_prior import ship_prior
from relumen.models.flow import MaskedAutoregressiveFlow
from relumen.models.stylegan2_discriminator import Discriminator
from relumen.prior.folder import AboutFlow, Prior, digest
from relumen.prior.samples import samples
from relumen.run import RunFolder
from relumen.training.config import load_config
from relumen.training.prior_transfer import DISCRIMINATOR, discriminator_of


@pytest.fixture
def run(tiny_prior):
    """A prior with its flow, as a training leaves it."""
    prior = Prior.open(tiny_prior)
    config = load_config("prior", "nfkb", [f"init={tiny_prior.parent}/prior-cells"])
    RunFolder(tiny_prior).write_config(config.model_dump(mode="json"))
    flow = MaskedAutoregressiveFlow(6, blocks=1, hidden=12, seed=0)
    flow.adapt(prior.style_vectors(500, 9)[1])
    known = {"samples": 500, "fresh": True, "seed": 9, "epochs": 0, "log_likelihood": -7.5, "seconds": 60.0}
    prior.write_flow(flow, AboutFlow(**known, generator=digest(prior.generator.mapping), command="relumen train flow"))
    return tiny_prior


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
    card = (ship_prior(run, tmp_path / "prior-test") / "README.md").read_text()
    for words in (
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
