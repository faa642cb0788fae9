"""relumen models, as a user meets it."""

import pytest

from relumen.shipped import shipped_names


@pytest.mark.parametrize("columns", [80, 200])
def test_models_are_listed_with_what_they_do(relumen, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    code, said = relumen("models")
    assert code == 0
    assert all(name in said for name in shipped_names())
    assert all(heading in said for heading in ("Command", "What it does", "Larger", "Pixel"))
    assert "8x super-resolution of phase" in said and "6.94" in said and "networks" in said


def test_a_card_is_shown(relumen):
    code, said = relumen("models", "cgan-fluorescence")
    assert code == 0
    assert "What it is not good for" in said


def test_a_model_is_copied_once(relumen, tmp_path):
    target = tmp_path / "phase.zip"
    assert relumen("models", "cascade-phase-2x", "-o", target) == (0, f"Written: {target}")
    code, said = relumen("models", "cascade-phase-2x", "-o", target)
    assert code == 2 and "already" in said


@pytest.mark.parametrize(
    ("arguments", "told"), [(["esrgan-confocal"], "esrgan-widefield"), (["-o", "all"], "Say which model")]
)
def test_mistakes_are_told(relumen, arguments, told):
    code, said = relumen("models", *arguments)
    assert code == 2 and told in said
