"""Hostile and damaged files: refused with a plain message, and nothing that they name is imported or run."""

from __future__ import annotations

import builtins
import encodings.cp437  # noqa: F401  zipfile brings it in by itself
import io
import os
import pickle
import struct
import subprocess
import sys
import zipfile
from collections import OrderedDict
from types import SimpleNamespace

import numpy as np
import pytest

from relumen.errors import UserError
from relumen.prior import checkpoints
from relumen.prior.checkpoints import import_checkpoint, read
from relumen.prior.pickles import RefusedError

from . import layouts
from .layouts import Tensor, dumped, saved, saved_old, written


class Calls:
    """An object whose pickle calls a function."""

    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments

    def __reduce__(self):
        return self.function, self.arguments


@pytest.fixture
def refused(tmp_path):
    """Checks that bytes are refused with these words, and that no file but theirs was made, nor a module imported."""

    def check(data: bytes, words: str) -> None:
        file = written(tmp_path / "file.pkl", data)
        modules = set(sys.modules)
        with pytest.raises(UserError, match=words) as caught:
            import_checkpoint(file)
        assert str(file) in str(caught.value) and "Nothing in it has been run" in str(caught.value)
        assert len(str(caught.value)) < 2000
        assert set(sys.modules) == modules
        assert sorted(tmp_path.rglob("*")) == [file]

    return check


def command(tmp_path) -> str:
    return f"echo hacked > {tmp_path / 'witness'}"


@pytest.mark.parametrize("protocol", range(6))
def test_a_call_of_the_system_is_refused(refused, tmp_path, protocol):
    data = pickle.dumps(Calls(os.system, command(tmp_path)), protocol)
    refused(data, f"'{os.name}.system'|instruction|not a pickle")
    pickle.loads(data)  # what it would have done
    assert (tmp_path / "witness").exists()


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (builtins.eval, "builtins.eval"),
        (builtins.exec, "builtins.exec"),
        (builtins.getattr, "builtins.getattr"),
        (builtins.__import__, "builtins.__import__"),
        (builtins.open, "io.open"),
        (subprocess.Popen, "subprocess.Popen"),
        (np.load, "numpy.load"),
        (np.fromfile, "numpy.fromfile"),
        (pickle.loads, "_pickle.loads"),
    ],
)
def test_names_outside_the_list_are_refused(refused, tmp_path, function, name):
    refused(pickle.dumps(Calls(function, f"open({str(tmp_path / 'witness')!r}, 'w')")), f"it names '{name}'")


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("os", "system"),
        ("builtins", "eval.__call__"),
        ("collections", "OrderedDict.__class__"),
        ("collections.OrderedDict", "__init__"),
        ("torch", "os.system"),
        ("this", "s"),  # importing it prints a poem
    ],
)
def test_dotted_names_reach_nothing(refused, module, name):
    text = [b"\x8c" + bytes([len(each)]) + each.encode() for each in (module, name)]
    refused(b"\x80\x04" + b"".join(text) + b"\x93)R.", f"it names '{module}.{name}'")
    refused(b"\x80\x02c" + f"{module}\n{name}\n".encode() + b")R.", f"it names '{module}.{name}'")


def test_a_call_hidden_in_an_allowed_object_is_refused(refused, tmp_path):
    evil = Calls(os.system, command(tmp_path))
    network = layouts.pytorch_network(layouts.pytorch_state(np.random.default_rng(0)))
    for field in ("_buffers", "_hidden"):
        network.state[field] = OrderedDict(evil=evil)
        refused(dumped({"G_ema": network}), "system'")
    networks = layouts.tensorflow_networks(layouts.tensorflow_variables(np.random.default_rng(0)))
    networks[1].state["static_kwargs"]["evil"] = evil
    refused(dumped(networks), "system'")
    array = np.ndarray((2,), dtype=object)
    array[:] = evil, evil
    refused(dumped({"G_ema": array}), "something else than numbers")


