"""The published figures of RLS, by what the paper says of them and where its tables tell one thing twice."""

import pytest

from relumen.evaluation.gheisari_genovesio import (
    ABLATED,
    ACCURACIES,
    BRGM,
    FIGURE_7,
    HR,
    QUALITY,
    RLS,
    TABLE_1,
    TABLE_2,
    name_in_paper,
)
from relumen.evaluation.rls_methods import ABLATION, BICUBIC, COMPARED, Method


def test_every_row_has_a_number_for_every_column():
    rows = [(row, QUALITY) for table in TABLE_1.values() for row in table.values()]
    rows += [(row, ABLATED) for row in FIGURE_7.values()]
    rows += [([row[name] for name in ACCURACIES], ACCURACIES) for row in TABLE_2.values()]
    assert len(rows) == 14
    for figures, columns in rows:
        assert len(figures) == len(columns) and all(float(figure) > 0 for figure in figures)


@pytest.mark.parametrize("factor", [16, 32])
def test_rls_has_the_best_fid_and_kid_and_one_of_the_two_best_lpips(factor):
    """As Secs. 4.2.1 and 4.2.2 say of Table 1."""
    by_column = {
        column: sorted(TABLE_1[factor], key=lambda method, i=i: float(TABLE_1[factor][method][i]))
        for i, column in enumerate(QUALITY)
    }
    assert by_column["FID"][0] == by_column["KID"][0] == RLS
    assert RLS in by_column["LPIPS"][:2]


def test_rls_comes_next_to_hr_in_table_2():
    for row in TABLE_2.values():
        assert sorted(row, key=lambda name: -float(row[name]))[:2] == [HR, RLS]
    assert TABLE_2["nocodazole"][BRGM] == "53.0" and TABLE_2["TNF-alpha"]["PULSE"] == "85.6"


def test_the_full_row_of_figure_7_is_that_of_table_1_at_16x():
    full = dict(zip(QUALITY, TABLE_1[16][RLS], strict=True))
    for column, figure in zip(ABLATED, FIGURE_7[RLS], strict=True):
        assert float(figure) == pytest.approx(float(full[column]), abs=0.0051)
    assert TABLE_1[32][BRGM][4] == "14.207" and FIGURE_7["w/o P_cross"] == ("8.99", "21.24")


def test_methods_are_found_by_what_they_do():
    assert {name_in_paper(method) for method in COMPARED} == set(ACCURACIES) - {"LR", HR}
    assert [name_in_paper(method) for method in ABLATION] == list(FIGURE_7)
    assert name_in_paper(Method("ours", "pix2pix")) in TABLE_1[16]
    assert name_in_paper(BICUBIC) is None and name_in_paper(Method("RLS", overrides=("iterations=2",))) is None
