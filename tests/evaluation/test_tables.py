import csv
import io

import numpy as np
import pytest
from rich.console import Console

from relumen.evaluation import han_yin
from relumen.evaluation.chatton import BICUBIC, CHANNELS, FULL, PAPER
from relumen.evaluation.scores import MEAN, Evaluation, Method, Score
from relumen.evaluation.tables import (
    as_markdown,
    for_terminal,
    heading,
    images_csv,
    lines,
    published_lines,
    table_csv,
    terminal,
)

METHODS = (Method("bicubic", BICUBIC), Method("mine", FULL), Method("other|s", None))


def evaluation_of(channels, conditions=("1 frame",), images=("a", "b"), papers_data=False):
    """Figures that all differ: PSNR 20, 21, 22, ..., and SSIM, fitted PSNR and SSIM from them."""
    places = [
        (condition, channel, image, method.name)
        for condition in conditions
        for image in images
        for channel in channels
        for method in METHODS
    ]
    scores = [Score(*place, 20 + i, (20 + i) / 100, 30 + i, (30 + i) / 100) for i, place in enumerate(places)]
    return Evaluation(PAPER, METHODS, tuple(scores), (), ("Data: here.", "Inputs: made."), papers_data)


@pytest.fixture
def w2s():
    return evaluation_of(CHANNELS, papers_data=True)


def rows_of(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_each_channel_and_their_mean(w2s):
    assert heading(w2s) == ["method", "PSNR / SSIM", *CHANNELS, MEAN]
    bicubic, mine, other = lines(w2s, "1 frame")
    # Images a and b: 20 and 29 in channel 1, 23 and 32 in channel 2, 26 and 35 in channel 3.
    assert bicubic[0] == ["bicubic", "raw", "24.50 / 0.245", "27.50 / 0.275", "30.50 / 0.305", "27.50 / 0.275"]
    assert bicubic[1] == ["", "affine fit", "34.50 / 0.345", "37.50 / 0.375", "40.50 / 0.405", "37.50 / 0.375"]
    assert mine[0][2] == "25.50 / 0.255"
    assert len(other) == 2


def test_the_published_row_stands_beside_its_channels(w2s):
    bicubic, mine, _ = lines(w2s, "1 frame")
    assert bicubic[2] == ["", "published: bicubic", *BICUBIC.figures, ""]
    assert mine[2] == ["", "published: full, L1", "24.96 / 0.741", "28.08 / 0.72", "22.49 / 0.47", ""]


def test_other_data_have_no_published_line_in_their_columns():
    evaluation = evaluation_of([""])
    assert heading(evaluation) == ["method", "PSNR / SSIM", "all images"]
    assert [len(block) for block in lines(evaluation, "1 frame")] == [2, 2, 2]
    beside = {row[0]: row[1] for row in published_lines(evaluation)}
    assert (beside["bicubic"], beside["full, L1"], beside["full, L2"]) == ("bicubic", "mine", "")


def test_what_is_published_on_other_images_alone_has_a_column_of_its_own():
    methods = (Method("bicubic", han_yin.BICUBIC), Method("mine", han_yin.OURS, learnt=True), Method("mark"))
    scores = tuple(Score("no added noise", "", "a", m.name, 20.0, 0.5, 21.0, 0.6) for m in methods)
    evaluation = Evaluation(han_yin.PAPER, methods, scores, (), ("Data: here.",))
    assert heading(evaluation) == ["method", "PSNR / SSIM", "all images", "PSNR published, other images"]
    assert [block[0][-1] for block in lines(evaluation, "no added noise")] == [
        "20.6039 (bicubic)",
        "27.8591 (ours)",
        "",
    ]
    assert [row[:3] for row in published_lines(evaluation)] == [
        ["bicubic", "bicubic", "20.6039"],
        ["LapSRN", "", "26.5055"],
        ["ours", "mine", "27.8591"],
        ["content loss only", "", "26.0928"],
        ["adversarial loss only", "", "11.6732"],
        ["single image input", "", "26.2914"],
    ]
    assert as_markdown(evaluation).startswith("# The cascaded refinement GAN on held-out images")
    assert rows_of(table_csv(evaluation))[1]["published PSNR"] == "27.8591"
    (table,) = for_terminal(evaluation)
    assert [column.header for column in table.columns] == heading(evaluation)


def test_conditions_are_grouped():
    evaluation = evaluation_of([""], conditions=("500 photons", "20 photons"))
    text = as_markdown(evaluation)
    order = [text.index(part) for part in ("- Data: here.", "## Input: 500 photons", "## Input: 20 photons", "Chatton")]
    assert order == sorted(order)
    assert text.count("| bicubic | raw |") == 2
    assert r"| other\|s | raw | 23.50 / 0.235 |" in text


def test_the_means_in_csv_are_those_of_the_images(w2s):
    images, table = rows_of(images_csv(w2s)), rows_of(table_csv(w2s))
    assert len(images) == 2 * 3 * 3 and len(table) == 3 * 4
    for row in table:
        same = [i for i in images if i["method"] == row["method"] and row["channel"] in (i["channel"], MEAN)]
        assert len(same) == int(row["images"])
        for figure in ("psnr", "ssim", "psnr_fitted", "ssim_fitted"):
            assert float(row[figure]) == pytest.approx(np.mean([float(i[figure]) for i in same]))
    mine = next(row for row in table if row["method"] == "mine")
    assert (mine["published"], mine["published channel 2"]) == ("full, L1", "28.08 / 0.72")


def shown(table):
    return [list(row) for row in zip(*(column.cells for column in table.columns), strict=True)]


def test_the_terminal_shows_the_same(w2s):
    (table,) = for_terminal(w2s)
    assert [column.header for column in table.columns] == heading(w2s)
    assert shown(table) == [row for block in lines(w2s, "1 frame") for row in block]


def test_the_terminal_shows_the_published_rows_of_other_methods(w2s):
    _, table = for_terminal(evaluation_of([""]))
    assert shown(table) == [["bicubic", "bicubic", *BICUBIC.figures], ["full, L1", "mine", *FULL.figures]]


def test_no_figure_is_cut_off_in_a_narrow_terminal():
    console = Console(width=20, file=io.StringIO())
    console.print(
        terminal("T", ["kernel distance", "PSNR", ""], [[["0.116", "22.46", ""], ["1.128", "21.76", ""]]]), crop=False
    )
    said = console.file.getvalue()
    assert all(word in said for word in ("kernel", "distance", "PSNR", "0.116", "22.46", "1.128", "21.76"))
    assert "…" not in said
