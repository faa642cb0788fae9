"""relumen data, as a user meets it."""

import json


def test_copy_then_train_as_it_says(relumen, tmp_path):
    folder = tmp_path / "cells"
    code, said = relumen("data", "copy", folder, "--hold-out", "kc167/POS218", "--hold-out", "ht29")
    assert code == 0
    assert "13 images to train on, 6 held out" in said and f"relumen train esrgan --data {folder} --degrade" in said
    assert json.loads((folder / "manifest.json").read_text())["held out"] == ["ht29/D03", "kc167/POS218"]
    code, said = relumen("data", "copy", folder, "--hold-out", "nowhere")
    assert code == 2 and "No field named nowhere. There are: ht29/D03" in said
