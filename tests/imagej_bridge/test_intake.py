"""What a client may send as an image."""

import io
import re
import struct
import zlib

import numpy as np
import pytest
import tifffile
from asking import RAW, read_tiff, tiff_bytes

OME = '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"{more}>{image}</OME>'


@pytest.mark.parametrize("dtype", ["u1", "<u2", "<i2", "<f4", ">u2", ">f4"])
def test_every_type_of_imagej_arrives_bit_for_bit(served, dtype):
    values = np.random.default_rng(0).normal(1000, 900, (2, 3, 5, 7)).astype(np.dtype(dtype).newbyteorder("="))
    body = tiff_bytes(
        values,
        byteorder=">" if dtype[0] == ">" else "<",
        resolution=(2, 4),
        metadata={"axes": "ZCYX", "unit": "um", "spacing": 0.7, "Info": "of the user\n"},
    )
    id = served.search(body).json()["id"]
    served.ended(id)
    pixels, about = read_tiff(served.client.get(f"/v1/jobs/{id}/result"))
    np.testing.assert_array_equal(pixels, values.repeat(2, -1).repeat(2, -2))
    assert pixels.dtype == values.dtype
    assert (about["channels"], about["slices"], about["unit"], about["spacing"]) == (3, 2, "um", 0.7)


@pytest.mark.parametrize("dtype", [np.float64, np.uint32, bool, np.float16])
def test_other_types_become_single_precision(served, dtype):
    values = np.arange(30).reshape(5, 6).astype(dtype)
    id = served.search(tiff_bytes(values, imagej=False)).json()["id"]
    served.ended(id)
    pixels, _ = read_tiff(served.client.get(f"/v1/jobs/{id}/result"))
    assert pixels.dtype == np.float32
    np.testing.assert_array_equal(pixels[::2, ::2], values.astype(np.float32))


@pytest.mark.parametrize(
    "how", [{"compression": each} for each in ("zlib", "lzw", "packbits", "zstd")] + [{"tile": (16, 16)}]
)
def test_plain_compressions_are_read_tiff(served, how):
    values = np.arange(24 * 40, dtype=np.uint8).reshape(24, 40)
    id = served.search(tiff_bytes(values, imagej=False, **how)).json()["id"]
    served.ended(id)
    np.testing.assert_array_equal(read_tiff(served.client.get(f"/v1/jobs/{id}/result"))[0][::2, ::2], values)


def test_raw_numbers_with_their_shape(served):
    values = np.random.default_rng(0).normal(size=(2, 4, 6)).astype("<f4")
    query = {"prior": "tiny", "factor": 2, "shape": "2,4,6", "axes": "ZYX"}
    accepted = served.client.post("/v1/searches", params=query, content=values.tobytes(), headers=RAW)
    assert accepted.status_code == 202, accepted.text
    served.ended(accepted.json()["id"])
    pixels, about = read_tiff(served.client.get(f"/v1/jobs/{accepted.json()['id']}/result"))
    np.testing.assert_array_equal(pixels[:, ::2, ::2], values)
    assert about["slices"] == 2


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "no body"),
        (b"no image at all", "can't be read"),
        (tiff_bytes()[:60], "can't be read"),
        (tiff_bytes(np.zeros((64, 64), np.uint8))[:2000], "can't be read|damaged"),
        (tiff_bytes(np.zeros((8, 8), np.complex64), imagej=False), "Pixels must be"),
        (tiff_bytes(np.zeros((16, 16, 3), np.uint8), imagej=False, compression="jpeg"), "compression is 7"),
    ],
)
def test_what_is_no_image_is_refused_in_plain_words(served, body, words):
    answer = served.search(body)
    assert answer.status_code == 400
    assert re.search(words, answer.json()["detail"])
    assert str(served.store.incoming.parent) not in answer.json()["detail"]
    assert list(served.store.incoming.iterdir()) == []


@pytest.mark.parametrize(
    ("query", "length", "words"),
    [
        ({}, 64, "shape=3,8,8"),
        ({"shape": "4,many"}, 64, "shape=3,8,8"),
        ({"shape": "16"}, 64, "shape=3,8,8"),
        ({"shape": "4,-4"}, 64, "shape=3,8,8"),
        ({"shape": "4,4"}, 60, "64 bytes. Received: 60"),
        ({"shape": "4,4"}, 68, "64 bytes. Received: 68"),
        ({"shape": "4,4", "axes": "CYX"}, 64, "same length"),
        ({"shape": "4,4", "axes": "XY"}, 64, "Axes must be"),
    ],
)
def test_wrong_raw_numbers(served, query, length, words):
    query = {"prior": "tiny", "factor": 2, **query}
    answer = served.client.post("/v1/searches", params=query, content=bytes(length), headers=RAW)
    assert answer.status_code == 400
    assert words in answer.json()["detail"]


