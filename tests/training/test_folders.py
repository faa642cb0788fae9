"""Every layout of a data folder, on small folders of that layout."""

import shutil
import zipfile

import imageio.v3 as iio
import numpy as np
import pytest
import tifffile

from relumen.degrade import Degradation
from relumen.errors import UserError
from relumen.training.data import Batches, load_data, load_held_out
from relumen.training.defects import load_defects
from relumen.training.folders import find_contents
from relumen.training.settings import DataConfig


def write_pairs(low_folder, high_folder, names, cells, *, size=32):
    for folder in (low_folder, high_folder):
        folder.mkdir(parents=True, exist_ok=True)
    for i, name in enumerate(names):
        high = cells[300 + 20 * i : 300 + 20 * i + 2 * size, 300 : 300 + 2 * size]
        for folder, pixels in ((low_folder, high[::2, ::2]), (high_folder, high)):
            if name.endswith(".npy"):
                np.save(folder / name, pixels)
            else:
                iio.imwrite(folder / name, pixels)


@pytest.fixture
def w2s(tmp_path, cells):
    """data/{train,test}/{avg1,avg4,sim}/NNN_C.png, as published."""
    for part, fields in (("train", (1, 2)), ("test", (81,))):
        names = [f"{field:03d}_{channel}.png" for field in fields for channel in range(3)]
        for average in ("avg1", "avg4"):
            write_pairs(tmp_path / "data" / part / average, tmp_path / "data" / part / "sim", names, cells)
    return tmp_path


def about(sources):
    return [(source.name, source.channel, source.condition) for source in sources]


def test_w2s_as_published(w2s):
    for folder in (w2s, w2s / "data"):
        data = load_data(DataConfig(folder=folder), 2)
        assert about(data.training) == [(f"00{f}_{c}.png", str(c), "avg1") for f in (1, 2) for c in range(3)]
        assert about(data.validation) == [(f"081_{c}.png", str(c), "avg1") for c in range(3)]
        assert data.describe().startswith("W2S (avg1 to sim): 6 images (001_0.png, ")
    np.testing.assert_array_equal(data.training[0].low, iio.imread(w2s / "data" / "train" / "avg1" / "001_0.png"))
    np.testing.assert_array_equal(data.training[0].high, iio.imread(w2s / "data" / "train" / "sim" / "001_0.png"))


def test_several_averages_share_their_target(w2s):
    data = load_data(DataConfig(folder=w2s, averages=(4, 1)), 2)
    assert about(data.training)[:3] == [
        ("001_0.png", "0", "avg4"),
        ("001_0.png", "0", "avg1"),
        ("001_1.png", "1", "avg4"),
    ]
    assert np.shares_memory(data.training[0].high, data.training[1].high)
    assert data.describe().startswith("W2S (avg4, avg1 to sim): 6 images")
    with pytest.raises(UserError, match=r"has no avg2/.*--set data.averages=\[1, 4\]"):
        load_data(DataConfig(folder=w2s, averages=(1, 2)), 2)


def test_the_normalised_npy_are_camera_counts_again(tmp_path):
    """The constants are those of the README of the data: of all fields in one folder, 081 to 120 are the test set."""
    counts = np.random.default_rng(0).poisson(150, (64, 64)).astype(np.float64)
    for folder, part in (("avg1", counts[:32, :32]), ("sim", counts)):
        place = tmp_path / "data" / "normalized" / folder
        place.mkdir(parents=True)
        for name in ("001_0", "080_0", "081_0", "120_0"):
            np.save(place / f"{name}.npy", ((part - 154.535390853) / 66.02846351802853).astype(np.float32))
    data = load_data(DataConfig(folder=tmp_path), 2)
    assert [source.name for source in data.training] == ["001_0.npy", "080_0.npy"]
    assert [source.name for source in data.validation] == ["081_0.npy", "120_0.npy"]
    np.testing.assert_allclose(data.training[0].low, counts[:32, :32], atol=1e-3)
    np.testing.assert_allclose(data.training[0].high, counts, atol=1e-3)


