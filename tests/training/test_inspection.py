import numpy as np
import pytest

from relumen.errors import UserError
from relumen.image_writing import write_image
from relumen.images import Image, PixelSize
from relumen.training.data import load_data
from relumen.training.inspection import MADE, describe, find_faults
from relumen.training.settings import DataConfig


@pytest.fixture
def pairs(tmp_path, cells):
    """Two channels each, three pairs to train on and one held out, of 48 x 40 and 96 x 80 pixels."""
    for part, names in ((tmp_path, "abc"), (tmp_path / "validation", "d")):
        for name in names:
            top = 100 * ord(name) % 700
            high = np.stack([cells[top : top + 96, 300:380], cells[top : top + 96, 600:680]]).astype(np.uint16) + 7
            write(part / "high", name, high, 0.1)
            write(part / "low", name, high[:, ::2, ::2], 0.2)
    return tmp_path


def write(folder, name, pixels, pixel_size):
    folder.mkdir(parents=True, exist_ok=True)
    write_image(folder / f"{name}.tif", Image(pixels, "CYX", PixelSize(pixel_size, pixel_size)))


def faults(folder, **changes):
    return find_faults(DataConfig(folder=folder, **{"patch": 16, **changes}), 2)


def test_a_good_folder_has_no_faults(pairs, data_folder):
    assert faults(pairs) == []
    assert faults(data_folder) == []


def test_every_fault_is_told_not_only_the_first(pairs):
    low, high = pairs / "low", pairs / "high"
    (low / "a.tif").write_bytes(b"II*\0cut short")
    write(low, "b", np.ones((2, 48, 48), np.uint16), 0.2)
    write(low, "lonely", np.ones((2, 48, 40), np.uint16), 0.2)
    values = np.ones((2, 48, 40), np.float32)
    values[1, 3, 4] = np.nan
    write(low, "c", values, 0.2)
    write(pairs / "validation" / "low", "d", np.full((2, 48, 40), 5, np.uint16), 0.2)
    told = faults(pairs)
    for number, words in enumerate(
        (
            f"in {low} and {high}. Without a partner: lonely.tif",
            f"{low / 'a.tif'} can't be read",
            f"{high / 'b.tif'} must be 2 times as large as {low / 'b.tif'}",
            f"{low / 'c.tif'} holds pixels that are no finite numbers",
            "d.tif C0 shows nothing: all pixels of its input are 5",
            "d.tif C1 shows nothing",
        )
    ):
        assert words in told[number]
    assert len(told) == 6


def test_an_image_that_is_trained_on_and_held_out_spoils_the_figures(pairs):
    for part in ("low", "high"):
        (pairs / "validation" / part / "d.tif").write_bytes((pairs / part / "b.tif").read_bytes())
    assert faults(pairs) == [
        f"d.tif C{channel} is held out, but b.tif C{channel}, which is trained on, is the same image."
        for channel in range(2)
    ]


def test_small_images_and_several_pixel_sizes_are_told(pairs):
    pixels = np.array([np.arange(96 * 80).reshape(96, 80)] * 2, np.uint16)
    write(pairs / "high", "c", pixels, 0.3)
    (told,) = faults(pairs)
    assert "c.tif has pixels of 0.2 um as an input and of 0.3 um as its target, which is 2 times as large" in told
    write(pairs / "low", "c", pixels[:, ::2, ::2], 0.6)
    (told,) = faults(pairs)
    assert told == "Inputs have several pixel sizes (0.2 um in a.tif, 0.6 um in c.tif); a network is for one."
    assert faults(pairs, pixel_size_um=0.2) == []
    told = faults(pairs, patch=44, pixel_size_um=0.2)
    assert told[0] == "a.tif C0 is 48 x 40, smaller than a patch of 44: it isn't trained on."
    assert len(told) == 6  # the one that is held out is judged as a whole


