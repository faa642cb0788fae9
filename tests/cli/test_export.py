"""relumen export of one defect of CIN-GAN, and of a Keras model of anyone, as a user meets it."""

import keras
import pytest
import yaml

from relumen.image_writing import write_image
from relumen.images import Image, PixelSize


def test_export_of_one_defect(relumen, tiny_cin_gan_run, tmp_path):
    code, said = relumen("export", tiny_cin_gan_run, "--defect", "noise", "--name", "Grain", "-o", tmp_path / "grain")
    assert code == 0 and f"Package: {tmp_path / 'grain'}." in said
    assert yaml.safe_load((tmp_path / "grain" / "rdf.yaml").read_text())["name"] == "Grain noise"


def test_a_restorer_has_no_defect_to_choose(relumen, tiny_cgan_run, tmp_path):
    code, said = relumen("export", tiny_cgan_run, "--defect", "noise", "-o", tmp_path / "p")
    assert code == 2 and "restores images, and makes no defects to choose from. Leave out --defect." in said
    assert not (tmp_path / "p").exists()


def test_what_makes_defects_does_not_restore(relumen, tiny_cin_gan_run, tmp_path):
    image = tiny_cin_gan_run / "sample.tif"
    code, said = relumen("restore", image, "--model", tiny_cin_gan_run, "-o", tmp_path / "out.tif")
    assert code == 2 and "makes defects (low-resolution, missing-planes, noise) of clean images" in said


STATED = ("--normalise", "none", "--answer", "own", "--name", "Cell finder", "--summary", "Marks cells.")
CITE = ("--cite", "A paper=10.1000/1")
MINE = """
import keras

class Brighter(keras.layers.Layer):
    def call(self, x):
        return x + 10
"""


@pytest.fixture
def own_model(cells, tmp_path):
    """A model with a layer of its own, the file that defines it, and an image."""
    scope = {"__name__": "my_layers"}
    exec(MINE, scope)  # as another program would define it
    image = keras.Input((None, None, 1))
    answer = keras.layers.Conv2D(2, 3, padding="same")(scope["Brighter"]()(image))
    keras.Model(image, answer).save(tmp_path / "finder.keras")
    (tmp_path / "my_layers.py").write_text(MINE)
    write_image(tmp_path / "image.tif", Image(cells[300:400, 300:400], "YX", PixelSize(0.2, 0.2)))
    return tmp_path / "finder.keras"


def test_export_of_a_keras_model(relumen, own_model, monkeypatch):
    monkeypatch.chdir(own_model.parent)
    model = ("export", "--keras", own_model.name, "--sample", "image.tif", *STATED, *CITE)
    code, said = relumen(*model)
    assert code == 2 and "Brighter" in said and "--code my_layers.py" in said
    code, said = relumen(*model, "--code", "my_layers.py", "--output-channel", "cells", "--output-channel", "rims")
    assert code == 0, said
    for words in (
        "its code runs",
        "licence will be CC-BY-4.0",
        "give --author",
        "Next: relumen verify packages/finder",
    ):
        assert words in said
    rdf = yaml.safe_load((own_model.parent / "packages" / "finder" / "rdf.yaml").read_text())
    assert rdf["outputs"][0]["axes"][3]["channel_names"] == ["cells", "rims"]
    code, said = relumen(*model, "--code", "my_layers.py")
    assert code == 2 and "There is something at packages/finder" in said


def test_what_a_keras_model_needs_is_asked_for_and_nothing_else(relumen, own_model, tmp_path):
    image = tmp_path / "image.tif"
    code, said = relumen("export", "--keras", own_model, "--sample", image, *STATED)
    assert code == 2 and "Of a Keras model, --cite can't be measured" in said
    code, said = relumen("export", "--keras", own_model, "--sample", image, *STATED, *CITE, "--alpha", "0.5")
    assert code == 2 and "--alpha can't be said of a Keras model" in said
    code, said = relumen("export", tmp_path, "--normalise", "none", "--tile", "0")
    assert code == 2 and "--normalise, --tile can't be said of a run" in said
    code, said = relumen("export")
    assert code == 2 and "Name a run folder, or a Keras model" in said