def test_w2s_without_its_targets_tells_where_they_are(tmp_path, cells):
    """As today's repository has it: data/normalized with averages alone."""
    write_pairs(tmp_path / "avg1", tmp_path / "avg400", ["001_0.npy", "002_0.npy"], cells)
    with pytest.raises(UserError, match="no sim/: the SIM images, their targets. They are in the raw data"):
        load_data(DataConfig(folder=tmp_path), 2)
    pairs = DataConfig(folder=tmp_path, source="avg1", target="avg400")  # what is named is taken
    assert load_data(pairs, 2).layout == "pairs in avg1/ and avg400/"


@pytest.fixture
def raw_w2s(tmp_path):
    """ImageNNN/{wf,sim}_channelC.npy: 250 frames, as many as avg1 needs, and SIM."""
    random = np.random.default_rng(0)
    for field in (1, 80, 81):
        place = tmp_path / f"Image{field:03d}"
        place.mkdir()
        for channel in range(2):
            np.save(place / f"wf_channel{channel}.npy", random.poisson(100, (250, 16, 16)).astype(np.uint16))
            np.save(place / f"sim_channel{channel}.npy", random.poisson(100, (32, 32)).astype(np.uint16))
    return tmp_path


def test_raw_w2s_gives_the_averages_that_were_published(raw_w2s):
    """Frame 249 is avg1, and the first two, four, ... are the others; so says the README of the data."""
    data = load_data(DataConfig(folder=raw_w2s, averages=(1, 4)), 2)
    assert about(data.training)[:3] == [("001_0", "0", "avg1"), ("001_0", "0", "avg4"), ("001_1", "1", "avg1")]
    assert {source.name[:3] for source in data.training} == {"001", "080"}
    assert {source.name[:3] for source in data.validation} == {"081"}
    frames = np.load(raw_w2s / "Image001" / "wf_channel0.npy")
    np.testing.assert_array_equal(data.training[0].low, frames[249])
    np.testing.assert_allclose(data.training[1].low, frames[:4].mean(0), rtol=1e-6)
    np.testing.assert_array_equal(data.training[0].high, np.load(raw_w2s / "Image001" / "sim_channel0.npy"))
    assert data.layout == "W2S, raw frames (avg1, avg4 to sim)"


def test_faults_of_raw_w2s_get_a_plain_message(raw_w2s):
    with pytest.raises(UserError, match="wf_channel0.npy must be a stack of more than 399 frames.*250, 16, 16"):
        load_data(DataConfig(folder=raw_w2s, averages=400), 2)
    (raw_w2s / "Image080" / "sim_channel1.npy").unlink()
    with pytest.raises(UserError, match="Image080 needs wf_channelC.npy and sim_channelC.npy for channel 1"):
        load_data(DataConfig(folder=raw_w2s), 2)


def test_npy_of_whole_numbers_are_counts_already(tmp_path, cells):
    write_pairs(tmp_path / "avg1", tmp_path / "sim", ["001_0.npy", "002_0.npy"], cells)
    (source, *_) = load_data(DataConfig(folder=tmp_path), 2).training
    np.testing.assert_array_equal(source.high, cells[300:364, 300:364])


def test_the_channels_of_a_field_are_never_split(tmp_path, cells):
    write_pairs(
        tmp_path / "avg1", tmp_path / "sim", [f"00{field}_{c}.png" for field in (1, 2) for c in range(3)], cells
    )
    data = load_data(DataConfig(folder=tmp_path, validation=0.1), 2)
    assert [source.name[:3] for source in data.training] == ["001"] * 3
    assert [source.name[:3] for source in data.validation] == ["002"] * 3