def test_a_folder_that_is_none_and_one_of_no_layout(tmp_path):
    with pytest.raises(UserError, match="no data folder"):
        faults(tmp_path / "nowhere")
    (told,) = faults(tmp_path)
    assert "There is no image" in told


def test_pairs_in_words_and_numbers(pairs, cells):
    description, sheet = describe(DataConfig(folder=pairs, patch=16), 2)
    facts = dict(description.facts)
    assert facts["layout"] == "pairs in low/ and high/"
    assert facts["pairs"] == "3 to train on, 1 held out"
    assert facts["inputs"] == "CYX 2 x 48 x 40, uint16"
    assert facts["targets"] == "CYX 2 x 96 x 80, uint16"
    assert facts["pixel size"] == "0.2 um at the input"
    assert facts["patches"].startswith(f"{3 * 2 * 5 * 4} of 16 x 16")
    first, second = description.groups
    assert (first.channel, first.condition, first.training, first.held_out) == ("C0", "as given", 3, 1)
    assert second.channel == "C1"
    columns = [cells[100 * ord(name) % 700 :][:96, 300:380] for name in "abcd"]
    assert first.high[0] == 7 + min(part.min() for part in columns)
    assert first.high[-1] == 7 + max(part.max() for part in columns)
    assert first.high[1:4] == pytest.approx(7 + np.percentile(np.stack(columns), (1, 50, 99)))
    titles = [axes.get_title("left") for axes in sheet.axes if axes.get_title("left")]
    assert titles[0] == "a.tif C0, as given" and titles[-1] == "d.tif C1, as given, held out"
    shown = [axes.get_images()[0].get_array().shape for axes in sheet.axes if axes.get_images()]
    assert shown == [(48, 40), (96, 80)] * 8


def test_images_alone_are_shown_with_an_input_that_is_made(data_folder):
    description, sheet = describe(DataConfig(folder=data_folder), 2)
    (group,) = description.groups
    assert (group.condition, group.low) == (MADE, None)
    assert ("images", "2 to train on, 1 held out") in description.facts
    assert ("axes, type", "YX 160 x 160, uint8") in description.facts
    assert [axes.get_images()[0].get_array().shape for axes in sheet.axes if axes.get_images()][:2] == [
        (80, 80),
        (160, 160),
    ]


def test_mixed_forms_are_counted(pairs):
    write(pairs / "high", "c", np.zeros((2, 96, 80), np.float32), 0.1)
    facts = dict(describe(DataConfig(folder=pairs, patch=16), 2)[0].facts)
    assert facts["targets"] == "CYX 2 x 96 x 80, uint16 (3); CYX 2 x 96 x 80, float32 (1)"


def test_a_large_folder_is_shown_in_part(tmp_path):
    low = np.random.default_rng(0).random((100, 1, 16, 16))
    np.savez(tmp_path / "many.npz", X=low, Y=np.kron(low, np.ones((2, 2))), axes="SCYX")
    description, sheet = describe(DataConfig(folder=tmp_path / "many.npz", patch=16), 2)
    assert ("pairs", "90 to train on, 10 held out") in description.facts
    assert len([axes for axes in sheet.axes if axes.get_images()]) <= 2 * 24
    assert sheet.get_suptitle().startswith("23 of 100")


def test_a_held_out_band_that_can_not_be_judged_on_is_a_fault(pairs):
    told = faults(pairs, region={"side": "top", "share": 0.1, "gap": 0})
    assert any("d.tif C0 measures 10 x 80 pixels, and 11 each way" in each for each in told)


def test_the_pixel_size_of_inputs_is_their_own(pairs):
    pixels = np.array([np.arange(48 * 40).reshape(48, 40)] * 2, np.uint16)
    for name, part in [*((each, pairs) for each in "abc"), ("d", pairs / "validation")]:
        write(part / "low", name, pixels, 0.25)  # and their targets tell 0.1
    data = load_data(DataConfig(folder=pairs, patch=16), 2)
    assert data.pixel_size_um == pytest.approx(0.25)