@pytest.mark.parametrize("named", ["application/json", "text/plain", "multipart/form-data", "", None])
def test_other_media_types(served, named):
    headers = {} if named is None else {"Content-Type": named}
    answer = served.client.post("/v1/searches?prior=tiny&factor=2", content=tiff_bytes(), headers=headers)
    assert answer.status_code == 415
    assert "image/tiff" in answer.json()["detail"]


def test_limits_are_told_with_what_to_do(serving):
    served = serving(max_pixels=100, max_bytes=5000)
    cases = [
        (served.search(tiff_bytes(np.zeros((11, 10), np.uint8))), "110 pixels.*takes 100.*crop"),
        (served.search(tiff_bytes(np.zeros((2, 8, 8), np.uint8))), "128 pixels"),
        (served.search(tiff_bytes(np.zeros((200, 400), np.uint8), imagej=False, compression="zlib")), "80,000 pixels"),
        (served.search(bytes(5001)), "5,000 bytes.*crop"),
        (served.search(bytes(5001), {"Transfer-Encoding": "chunked"}), "5,000 bytes"),
        (
            served.client.post("/v1/searches?prior=tiny&factor=2&shape=100000,100000", content=bytes(400), headers=RAW),
            "10,000,000,000 pixels",
        ),
    ]
    for answer, words in cases:
        assert (answer.status_code, list(answer.json())) == (413, ["detail"])
        assert re.search(words, answer.json()["detail"])
    assert list(served.store.incoming.iterdir()) == []
    assert served.search().status_code == 202
    refused = 'relumen_submissions_refused_total{code="413",kind="search"} 6.0'
    assert refused in served.client.get("/metrics").text


def bomb(width, height, tile=None):
    """A small TIFF that says that it is large."""
    data = zlib.compress(bytes(1000))
    entries = [(256, 4, width), (257, 4, height), (258, 3, 8), (259, 3, 8), (262, 3, 1)]
    if tile:
        entries += [(322, 4, tile), (323, 4, tile), (324, 4, 8), (325, 4, len(data))]
    else:
        entries += [(273, 4, 8), (278, 4, height), (279, 4, len(data))]
    directory = struct.pack("<H", len(entries))
    directory += b"".join(struct.pack("<HHI", tag, kind, 1) + struct.pack("<I", value) for tag, kind, value in entries)
    return b"II*\0" + struct.pack("<I", 8 + len(data)) + data + directory + bytes(4)


@pytest.mark.parametrize("size", [(1 << 20, 1 << 20), (8, 8, 1 << 20)])
def test_a_small_file_that_would_be_large_is_refused_before_it_is_decoded(served, size):
    answer = served.search(bomb(*size))
    assert answer.status_code == 413
    assert "pixels" in answer.json()["detail"]


def test_no_other_file_is_opened(served):
    secret = tiff_bytes(np.full((8, 8), 77, np.uint8), imagej=False)
    (served.store.incoming.parent / "secret.tif").write_bytes(secret)
    parts = "".join(
        f'<TiffData IFD="0" FirstZ="{z}" PlaneCount="1"><UUID FileName="{name}">urn:uuid:{z}</UUID></TiffData>'
        for z, name in enumerate(["own.tif", "../secret.tif"])
    )
    image = (
        '<Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint8" SizeX="8" SizeY="8" SizeC="1" '
        f'SizeZ="2" SizeT="1"><Channel ID="Channel:0:0" SamplesPerPixel="1"/>{parts}</Pixels></Image>'
    )
    xml = OME.format(more=' UUID="urn:uuid:0"', image=image)
    body = tiff_bytes(np.zeros((8, 8), np.uint8), imagej=False, description=xml, metadata=None)
    answer = served.search(body)
    assert answer.status_code == 400
    assert "several files" in answer.json()["detail"]


def test_an_ome_tiff_of_one_file_is_read_tiff(served):
    values = np.arange(2 * 64, dtype=np.uint16).reshape(2, 8, 8)
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, values, ome=True, metadata={"axes": "CYX", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5})
    id = served.search(buffer.getvalue()).json()["id"]
    served.ended(id)
    pixels, about = read_tiff(served.client.get(f"/v1/jobs/{id}/result"))
    np.testing.assert_array_equal(pixels[:, ::2, ::2], values)
    assert about["channels"] == 2