@pytest.mark.parametrize("save", [saved, saved_old])
def test_a_call_inside_the_bytes_of_a_tensor_is_refused(refused, tmp_path, save):
    inner = save({"x": Calls(os.system, command(tmp_path))})
    refused(inner, "system'")
    refused(dumped(Calls(layouts.load_from_bytes, inner)), "system'")
    refused(save(Calls(layouts.load_from_bytes, inner)), "_load_from_bytes'")  # bytes within bytes


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"(ios\nsystem\n.", "instruction INST"),
        (b"(I1\no.", "instruction INT"),
        (b"(]o.", "instruction OBJ"),
        (b"Pid\n.", "instruction PERSID"),
        (b"]Q.", "instruction BINPERSID"),
        (b"\x82\x01.", "instruction EXT1"),
        (b"\x84\x01\0\0\0.", "instruction EXT4"),
        (b"\x97.", "instruction NEXT_BUFFER"),
        (b"\x80\x04ccollections\nOrderedDict\n)}\x92.", "instruction NEWOBJ_EX"),
    ],
)
def test_instructions_that_checkpoints_do_not_need_are_refused(refused, data, words):
    refused(data, words)


def test_a_state_sets_no_attributes(refused, tmp_path):
    state = b"}\x8c\x09__class__\x8c\x01xs"
    refused(b"\x80\x04ccollections\nOrderedDict\n" + state + b"b.", "sets attributes of a Name")
    refused(b"\x80\x04K\x01" + state + b"b.", "sets attributes of a int")
    refused(b"\x80\x04}(]" + state + b"b.", "sets attributes of a list")
    file = written(tmp_path / "a.pkl", b"\x80\x04ccollections\nOrderedDict\n)R" + state + b"b.")
    assert read(file) == {} and type(read(file)) is dict
    with pytest.raises(RefusedError, match="network of another kind"):
        read(written(file, b"\x80\x04cdnnlib.tflib.network\nNetwork\n)\x81]b."))


def test_only_names_are_called(refused):
    refused(b"\x80\x04})R.", "calls a dict")
    refused(b"\x80\x04cnumpy\nndarray\n)R.", "calls numpy.ndarray")
    refused(b"\x80\x04ccollections\nOrderedDict\n]R.", "calls collections.OrderedDict")


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.array([{}, []], object), "something else than numbers"),
        (np.zeros(2, [("a", "f4")]), "something else than numbers"),
        (np.array(["text"]), "something else than numbers"),
        (np.zeros(2, "M8[s]"), "something else than numbers"),
    ],
)
@pytest.mark.parametrize("protocol", [2, 4])
def test_arrays_of_something_else_than_numbers_are_refused(refused, array, words, protocol):
    refused(pickle.dumps(array, protocol), words)


def test_shapes_that_their_bytes_do_not_fill_are_refused(refused):
    array = pickle.dumps(np.zeros((2, 77), np.float32), 4)
    assert array.count(b"K\x02KM") == 1
    refused(array.replace(b"K\x02KM", b"J\xff\xff\xff\x7fKM"), "shape .* with 616 bytes, which do not agree")
    refused(array.replace(b"K\x02KM", b"J\xff\xff\xff\xffKM"), "something else than numbers")
    for shape, strides in (((1 << 40,), (0,)), ((2, 2), (1 << 30, 1)), ((4, 4), (1,)), ((2,), (-1,))):
        call = Calls(layouts._rebuild_tensor, layouts.Storage(np.zeros(4, np.float32)), 0, shape, strides, False, None)
        refused(dumped(call), "do not agree|something else than numbers|damaged")
    call = Calls(layouts._rebuild_tensor, layouts.Storage(np.zeros(4, np.float32)), 3, (2,), (1,), False, None)
    refused(dumped(call), "damaged")


@pytest.mark.parametrize("save", [saved, saved_old])
def test_storages_that_claim_more_than_there_is_are_refused(refused, save):
    tensor = Tensor(np.arange(77))
    tensor.storage.count = 1 << 40
    refused(save(tensor), "no bytes for a tensor of 1099511627776 numbers")
    tensor.storage.count = 78
    refused(save(tensor), "cut short")