@pytest.mark.parametrize(
    ("low", "high", "named"),
    [
        ("low", "high", {}),
        ("low", "GT", {}),
        ("LR", "HR", {}),
        ("wf", "deconvolved", {"source": "wf", "target": "deconvolved"}),
    ],
)
@pytest.mark.parametrize("suffix", [".tif", ".png", ".npy"])
def test_folders_with_equal_names(tmp_path, cells, low, high, named, suffix):
    write_pairs(tmp_path / low, tmp_path / high, [f"{i}{suffix}" for i in range(3)], cells)
    data = load_data(DataConfig(folder=tmp_path, **named), 2)
    assert about(data.training) == [(f"0{suffix}", "", "as given"), (f"1{suffix}", "", "as given")]
    assert about(data.validation) == [(f"2{suffix}", "", "as given")]
    assert data.layout == f"pairs in {low}/ and {high}/"


def test_several_folders_of_inputs_as_csbdeep_takes_them(tmp_path, cells):
    """The example in RawData.from_folder: source1 has A and B, source2 has A and C, GT all three."""
    names = ["imageA.tif", "imageB.tif", "imageC.tif"]
    write_pairs(tmp_path / "source1", tmp_path / "GT", names, cells)
    write_pairs(tmp_path / "source2", tmp_path / "GT", names, cells)
    (tmp_path / "source1" / "imageC.tif").unlink()
    (tmp_path / "source2" / "imageB.tif").unlink()
    config = DataConfig(folder=tmp_path, source=("source1", "source2"), target="GT")
    data = load_data(config, 2)
    assert about(data.training + data.validation) == [
        ("imageA.tif", "", "source1"),
        ("imageA.tif", "", "source2"),
        ("imageB.tif", "", "source1"),
        ("imageC.tif", "", "source2"),
    ]
    (tmp_path / "source2" / "imageC.tif").unlink()
    with pytest.raises(UserError, match="Without a partner: imageC.tif"):
        load_data(config, 2)


@pytest.mark.parametrize("held_out", ["validation", "test"])
def test_train_and_its_neighbour(tmp_path, cells, held_out):
    write_pairs(tmp_path / "train" / "low", tmp_path / "train" / "GT", ["a.tif", "b.tif"], cells)
    write_pairs(tmp_path / held_out / "low", tmp_path / held_out / "GT", ["c.tif"], cells)
    data = load_data(DataConfig(folder=tmp_path), 2)
    assert [[source.name for source in part] for part in (data.training, data.validation)] == [
        ["a.tif", "b.tif"],
        ["c.tif"],
    ]


def test_a_test_folder_beside_low_and_high_is_left_alone(tmp_path, cells):
    write_pairs(tmp_path / "low", tmp_path / "high", ["a.tif", "b.tif"], cells)
    (tmp_path / "test").mkdir()
    assert [source.name for source in load_data(DataConfig(folder=tmp_path), 2).validation] == ["b.tif"]


@pytest.fixture
def patches():
    """Five patches of two channels, (5, 2, 16, 16), and their targets."""
    high = np.random.default_rng(1).normal(3, 2, (5, 2, 32, 32)).astype(np.float32)
    return high[..., ::2, ::2], high


@pytest.mark.parametrize("axes", ["SCYX", "SYXC"])
def test_npz_of_csbdeep(tmp_path, patches, axes):
    low, high = patches if axes == "SCYX" else [np.moveaxis(part, 1, -1) for part in patches]
    np.savez(tmp_path / "my.npz", X=low, Y=high, axes=axes)
    data = load_data(DataConfig(folder=tmp_path / "my.npz", validation=0.4), 2)
    assert about(data.training) == [(f"my.npz {i} C{c}", f"C{c}", "as given") for i in range(3) for c in range(2)]
    assert about(data.validation)[0] == ("my.npz 3 C0", "C0", "as given")
    assert data.layout == f"patches of my.npz ({axes}, CSBDeep)"
    second = data.training[3]
    np.testing.assert_array_equal(second.low, patches[0][1, 1])
    np.testing.assert_array_equal(second.high, patches[1][1, 1])
    assert second.statistics == pytest.approx((patches[0][:, 1].mean(), patches[0][:, 1].std()))


