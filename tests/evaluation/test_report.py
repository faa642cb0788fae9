"""The folder of an evaluation: the older one is there until the new one is whole."""

import pytest
from matplotlib.figure import Figure

from relumen.evaluation.report import Report, check_free, write_report


def report(text, figures):
    return Report((), (), {"table.md": text, "table.csv": text}, figures)


def failing(after):
    yield from after
    raise RuntimeError("no figure")


def test_an_older_evaluation_stays_until_the_new_one_is_drawn(tmp_path):
    check_free(tmp_path, overwrite=False)
    assert not list(tmp_path.iterdir())
    write_report(report("old", [("figure-1.png", Figure()), ("figure-2.png", Figure())]), tmp_path)
    with pytest.raises(RuntimeError):
        write_report(report("new", failing([("figure-1.png", Figure())])), tmp_path)
    assert (tmp_path / "table.md").read_text() == "old"
    assert {path.name for path in tmp_path.iterdir()} == {"table.md", "table.csv", "figure-1.png", "figure-2.png"}
    written = write_report(report("new", [("figure-1.png", Figure())]), tmp_path)
    assert {path.name for path in written} == {path.name for path in tmp_path.iterdir()}
    assert {path.name for path in written} == {"table.md", "table.csv", "figure-1.png"}
    assert (tmp_path / "table.md").read_text() == "new"