def test_a_little_file_does_not_grow(refused):
    refused(b"\x80\x04]r\xff\xff\xff\xff.", "holds a list")  # a place far off costs nothing
    refused(b"\x80\x04" + b"X\xff\xff\xff\x7fabc.", "damaged")
    refused(b"\x80\x04\x8e" + struct.pack("<Q", 1 << 60) + b"abc.", "damaged")
    refused(b"\x80\x04\x8b\xff\xff\xff\x7fabc.", "damaged")
    refused(b"\x80\x04\x8b\0\1\0\0" + bytes(255) + b"\1.", "instruction LONG4")
    text = b"X\x10\x27\0\0" + b"a" * 10_000
    again = b"h\0h\1h\2\x86R"
    data = b"\x80\x04]c_codecs\nencode\nq\0" + text + b"q\1" + b"\x8c\x06latin1q\2" + again * 1000 + b"."
    refused(data, "over and over")
    refused(b"\x80\x04" + b"N" * 2_000_001 + b".", "instructions")


def test_deep_nesting_does_not_overflow_the_stack(refused):
    deep = b"\x80\x04)" + b"\x85" * 100_000
    refused(deep + b".", "holds a tuple")
    refused(b"\x80\x04}" + deep[2:] + b"Ns.", "a tuple is a dictionary's key")
    refused(b"\x80\x04" + b"]" * 100_000 + b"a" * 99_999 + b".", "holds a list")


DEEP = b")" + b"\x85" * 100_000
DOUBLED = b")" + b"r\xff\xff\xff\xffj\xff\xff\xff\xff\x86" * 60
"""A tuple of the one before, twice; of 2 ** 60 to who follows them all."""

NESTED = pytest.mark.parametrize(
    "nested",
    [DEEP, DOUBLED, b"]" + DEEP + b"a", b"]" + DOUBLED + b"a"],
    ids=["deep", "doubled", "deep-in", "doubled-in"],
)


def with_value(value: object, content: bytes) -> bytes:
    """A pickle of a value in which the text "here" is replaced by other instructions."""
    data, text = dumped(value, 2), b"X\4\0\0\0here"
    assert data.count(text) == 1
    return data.replace(text, content)


@NESTED
@pytest.mark.parametrize("option", ["label_size", "nonlinearity", "resample_kernel", "mapping_lrmul", "conv_clamp"])
def test_nested_options_are_neither_shown_nor_compared(refused, nested, option):
    variables = layouts.tensorflow_variables(np.random.default_rng(0))
    networks = layouts.tensorflow_networks(variables)
    networks[2].state["components"]["mapping"].state["static_kwargs"][option] = "here"
    refused(with_value(networks, nested), f"'{option}' is a (tuple|list)")


@NESTED
@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("", "c_dim"),
        ("", "z_dim"),
        ("mapping.fc0", "bias_gain"),
        ("synthesis.b8", "architecture"),
        ("synthesis.b8.conv1", "use_noise"),
        ("synthesis.b8.conv1", "conv_clamp"),
    ],
)
def test_nested_fields_are_neither_shown_nor_compared(refused, nested, path, field):
    network = layouts.pytorch_network(layouts.pytorch_state(np.random.default_rng(0)), more={path: {field: "here"}})
    refused(with_value({"G_ema": network}, nested), f"{field}.* is a (tuple|list)|differ in {field}")


@NESTED
def test_nested_values_in_the_place_of_texts_and_numbers_are_not_shown(refused, nested):
    networks = layouts.tensorflow_networks(layouts.tensorflow_variables(np.random.default_rng(0)))
    networks[2].state["build_func_name"] = "here"
    refused(with_value(networks, nested), "made by a (tuple|list)")
    networks = layouts.tensorflow_networks(layouts.tensorflow_variables(np.random.default_rng(0)))
    networks[2].state["variables"].append(("here", np.zeros(1)))
    refused(with_value(networks, nested), "name .* is no text")
    state = {"style.1.weight": 0.5, "conv1.activate.bias": "here"}
    refused(with_value({"g_ema": state}, nested), "missing, or is not an array")
    keys = b"\x80\x02]q\0."
    assert saved_old([]).endswith(keys)
    refused(saved_old([]).removesuffix(keys) + b"\x80\x02]" + nested + b"a.", "not those that it holds")
    identity = b"(X\7\0\0\0storage" + b"ctorch\nFloatStorage\n" + nested + b"X\3\0\0\0cpuK\1tQ."
    refused(zipped({"a/data.pkl": b"\x80\2" + identity}), "something else than a tensor's numbers")
    identity = identity.replace(nested, b"X\1\0\0\0000").replace(b"K\1tQ", nested + b"tQ")
    refused(zipped({"a/data.pkl": b"\x80\2" + identity, "a/data/0": bytes(4)}), "tensor of an unknown kind")