def test_an_array_of_a_npz_that_is_shorter_than_it_says_is_refused(tmp_path, patches):
    np.savez(tmp_path / "odd.npz", Y=patches[1], axes="SCYX")
    claims = {"descr": "<f4", "fortran_order": False, "shape": (5, 2, 10**6, 10**6)}
    with zipfile.ZipFile(tmp_path / "odd.npz", "a") as odd, odd.open("X.npy", "w") as member:
        np.lib.format.write_array_header_1_0(member, claims)
    with pytest.raises(UserError, match="X.npy says to hold more than it does"):
        load_data(DataConfig(folder=tmp_path / "odd.npz", validation=0.4), 2)


def test_a_blank_patch_of_a_npz_has_the_unit_of_all(tmp_path, patches):
    """In units of its own it would be divided by nothing."""
    low, high = (part.copy() for part in patches)
    low[0] = 3 + 1e-5 * low[0]
    np.savez(tmp_path / "my.npz", X=low, Y=high, axes="SCYX")
    config = DataConfig(folder=tmp_path / "my.npz", patch=16)
    made = Batches(load_data(config, 2).training, config, scale=2, batch=8, augment=0.0, seed=0)
    assert len(made) == 8
    assert np.abs(made(0)[1]).max() < 10


def save(path, **changes):
    arrays = {"X": np.ones((4, 1, 8, 8)), "Y": np.ones((4, 1, 16, 16)), "axes": "SCYX"} | changes
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"axes": None}, "has no axes. A .npz holds X, Y and axes"),
        ({"axes": "CYX"}, "must be S .*Received: 'CYX'"),
        ({"axes": "SCZYX"}, "do not fit X of shape"),
        ({"X": np.ones((3, 1, 8, 8))}, "3 in X and 4 in Y"),
        ({"X": np.ones((4, 1, 16, 16))}, r"of one size are for denoising alone.*bin them 2 x 2.*--degrade"),
        ({"X": np.ones((4, 1, 8, 6))}, "2 times as large"),
        ({"Y": np.full((4, 1, 16, 16), np.nan)}, r"Y\[0\] holds pixels that are no finite numbers"),
    ],
)
def test_faults_of_a_npz_get_a_plain_message(tmp_path, changes, words):
    save(tmp_path / "my.npz", **changes)
    with pytest.raises(UserError, match=words):
        load_data(DataConfig(folder=tmp_path / "my.npz"), 2)


def test_a_file_that_is_no_npz(tmp_path):
    (tmp_path / "my.npz").write_bytes(b"PK cut short")
    (tmp_path / "my.txt").write_text("hello")
    for name, words in (
        ("my.npz", "damaged or cut short"),
        ("my.txt", "a folder, or a .npz"),
        ("no", "no data folder"),
    ):
        with pytest.raises(UserError, match=words):
            load_data(DataConfig(folder=tmp_path / name), 2)


def write_care(folder, *, planes=0, axes=None, conditions=("condition_1", "condition_2"), target="GT", channels=1):
    """A set of CARE as published, of five patches and two images to test on; its parts as arrays."""
    rng = np.random.default_rng(2)
    depth = (planes,) if planes else ()
    high = rng.normal(3, 2, (5, channels, *depth, 16, 16)).astype(np.float32)
    low = high + rng.normal(0, 1, high.shape).astype(np.float32)
    (folder / "train_data").mkdir(parents=True)
    np.savez(folder / "train_data" / "data_label.npz", X=low, Y=high, **({} if axes is None else {"axes": axes}))
    volumes = rng.integers(0, 4000, (2, *depth, 24, 20)).astype(np.uint16)
    for number, condition in enumerate((target, *conditions) if conditions else ()):
        (folder / "test_data" / condition).mkdir(parents=True)
        for name, volume in zip("ab", volumes, strict=True):
            path = folder / "test_data" / condition / f"{name}.tif"
            tifffile.imwrite(path, volume + np.uint16(number), imagej=True, metadata={"axes": "ZYX"[-volume.ndim :]})
    return low, high, volumes


