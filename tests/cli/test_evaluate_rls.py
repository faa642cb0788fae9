"""relumen evaluate rls: each table as one command, on drawn cells with an untrained prior."""

import csv

import pytest

from relumen.evaluation import rls_methods


@pytest.fixture
def quick(monkeypatch):
    """Every search in two steps."""
    load = rls_methods.load_search
    monkeypatch.setattr(rls_methods, "load_search", lambda preset, more: load(preset, [*more, "iterations=2"]))


def test_table_1_is_one_command_that_searches_once(relumen, quick, cell_sized_prior, tmp_path):
    command = (
        "evaluate", "rls", "table-1", "--prior", cell_sized_prior, "--data", "drawn:nfkb", "-n", 2,
        "--also", "cross.weight=0.01", "--cache", tmp_path / "kept", "-o", tmp_path / "out",
    )  # fmt: skip
    code, said = relumen(*command)
    assert code == 0, said
    rows = csv.DictReader((tmp_path / "out" / "table.csv").read_text().splitlines())
    methods = ["LR, bicubic", "PULSE", "BRGM, no VGG term", "w/o Regu.", "RLS, as published"]
    methods += ["RLS, annealed, cross.weight=0.01", "RLS, annealed"]
    assert [row["method"] for row in rows] == methods
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "table.md", "table.csv", "images.csv", "figure-2.png",
    }  # fmt: skip
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "kept").rglob("*.npz")}
    assert len(kept) == 4 * 6
    code, said = relumen(*command)
    assert code == 2 and "holds an evaluation already" in said
    code, said = relumen(*command, "--overwrite")
    assert code == 0 and {path: path.stat().st_mtime_ns for path in (tmp_path / "kept").rglob("*.npz")} == kept


@pytest.mark.parametrize(
    ("what", "more", "words"),
    [
        ("table-1", ["--data", "cells"], "drawn:cells, drawn:nfkb"),
        ("table-1", ["--also", "cross.wait=1"], "cross.wait"),
        ("table-1", ["--lpips-vgg", "vgg16.h5"], "LPIPS needs both"),
        ("figure-7", ["--data", "drawn:golgi"], "Take a prior of the same stains"),
        ("figure-7", ["--factor", 5], "Received: 5"),
        ("sweep", ["--prior", "prior-none"], "prior-none is no prior"),
    ],
)
def test_wrong_use(relumen, cell_sized_prior, tmp_path, what, more, words):
    code, said = relumen(
        "evaluate", "rls", what, "--prior", cell_sized_prior, "--data", "drawn:nfkb", "-n", 1,
        "--cache", tmp_path / "kept", "-o", tmp_path / "out", *more,
    )  # fmt: skip
    assert code == 2 and words in said, said
