"""The report on a prior."""

import numpy as np
import pytest

from relumen.errors import UserError
from relumen.evaluation.prior import norms_of, report_on
from relumen.models.flow import MaskedAutoregressiveFlow
from relumen.prior.folder import AboutFlow, Prior, digest


@pytest.fixture
def prior(tiny_prior):
    """A prior with a flow that does no more than standardise."""
    opened = Prior.open(tiny_prior)
    flow = MaskedAutoregressiveFlow(6, blocks=1, hidden=12, seed=0)
    flow.adapt(opened.style_vectors(2000, 9)[1])
    known = {"samples": 2000, "fresh": False, "seed": 9, "epochs": 0, "log_likelihood": 0.0, "seconds": 0.0}
    opened.write_flow(flow, AboutFlow(**known, generator=digest(opened.generator.mapping), command=""))
    return opened


def test_the_norms_are_of_codes_that_no_statistics_are_of(prior):
    rows = {row.name: row for row in norms_of(prior, count=1500)}
    assert list(rows) == ["z", "w", "PULSE", "F(w)"]
    assert rows["z"].mean == pytest.approx(6, abs=0.3) and rows["z"].distance < 0.05
    assert rows["PULSE"].mean == pytest.approx(6, abs=0.4)
    assert rows["w"].distance > rows["F(w)"].distance
    again = norms_of(prior, count=1500)
    assert [row.mean for row in again] == [row.mean for row in rows.values()]
    assert norms_of(prior, count=1500, seed=1)[0].mean != rows["z"].mean


def test_the_report_has_table_figure_and_a_grid_that_says_what_it_shows(prior):
    report = report_on(prior, count=300)
    assert "chi-squared, 6 degrees" in report.texts["table.md"]
    assert report.texts["table.csv"].startswith("codes,count,degrees")
    figures = dict(report.figures)
    assert set(figures) == {"figure-1.png", "figure-samples.png"}
    axes = figures["figure-samples.png"].axes[0]
    assert "no microscope" in axes.get_title() and np.asarray(axes.images[0].get_array()).shape == (48, 64, 3)


def test_a_prior_without_a_flow_is_told(tiny_prior):
    with pytest.raises(UserError, match="relumen train flow"):
        report_on(Prior.open(tiny_prior))
