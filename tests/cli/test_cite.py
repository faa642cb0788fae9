"""relumen cite, as a user meets it."""

from relumen.citations import CHATTON, ESRGAN, RELUMEN, W2S


def test_cite_relumen(relumen):
    code, said = relumen("cite")
    assert code == 0
    assert said == (
        f"{RELUMEN.as_text()} And the papers of the method that you used: relumen cite esrgan | cascade | limited "
        "| rls, or relumen cite MODEL."
    )


def test_cite_a_system(relumen):
    code, said = relumen("cite", "esrgan")
    assert (code, said) == (0, " ".join(work.as_text() for work in (RELUMEN, ESRGAN, CHATTON, W2S)))


def test_cite_as_bibtex(relumen):
    code, said = relumen("cite", "--bibtex")
    assert (code, said) == (0, " ".join(RELUMEN.as_bibtex().split()))


def test_cite_a_package(relumen, small_package):
    code, said = relumen("cite", small_package)
    assert (code, said) == (0, " ".join(f"{work.short}. {work.link}" for work in (ESRGAN, CHATTON, W2S)))


def test_cite_nothing_that_is_there(relumen):
    code, said = relumen("cite", "esrgon")
    assert code == 2
    assert said == "Error: There is no esrgon. Give one of esrgan, cascade, limited, rls, a run folder, or a package."