@pytest.mark.parametrize("axes", ["SCZYX", None])
def test_volumes_of_care_give_their_planes(tmp_path, axes):
    """The published files need not tell their axes."""
    low, high, volumes = write_care(tmp_path, planes=4, axes=axes)
    data = load_data(DataConfig(folder=tmp_path), 1)
    assert about(data.training) == [(f"data_label.npz {i} Z{z}", "", "as given") for i in range(5) for z in range(4)]
    assert about(data.validation) == [
        (f"{name}.tif Z{z}", "", condition)
        for name in "ab"
        for condition in ("condition_1", "condition_2")
        for z in range(4)
    ]
    np.testing.assert_array_equal(data.training[5].low, low[1, 0, 1])
    np.testing.assert_array_equal(data.training[5].high, high[1, 0, 1])
    assert data.training[5].statistics == pytest.approx((low.mean(), low.std()))
    np.testing.assert_array_equal(data.validation[5].low, volumes[0, 1] + 2)
    np.testing.assert_array_equal(data.validation[5].high, volumes[0, 1])
    assert data.layout == ("CARE's patches of data_label.npz (SCZYX), and pairs in condition_1/, condition_2/ and GT/")


def test_images_and_channels_of_care(tmp_path):
    low, high, _ = write_care(tmp_path, channels=2, conditions=("low",), target="high")
    data = load_data(DataConfig(folder=tmp_path), 1)
    assert about(data.training)[:3] == [
        ("data_label.npz 0 C0", "C0", "as given"),
        ("data_label.npz 0 C1", "C1", "as given"),
        ("data_label.npz 1 C0", "C0", "as given"),
    ]
    np.testing.assert_array_equal(data.training[3].high, high[1, 1])
    assert about(data.validation) == [("a.tif", "", "as given"), ("b.tif", "", "as given")]


def test_a_condition_of_care_can_be_chosen(tmp_path):
    write_care(tmp_path)
    data = load_data(DataConfig(folder=tmp_path, source="condition_2", target="GT"), 1)
    assert about(data.validation) == [("a.tif", "", "as given"), ("b.tif", "", "as given")]


def test_several_sets_of_care_are_as_many_defects(tmp_path):
    write_care(tmp_path / "Drosophila", planes=4)
    write_care(tmp_path / "Retina", conditions=())
    write_care(tmp_path / "Tubulin", conditions=("low",), target="high")
    defects = load_defects(DataConfig(folder=tmp_path))
    assert [(each.name, each.paired, len(each.training), len(each.validation)) for each in defects] == [
        ("Drosophila", True, 20, 16),
        ("Retina", True, 4, 1),
        ("Tubulin", True, 5, 2),
    ]
    (alone,) = load_defects(DataConfig(folder=tmp_path / "Retina"))
    assert (alone.name, len(alone.training)) == ("Retina", 4)


def test_without_targets_to_test_on_the_last_patches_of_care_are_held_out(tmp_path):
    """The isotropic sets and tubulin have images alone there."""
    write_care(tmp_path / "gone", conditions=())
    write_care(tmp_path / "alone", conditions=())
    (tmp_path / "alone" / "test_data").mkdir()
    tifffile.imwrite(tmp_path / "alone" / "test_data" / "input_n_avg_10_all.tif", np.ones((16, 16), np.uint16))
    for name in ("gone", "alone"):
        data = load_data(DataConfig(folder=tmp_path / name, validation=0.4), 1)
        assert [source.name for source in data.validation] == ["data_label.npz 3", "data_label.npz 4"]
        assert data.layout == "CARE's patches of data_label.npz (SCYX)"


@pytest.mark.parametrize(
    ("break_it", "words"),
    [
        (lambda f: [path.unlink() for path in (f / "test_data" / "condition_1").iterdir()], "no image"),
        (lambda f: (f / "test_data" / "GT" / "a.tif").unlink(), "GT. Without a partner: a.tif"),
        (lambda f: (f / "train_data" / "data_label.npz").write_bytes(b"PK"), "damaged or cut short"),
        (lambda f: np.savez(f / "train_data" / "data_label.npz", X=np.ones((4, 1, 8, 8))), "has no Y"),
        (
            lambda f: [shutil.rmtree(f / "test_data" / f"condition_{i}") for i in (1, 2)],
            "targets in GT/, and no folder of inputs",
        ),
    ],
)
def test_faults_of_care_get_a_plain_message(tmp_path, break_it, words):
    write_care(tmp_path)
    break_it(tmp_path)
    with pytest.raises(UserError, match=words):
        load_data(DataConfig(folder=tmp_path), 1)


