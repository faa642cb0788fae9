import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from relumen.citations import (
    CHATTON,
    DUMOULIN,
    ESRGAN,
    KUPYN,
    LAI,
    RAZDAIBIEDINA,
    RELUMEN,
    SYSTEMS,
    W2S,
    WEIGERT,
    WORKS,
    ZHU,
    Reference,
    references,
)
from relumen.errors import UserError

CFF = yaml.safe_load((Path(__file__).parents[1] / "CITATION.cff").read_text(encoding="utf-8"))


def told_in_cff(entry):
    authors = [(a.get("given-names", ""), a.get("family-names") or a["name"]) for a in entry["authors"]]
    return tuple(authors), entry["title"], entry.get("year"), entry.get("doi"), entry.get("url")


def test_citation_cff_agrees():
    ours = [work for works in SYSTEMS.values() for work in works]
    assert [told_in_cff(entry) for entry in CFF["references"]] == [
        (work.authors, work.title, work.year, work.doi, work.url) for work in ours
    ]
    assert told_in_cff(CFF)[:2] == (RELUMEN.authors, RELUMEN.title)
    assert RELUMEN.note == f"Software, version {CFF['version']}"
    assert (CFF["date-released"].year, CFF["repository-code"]) == (RELUMEN.year, RELUMEN.url)


def test_a_reference_as_text():
    assert ESRGAN.short == (
        "Wang et al., ESRGAN: Enhanced Super-Resolution Generative Adversarial Networks, ECCV workshops 2018"
    )
    assert CHATTON.as_text() == (
        "Martin Chatton. Microscopy Image Restoration using Deep Learning on W2S. "
        "https://github.com/mchatton/w2s-tensorflow"
    )
    assert W2S.as_text().startswith("Ruofan Zhou, Majed El Helou, Daniel Sage, Thierry Laroche, Arne Seitz and Sabine")
    assert W2S.as_text().endswith("Dataset. 2020. https://doi.org/10.48550/arXiv.2003.05961")


def test_a_reference_as_bibtex():
    work = replace(W2S, title="50 % of A & B_1", venue="", authors=(("Majed", "El Helou"), ("", "the W2S team")))
    assert work.as_bibtex().splitlines() == [
        "@misc{zhou-w2s,",
        "  author = {El Helou, Majed and {the W2S team}},",
        r"  title = {{50 \% of A \& B\_1}},",
        "  year = {2020},",
        "  doi = {10.48550/arXiv.2003.05961},",
        "}",
    ]


def test_keys_are_of_one_work_each():
    works = {work for each in (SYSTEMS, WORKS) for works in each.values() for work in works}
    assert len(works) == len({work.key for work in works})
    assert all(work.doi or work.url for works in WORKS.values() for work in works)  # packages must say where it is


def test_a_run_names_the_works_of_its_system(tmp_path):
    (tmp_path / "config.yaml").write_text("system: esrgan\n")
    assert references(str(tmp_path)) == references("esrgan") == (RELUMEN, ESRGAN, CHATTON, W2S)


@pytest.mark.parametrize(
    ("config", "first"),
    [
        ("{system: cgan, generator: {network: resnet}}", RAZDAIBIEDINA),
        ("{system: cgan, losses: {adversarial: 0.1, form: wasserstein}}", KUPYN),
        ("{system: cgan, losses: {adversarial: 0.0, form: wasserstein}}", RAZDAIBIEDINA),
        ("{system: cgan, generator: {network: unet}}", WEIGERT),
        ("{system: cyclegan, generator: {network: resnet}}", ZHU),
        ("{system: cascade, generator: {network: lapsrn}}", LAI),
    ],
)
def test_a_run_of_a_baseline_names_its_paper_first(tmp_path, config, first):
    (tmp_path / "config.yaml").write_text(config)
    assert references(str(tmp_path))[1] == first


def test_cin_gan_and_cgan_are_cited_by_their_names_too():
    assert references("cin-gan") == references("limited") == (RELUMEN, RAZDAIBIEDINA, DUMOULIN)
    assert references("cgan") == (RELUMEN, RAZDAIBIEDINA)


def test_a_package_names_its_own_works(tmp_path):
    rdf = {"cite": [{"text": "Doe,\n a\x1b[31m paper.", "doi": "https://doi.org/10.1000/1"}, {"url": "x"}, "words",
                    {"text": "Roe", "url": "https://example.org"}]}  # fmt: skip
    folder = tmp_path / "package"
    folder.mkdir()
    (folder / "rdf.yaml").write_text(yaml.safe_dump(rdf))
    expected = (
        Reference("model-1", (), "Doe, a[31m paper.", doi="10.1000/1"),
        Reference("model-2", (), "Roe", url="https://example.org"),
    )
    assert references(str(folder)) == expected
    assert references(shutil.make_archive(str(tmp_path / "zipped"), "zip", folder)) == expected
    assert [work.as_text() for work in expected] == [
        "Doe, a[31m paper. https://doi.org/10.1000/1",
        "Roe. https://example.org",
    ]
    assert expected[0].short == "Doe, a[31m paper."


def test_what_names_nothing_is_said(tmp_path):
    (tmp_path / "rdf.yaml").write_text("name: model\n")
    with pytest.raises(UserError, match="names no work to cite"):
        references(str(tmp_path))
    with pytest.raises(UserError, match="There is no esrgon. Give one of esrgan, cascade, limited, rls"):
        references("esrgon")