def test_what_overflows_the_stack_all_the_same_is_refused(refused, monkeypatch):
    monkeypatch.setattr(checkpoints, "_LAYOUTS", (SimpleNamespace(NAME="any", fits=str),))
    refused(b"\x80\4" + DEEP + b".", "nested too deeply")
    monkeypatch.setitem(checkpoints._MAKERS, "dnnlib.EasyDict", str)
    refused(b"\x80\4cdnnlib\nEasyDict\n" + DEEP + b"\x85R.", "recursion")


def test_arrays_have_a_bounded_number_of_axes(refused):
    one, axes = b"(" + b"K\1" * 33 + b"t", "33 axes, and the most that is known is 32"
    array = pickle.dumps(np.zeros((1, 1), np.float32), 4)
    assert array.count(b"K\1K\1\x86") == 1
    refused(array.replace(b"K\1K\1\x86", one), axes)
    for shape, strides in ((one, b")"), (b")", one)):
        call = Calls(layouts._rebuild_tensor, layouts.Storage(np.zeros(1, np.float32)), 0, "here", "there", False, None)
        tensor = dumped(call, 2).replace(b"X\4\0\0\0here", shape).replace(b"X\5\0\0\0there", strides)
        refused(tensor, axes)
    long = b"(" + (b"\x8a\x10" + b"\xff" * 15 + b"\x7f") * 32 + b"t"
    refused(array.replace(b"K\1K\1\x86", long), "do not agree")


def test_what_a_file_says_once_and_uses_a_million_times_is_refused(refused):
    many = b"(" + b"N" * 100_000 + b"tq\1"
    refused(b"\x80\2ctorch._utils\n_rebuild_parameter\nq\0" + many + b"h\0h\1R" * 200_000 + b".", "100000 arguments")
    variables = layouts.tensorflow_variables(np.random.default_rng(0))
    variables |= {f"mapping/Dense{i}/weight": variables["mapping/Dense1/weight"] for i in range(2, 65)}
    refused(dumped(layouts.tensorflow_networks(variables)), "mapping layers is 65, not a whole number from 1 to 64")
    networks = layouts.tensorflow_networks({})
    networks[2].state["variables"] = "here"
    name = b"X" + struct.pack("<I", 200_000) + b"a" * 200_000
    pairs = b"](" + name + b"N\x86q\xff" + b"h\xff" * 200_000 + b"e"
    refused(with_value(networks, pairs), "no text of up to 200 characters")


@pytest.mark.parametrize(("depth", "length"), [(40, 10), (2, 100_000)])
def test_parts_within_parts_have_an_end(refused, depth, length):
    part = layouts.Module("Part")
    for _ in range(depth):
        part = layouts.Module("Part", parts={"a" * length: part})
    refused(dumped({"G_ema": part}), "no text of up to 200 characters")


def test_parts_that_share_their_variables_are_refused(refused):
    parts = {"a": layouts.Module("Part"), "b": layouts.Module("Part")}
    parts["a"].state["_buffers"] = parts["b"].state["_buffers"]
    refused(dumped({"G_ema": layouts.Module("Generator", parts=parts)}), "has what another part has")


def test_networks_that_share_a_state_do_not_copy_it(tmp_path):
    state = b"}(" + b"".join(b"X\5\0\0\0%05dN" % i for i in range(20_000)) + b"uq\1"
    again = b"h\0)\x81h\1b" * 20_000
    data = b"\x80\2(cdnnlib.tflib.network\nNetwork\nq\0" + state + again + b"t."
    networks = read(written(tmp_path / "many.pkl", data))[2:]
    assert len(networks) == 20_000 and all(network.fields is networks[0].fields for network in networks)