def test_the_held_out_part_alone(w2s, data_folder, patches):
    np.savez(w2s / "my.npz", X=patches[0], Y=patches[1], axes="SCYX")
    for config in (
        DataConfig(folder=w2s, averages=(1, 4)),
        DataConfig(folder=data_folder, degradation=Degradation()),
        DataConfig(folder=w2s / "my.npz"),
    ):
        whole, part = load_data(config, 2).validation, load_held_out(config, 2)
        assert about(part) == about(whole)
        for one, other in zip(part, whole, strict=True):
            np.testing.assert_array_equal(one.low, other.low)
    (data_folder / "a.tif").write_bytes(b"damaged, but not held out")
    assert len(load_held_out(DataConfig(folder=data_folder, degradation=Degradation()), 2)) == 1


@pytest.mark.parametrize(
    ("break_it", "words"),
    [
        (lambda f: (f / "avg1" / "001_1.png").unlink(), "avg1 and .*sim. Without a partner: 001_1"),
        (lambda f: (f / "avg1" / "001_1.png").rename(f / "avg1" / "cells.png"), "cells.png is not named NNN_C"),
        (lambda f: np.save(f / "sim" / "001_1.npy", np.ones((64, 64))), "is there twice, as PNG and as .npy"),
        (lambda f: iio.imwrite(f / "avg1" / "001_1.png", np.ones((64, 64), np.uint8)), "of one size"),
        (lambda f: [path.unlink() for path in (f / "avg1").iterdir()], "no image"),
    ],
)
def test_faults_of_w2s_get_a_plain_message(w2s, break_it, words):
    break_it(w2s / "data" / "train")
    with pytest.raises(UserError, match=words):
        load_data(DataConfig(folder=w2s), 2)


def test_many_files_without_a_partner_are_not_all_named(tmp_path, cells):
    write_pairs(tmp_path / "low", tmp_path / "high", [f"{i}.tif" for i in range(9)], cells)
    for i in range(7):
        (tmp_path / "low" / f"{i}.tif").unlink()
    with pytest.raises(UserError, match="0.tif, 1.tif, 2.tif, 3.tif, 4.tif and 2 more"):
        load_data(DataConfig(folder=tmp_path), 2)


def test_subfolders_of_other_names_have_to_be_named(tmp_path, cells):
    write_pairs(tmp_path / "deconvolved", tmp_path / "raw", ["a.tif", "b.tif"], cells)
    with pytest.raises(UserError, match="--set data.source=deconvolved --set data.target=raw"):
        find_contents(DataConfig(folder=tmp_path))
    with pytest.raises(ValueError, match="state both, or neither"):
        DataConfig(folder=tmp_path, source="raw")


def test_real_pairs_are_not_degraded(w2s):
    with pytest.raises(UserError, match="real pairs .W2S"):
        load_data(DataConfig(folder=w2s, degradation=Degradation()), 2)


def test_planes_that_are_no_numbers_are_named(tmp_path):
    for name, value in (("a.tif", 1.0), ("b.tif", np.inf)):
        tifffile.imwrite(tmp_path / name, np.full((64, 64), value, np.float32))
    with pytest.raises(UserError, match="b.tif holds pixels that are no finite numbers"):
        load_data(DataConfig(folder=tmp_path, degradation=Degradation()), 2)


def test_a_copy_of_a_raw_field_is_a_fault(raw_w2s):
    shutil.copytree(raw_w2s / "Image001", raw_w2s / "Image001.old")
    (told,) = find_contents(DataConfig(folder=raw_w2s)).faults
    assert told.endswith("Image001.old is not named ImageNNN, of field NNN.")