def test_numbers_that_could_be_made_to_hash_alike_are_no_keys(refused):
    assert hash(7 + (2**61 - 1)) == hash(7)
    for key in (7 + (2**61 - 1), 0.5):
        refused(pickle.dumps({key: None}, 2), "is a dictionary's key")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x80",
        b"\x89HDF\r\n\x1a\n",
        b"hello, world",
        b"GIF89a",
        b".",
        b"\x80\x04.",
        b"R.",
        b"a.",
        b"t.",
        b"b.",
        b"h\1.",
    ],
)
def test_what_is_no_pickle_is_refused(refused, data):
    refused(data, "not a pickle, or a damaged one")


def test_files_that_are_cut_short_are_refused_wherever(refused):
    networks = layouts.tensorflow_networks(layouts.tensorflow_variables(np.random.default_rng(0)))
    value = layouts.rosinality_tensors(layouts.rosinality_state(np.random.default_rng(0)))
    for data in (dumped(networks), saved(value), saved_old(value)):
        for end in np.linspace(3, len(data) - 1, 12).astype(int):
            refused(data[:end], "damaged|cut short|not a zip")


def zipped(members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"a/data.pkl": b"N.", "../../witness": b"x"}, "leads out"),
        ({"a/data.pkl": b"N.", "/witness": b"x"}, "leads out"),
        ({"../data.pkl": b"N."}, "leads out"),
        ({"a/data.pkl": b"N.", "a\\b": b"x"}, "leads out"),
        ({"a/data.pkl": b"N.", "b/data.pkl": b"N."}, "no data.pkl in its folder"),
        ({"model.weights.h5": b"x"}, "no data.pkl in its folder"),
        ({"a/data.pkl": b"N.", "a/byteorder": b"big"}, "big-endian"),
        ({"a/data.pkl": b"cos\nsystem\n."}, "'os.system'"),
        (
            {"a/data.pkl": b"\x80\x02(X\x07\0\0\0storageccollections\nOrderedDict\nX\1\0\0\x000X\3\0\0\0cpuK\1tQ."},
            "damaged",
        ),
    ],
)
def test_zips_that_torch_does_not_write_are_refused(refused, members, words):
    refused(zipped(members), words)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_zips_that_would_grow_are_refused(refused):
    refused(zipped({"a/data.pkl": b"N.", "a/data/0": bytes(1 << 20)}, zipfile.ZIP_DEFLATED), "is compressed")
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for content in (b"N.", b"I1\n."):
            archive.writestr("a/data.pkl", content)
    refused(stream.getvalue(), "one name twice")
    data = bytearray(zipped({"a/data.pkl": b"N."}))
    central = data.index(b"PK\x01\x02")
    struct.pack_into("<II", data, central + 20, 1 << 30, 1 << 30)
    refused(bytes(data), "claim more bytes")


def test_a_key_leads_to_no_other_member(refused):
    data = saved(Tensor(np.arange(5)))
    refused(data.replace(b"X\x01\0\0\x000", b"X\x01\0\0\x009"), "damaged|not a zip")


def test_plain_values_arrays_and_tensors_are_read_as_they_were(tmp_path):
    values = [None, True, False, 0, 255, -3, 1 << 40, 0.5, "text", b"bytes" * 100, (1,), (1, 2, 3, 4), {"a": {1: 2}}]
    tensor = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    arrays = [tensor.astype(kind) for kind in ("f2", ">f4", "<f8", "i8", "u1", "?")] + [np.asfortranarray(tensor)]
    for protocol in (2, 3, 4, 5):
        found = read(
            written(tmp_path / "a.pkl", pickle.dumps((values, [arrays[0], *arrays], np.float64(2.5)), protocol))
        )
        assert found[0] == values and found[2] == 2.5
        for ours, theirs in zip(found[1], [arrays[0], *arrays], strict=True):
            np.testing.assert_array_equal(ours, theirs)
            assert ours.dtype == theirs.dtype
    for data in (saved([Tensor(tensor)]), saved_old([Tensor(tensor)]), dumped([Tensor(tensor)])):
        np.testing.assert_array_equal(read(written(tmp_path / "a.pt", data))[0], tensor)
