"""ImageJ's commands in a real ImageJ without windows: macro, command, HTTP, result."""

import threading
import time

import numpy as np
import pytest

from relumen.errors import CheckFailedError
from relumen.imagej_bridge.convert import from_imageplus, to_imageplus
from relumen.images import Image, PixelSize

from .stand_in import FINISHED, JOB, StandIn, document, package_zip, step, tiff

pytestmark = pytest.mark.jvm
COMMAND = "RLS Super-Resolution..."


@pytest.fixture
def server(jvm_properties):
    stand_in = StandIn(polls=[step(1), FINISHED]).start()
    yield stand_in
    stand_in.stop()


@pytest.fixture
def jvm_properties(imagej):
    """Sets Java's system properties and ImageJ's preferences for one test."""
    import jpype

    system, preferences = jpype.JClass("java.lang.System"), jpype.JClass("ij.Prefs")
    properties, remembered = [], []

    class Setting:
        def property(self, name, value):
            properties.append(name)
            system.setProperty(name, str(value))

        def remember(self, name, value):
            remembered.append(name)
            preferences.set(name, value)

        def recall(self, name):
            remembered.append(name)
            return str(preferences.get(name, ""))

    yield Setting()
    for name in properties:
        system.clearProperty(name)
    for name in remembered:
        preferences.set(name, jpype.JObject(None, jpype.JClass("java.lang.String")))


@pytest.fixture
def cells_image(cells):
    pixels = np.stack([cells[300:312, 300:316], cells[400:412, 300:316]]).astype(np.uint16) * 97
    return Image(pixels, "CYX", PixelSize(0.5, 0.25, unit="um"))


@pytest.fixture
def run(imagej, server):
    """Runs a command in a macro on an image; gives the image that is the current one then."""

    def run(options, image=None, command=COMMAND, title="cells.tif"):
        line = f'run("{command}", "{options} server={server.address}"); print("it went" + " on");'
        imp = None if image is None else image if not isinstance(image, Image) else to_imageplus(image, title)
        imagej.run_macro(line, image=imp)
        assert imagej.printed == "it went on"
        return imagej.current_image()

    return run


@pytest.fixture
def fails(imagej, run):
    """Runs a command that must fail with these words, and stop its macro."""

    def fails(words, options, image=None, **more):
        with pytest.raises(CheckFailedError, match=f"(?s){words}"):
            run(options, image, **more)
        assert "it went on" not in imagej.printed
        assert "Exception" not in imagej.printed

    return fails


def test_a_macro_sends_the_image_and_gets_the_result(run, server, cells_image):
    server.polls = [document(state="waiting", place=2), step(1), step(200), FINISHED]
    result = run(
        "prior=prior-golgi factor=4 iterations=50 lambda_w=1e-3 lambda_c=0 blur=1.5 reduction=area solutions=2 seed=7 "
        "channels=[DNA=1 tubulin=none] intensity=[0:100 type] method=rls preview",
        cells_image,
    )
    assert server.submitted.path == "/v1/searches"
    assert server.submitted.headers["content-type"] == "image/tiff"
    assert server.submitted.query == {
        "title": "cells.tif",
        "prior": "prior-golgi",
        "factor": "4",
        "iterations": "50",
        "lambda_w": "1e-3",
        "lambda_c": "0",
        "blur": "1.5",
        "reduction": "area",
        "channels": "DNA=1 tubulin=none",
        "intensity": "0:100 type",
        "solutions": "2",
        "seed": "7",
        "method": "rls",
    }
    np.testing.assert_array_equal(server.submitted.image.pixels, cells_image.pixels)
    assert str(result.getTitle()) == "cells_rls"
    found = from_imageplus(result)
    assert (found.axes, found.pixels.shape) == ("ZCYX", (4, 2, 48, 64))
    assert found.pixel_size == PixelSize(0.125, 0.0625, found.pixel_size.z)
    assert found.metadata["Info"] == "Synthesised by relumen, seed=7"
    assert found.metadata["Labels"][::2] == ["solution 1", "solution 2", "mean", "standard deviation"]
    assert found.metadata["mode"] == "composite"
    np.testing.assert_array_equal(found.pixels[2, :, ::4, ::4], cells_image.pixels)
    assert not [path for path in server.paths if path.endswith("preview")]  # nobody could see it


def test_what_a_macro_leaves_out_has_its_default_whatever_was_said_last(run, server, cells_image, jvm_properties):
    jvm_properties.remember("relumen.rls.factor", "2")
    jvm_properties.remember("relumen.rls.prior", "prior-golgi")
    run("seed=3.0", cells_image)
    assert server.submitted.query == {
        "title": "cells.tif",
        "prior": "prior-cells",
        "factor": "16",
        "iterations": "200",
        "lambda_w": "5e-4",
        "lambda_c": "3e-4",
        "blur": "0",
        "reduction": "bicubic",
        "intensity": "auto",
        "solutions": "1",
        "seed": "3",
    }


@pytest.mark.parametrize("more", [{}, {"iterations": "50", "lambda_w": "0"}])
def test_a_method_has_its_own_steps_and_weights(run, server, cells_image, more):
    run(" ".join(f"{key}={value}" for key, value in {"method": "pulse", **more}.items()), cells_image)
    assert server.submitted.query["method"] == "pulse"
    sent = {key: server.submitted.query.get(key) for key in ("iterations", "lambda_w", "lambda_c")}
    assert sent == dict.fromkeys(sent) | more


def test_the_server_that_was_used_last_is_used_where_a_macro_names_none(imagej, server, cells_image, jvm_properties):
    jvm_properties.remember("relumen.server", server.address)
    imagej.run_macro(f'run("{COMMAND}", "factor=2")', image=to_imageplus(cells_image, "cells.tif"))
    assert server.submitted.query["factor"] == "2"


def test_values_may_be_a_macros_variables(imagej, server, cells_image):
    macro = f'n = 8; name = "prior-golgi"; run("{COMMAND}", "factor=&n prior=&name server={server.address}");'
    imagej.run_macro(macro, image=to_imageplus(cells_image, "cells.tif"))
    assert (server.submitted.query["factor"], server.submitted.query["prior"]) == ("8", "prior-golgi")


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "float32"])
@pytest.mark.parametrize(("axes", "shape"), [("YX", (5, 7)), ("TZCYX", (2, 4, 3, 5, 7))])
def test_every_plane_arrives_as_it_is(run, server, axes, shape, dtype):
    pixels = np.random.default_rng(0).integers(0, 255, shape).astype(dtype) - (100 if dtype == "int16" else 0)
    image = Image(pixels.astype(dtype), axes, PixelSize(0.5, 0.25, 2.0 if "Z" in axes else None))
    result = run("factor=2", image)
    arrived = server.submitted.image
    sent = "float32" if dtype == "int16" else dtype
    assert (arrived.axes, arrived.pixel_size, arrived.pixels.dtype.newbyteorder("=")) == (axes, image.pixel_size, sent)
    np.testing.assert_array_equal(arrived.pixels, image.pixels)
    assert from_imageplus(result).axes == axes


def test_colours_arrive_as_channels(imagej, run, server):
    imagej.run_macro('newImage("colour", "RGB black", 4, 3, 2); setPixel(1, 2, 0x102030);')
    run("factor=2", imagej.current_image())
    arrived = server.submitted.image
    assert (arrived.axes, arrived.pixels[0, :, 2, 1].tolist()) == ("ZCYX", [16, 32, 48])


def test_a_lookup_table_changes_no_value(imagej, run, server, cells):
    imp = to_imageplus(Image(cells[300:306, 300:308], "YX"), "green.tif")
    imagej.run_macro('run("Green");', image=imp)
    run("factor=2", imp)
    np.testing.assert_array_equal(server.submitted.image.pixels, cells[300:306, 300:308])


def test_of_a_selection_all_planes_within_its_bounds_are_sent(imagej, run, server, cells_image):
    stack = Image(np.stack([cells_image.pixels, cells_image.pixels // 2]), "TCYX", cells_image.pixel_size)
    imp = to_imageplus(stack, "cells.tif")
    imagej.run_macro("makeOval(3, 2, 6, 5); run('Add Selection...');", image=imp)
    result = run("factor=2", imp)
    arrived = server.submitted.image
    np.testing.assert_array_equal(arrived.pixels, stack.pixels[:, :, 2:7, 3:9])
    assert arrived.pixel_size == stack.pixel_size
    assert (int(result.getWidth()), int(result.getHeight())) == (12, 10)
    assert imp.getRoi() is not None  # the input is left as it was
    np.testing.assert_array_equal(from_imageplus(imp).pixels, stack.pixels)


@pytest.mark.parametrize(
    ("title", "result"),
    [
        ("my cells.ome.tif", "my cells_rls"),
        ("cells v1.2", "cells v1.2_rls"),
        ("Zellen µ %20 50%.TIFF", "Zellen µ %20 50%_rls"),
    ],
)
def test_a_result_is_called_after_its_input(run, server, cells_image, title, result):
    assert str(run("factor=2", cells_image, title=title).getTitle()) == result
    assert server.submitted.query["title"] == title


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("prior=prior-cats", 'There is no prior named "prior-cats". There are: prior-cells, prior-golgi'),
        ("reduction=mean", "There is no reduction.*bicubic, area"),
        ("factor=two", 'factor: "two" is no number'),
        ("factr=2", 'There is no option "factr". There are: prior, factor, '),
    ],
)
def test_wrong_options_are_told_before_anything_is_sent(fails, server, cells_image, options, words):
    fails(words, options, cells_image)
    assert not [path for path in server.paths if path.startswith("POST")]


def test_a_refusal_is_told_in_the_servers_words(fails, server, cells_image):
    server.refusals = [(400, "factor: 5 does not divide 128\nseed: Input should be at least 0 (received '-1')")]
    fails("factor: 5 does not divide 128\nseed: Input should be at least 0", "factor=5 seed=-1", cells_image)


def test_a_server_that_hangs_up_on_a_large_image_is_told(fails, server):
    server.hangs_up = True
    large = Image(np.zeros((4000, 4000), np.uint8), "YX")
    fails(
        r"does not answer: it broke off while the image was sent \(15 MiB\); it takes none so large, or it was stopped",
        "factor=2",
        large,
    )


def test_a_selection_beside_the_image_is_told(imagej, fails, cells_image):
    imp = to_imageplus(cells_image, "cells.tif")
    imagej.run_macro("makeRectangle(30, 30, 6, 5);", image=imp)
    fails("The selection lies outside", "factor=2", imp)


def test_without_an_image_nothing_is_asked(imagej, fails, server):
    imagej.run_macro('close("*");')
    fails("No image is open", "factor=2")
    assert server.paths == []


@pytest.mark.parametrize(
    ("end", "words"),
    [
        (document(state="failed", reason="The GPU has no memory left.\nAsk for fewer solutions."), "no memory left"),
        (document(state="cancelled"), "The job is cancelled on the server"),
        (document(state="expired"), "The job is expired on the server"),
    ],
)
def test_a_job_that_ends_without_a_result_says_why(fails, server, cells_image, end, words):
    server.polls = [step(1), end]
    fails(words, "factor=2", cells_image)


def test_a_result_that_is_no_image_is_told(fails, server, cells_image):
    server.result = lambda request: b"II*\0 not a TIFF"
    fails("ImageJ can't read the result", "factor=2", cells_image)


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("http://127.0.0.1:9", "127.0.0.1:9 does not answer: nothing listens there.*relumen serve.*relumen Server"),
        ("127.0.0.1:8765", "A server's address is such as http://127.0.0.1:8765. Received: 127.0.0.1:8765"),
        ("http://no.such.machine.invalid:80", "does not answer: there is no machine of this name"),
        ("http://127.0.0.1:8765/?a=b", "A server's address is such as"),
    ],
)
def test_a_wrong_address_is_told(imagej, cells_image, address, words):
    with pytest.raises(CheckFailedError, match=f"(?s){words}"):
        imagej.run_macro(
            f'run("{COMMAND}", "server={address}"); print("it went" + " on");', image=to_imageplus(cells_image, "x")
        )
    assert "it went on" not in imagej.printed


def test_another_server_is_told(imagej, fails, server, cells_image):
    with pytest.raises(CheckFailedError, match="answered 404, which says no more. Is it a relumen server"):
        line = f'run("{COMMAND}", "server={server.address}/elsewhere");'
        imagej.run_macro(line, image=to_imageplus(cells_image, "x"))


def test_the_token_is_sent_and_no_macro_may_hold_it(imagej, run, fails, server, cells_image, jvm_properties):
    server.token = "s3cret"
    fails("asks for its token. It is missing or wrong.*relumen Server.*RELUMEN_TOKEN", "factor=2", cells_image)
    jvm_properties.remember("relumen.token", "s3cret")
    jvm_properties.remember("relumen.token_for", server.address)
    run("factor=2", cells_image)
    assert {each.headers["authorization"] for each in server.received[-4:]} == {"Bearer s3cret"}
    with pytest.raises(CheckFailedError, match="A token doesn't belong into a macro"):
        imagej.run_macro('run("relumen Server...", "token=s3cret");')


def test_the_token_is_for_its_own_server_whatever_a_macro_says(run, server, cells_image, jvm_properties):
    jvm_properties.remember("relumen.token", "s3cret")
    jvm_properties.remember("relumen.token_for", "http://gpu-machine:8765")
    run("factor=2", cells_image)
    assert not [each for each in server.received if "authorization" in each.headers]


LOCAL, FAR, STRANGE = "http://127.0.0.1:8765", "http://gpu-machine:8765", "http://stranger:8765"


@pytest.mark.parametrize(
    ("variables", "confirmed", "goes_to"),
    [
        ({}, "", []),
        ({}, FAR, []),
        ({"RELUMEN_TOKEN": "s3cret"}, "", [LOCAL]),
        ({"RELUMEN_TOKEN": "s3cret"}, FAR, [LOCAL, FAR]),
        ({"RELUMEN_TOKEN": "s3cret", "RELUMEN_SERVER": f"{FAR}/"}, "", [FAR]),
        ({"RELUMEN_SERVER": FAR}, "", []),
    ],
)
def test_the_environments_token_goes_only_where_the_user_said(jvm_properties, variables, confirmed, goes_to):
    import jpype

    jvm_properties.remember("relumen.token_for", confirmed)
    token = jpype.JClass("relumen.Settings").class_.getDeclaredMethod(
        "token", jpype.JClass("java.lang.String").class_, jpype.JClass("java.util.Map").class_
    )
    token.setAccessible(True)  # the process's own environment is read once, when Java starts
    environment = jpype.JClass("java.util.HashMap")(variables)
    sent = {each: str(token.invoke(None, each, environment)) for each in (LOCAL, FAR, STRANGE)}
    assert sent == {each: "s3cret" if each in goes_to else "" for each in sent}


def test_a_token_that_was_typed_for_one_server_does_not_go_to_the_next_that_is_confirmed(jvm_properties):
    import jpype

    jvm_properties.remember("relumen.token", "s3cret")
    jvm_properties.remember("relumen.token_for", LOCAL)
    confirm = jpype.JClass("relumen.Settings").class_.getDeclaredMethod(
        "confirm", jpype.JClass("java.lang.String").class_
    )
    confirm.setAccessible(True)
    confirm.invoke(None, f"{LOCAL}/")
    assert jvm_properties.recall("relumen.token") == "s3cret"
    confirm.invoke(None, FAR)
    assert jvm_properties.recall("relumen.token") == "" and jvm_properties.recall("relumen.token_for") == FAR


def test_a_full_server_is_asked_again(run, server, cells_image):
    server.refusals = [(429, "Too many jobs wait."), (503, "The server is about to stop.")]
    run("factor=2", cells_image)
    assert server.paths.count("POST /v1/searches") == 3


def test_a_server_that_stays_full_is_told(fails, server, cells_image, jvm_properties):
    jvm_properties.property("relumen.busy_ms", 2400)  # it asks after 0.5 s, and 1 s later, and would wait 2 s then
    server.refusals = [(429, "64 jobs wait.")] * 9
    fails(r"64 jobs wait. It was asked again for \d s. Try later", "factor=2", cells_image)
    assert server.paths.count("POST /v1/searches") in (2, 3)  # a slow machine is at the end of its patience sooner


def test_a_server_that_is_gone_for_a_while_is_waited_for(run, server, cells_image):
    gone = threading.Event()

    def go() -> None:
        if not gone.is_set():
            gone.set()
            threading.Thread(target=away).start()

    def away() -> None:
        server.stop()
        time.sleep(0.6)  # two polls find nobody
        server.polls = [FINISHED]
        server.start()

    server.polls, server.each_poll = [step(1)], go
    run("factor=2", cells_image)
    assert gone.is_set() and server.paths.count("POST /v1/searches") == 1


def test_a_server_that_is_gone_for_good_is_told_with_the_job(fails, server, cells_image, jvm_properties):
    jvm_properties.property("relumen.gone_ms", 500)
    server.polls, server.each_poll = [step(1)], lambda: threading.Thread(target=server.stop).start()
    fails(f"nothing listens there.*keeps job {JOB}.*Fetch relumen Result.*job {JOB}", "factor=2", cells_image)


def test_a_server_that_starts_is_waited_for(run, server, cells_image, jvm_properties, monkeypatch):
    jvm_properties.property("relumen.gone_ms", 100)
    route, starting = server._route, [503] * 3
    busy = (503, "text/plain", b"The server is starting.")
    monkeypatch.setattr(
        server,
        "_route",
        lambda request: busy if "/jobs/" in request.path and starting and starting.pop() else route(request),
    )
    run("factor=2", cells_image)
    assert not starting


def test_a_result_can_be_fetched_later(run, fails, server, cells_image):
    run("factor=2", cells_image)
    server.polls = [step(1), FINISHED]
    result = run(f"job={JOB}", command="Fetch relumen Result...")
    assert str(result.getTitle()) == "cells_rls"
    assert from_imageplus(result).pixels.shape == (2, 24, 32)
    fails("Say which job", "job=[]", command="Fetch relumen Result...")


def test_esc_cancels_on_the_server_too_and_ends_the_macro(imagej, fails, server, cells_image):
    import jpype

    polled = threading.Event()
    server.polls, server.each_poll = [step(1)], polled.set

    def press() -> None:
        polled.wait(10)
        jpype.JClass("ij.IJ").setKeyDown(jpype.JClass("java.awt.event.KeyEvent").VK_ESCAPE)

    thread = threading.Thread(target=press)
    thread.start()
    fails("relumen: cancelled", "factor=2", cells_image)
    thread.join()
    assert server.cancelled.is_set() and server.paths[-1] == f"DELETE /v1/jobs/{JOB}"


def test_esc_ends_the_wait_for_a_full_server(imagej, fails, server, cells_image):
    import jpype

    server.refusals = [(429, "64 jobs wait.")] * 99
    sent = threading.Thread(target=lambda: _press_after(lambda: "POST /v1/searches" in server.paths, jpype))
    sent.start()
    fails("relumen: cancelled", "factor=2", cells_image)
    sent.join()


def test_a_server_in_this_process_needs_no_address(imagej, server, cells_image):
    import jpype

    transports, reply = jpype.JClass("relumen.Transports"), jpype.JClass("relumen.Transport$Reply")
    asked = []

    @jpype.JImplements("relumen.Transport")
    class InProcess:
        @jpype.JOverride
        def send(self, method, target, body):
            import urllib.request

            asked.append(f"{method} {target}".partition("?")[0])
            content = None if body is None else bytes(body)
            headers = {"Content-Type": "image/tiff", "Accept": "text/plain"}
            url = server.address + str(target)
            request = urllib.request.Request(url, content, headers, method=str(method))
            with urllib.request.urlopen(request) as answer:
                return reply(answer.status, answer.read())

        @jpype.JOverride
        def describe(self):
            return "relumen in this process"

    transports.register(InProcess())
    try:
        imagej.run_macro(f'run("{COMMAND}", "factor=2 server=x");', image=to_imageplus(cells_image, "cells.tif"))
        assert asked[:2] == ["GET /v1/priors", "POST /v1/searches"]
        assert from_imageplus(imagej.current_image()).pixels.shape == (2, 24, 32)
        server.stop()
        with pytest.raises(CheckFailedError, match="relumen in this process failed inside; what it wrote says more"):
            imagej.run_macro(f'run("{COMMAND}", "factor=2");', image=to_imageplus(cells_image, "cells.tif"))
    finally:
        transports.register(None)


def test_a_package_restores_from_the_menu(run, fails, server, cells_image):
    server.packages = {"esrgan-widefield": b"", "cascade-phase-2x": b""}
    result = run("package=cascade-phase-2x tile=64", cells_image, command="Restore with relumen package...")
    assert server.submitted.path == "/v1/restorations"
    assert server.submitted.query == {"package": "cascade-phase-2x", "tile": "64", "title": "cells.tif"}
    assert str(result.getTitle()) == "cells_restored"
    fails("There is no package named", "package=none", cells_image, command="Restore with relumen package...")
    server.packages = {}
    fails("has no package", "", cells_image, command="Restore with relumen package...")


def test_the_warnings_of_a_restoration_are_logged(imagej, server, cells_image):
    server.packages = {"esrgan-widefield": b""}
    info = "warning: of the microscope\nrestored: with esrgan-widefield (2x)\nwarning: pixels of 0.5 um"
    server.result = lambda request: tiff(Image(request.image.pixels, "CYX", None, {"Info": info}))
    line = f'run("Restore with relumen package...", "package=esrgan-widefield server={server.address}");'
    imagej.run_macro(line, image=to_imageplus(cells_image, "cells.tif"))
    assert imagej.printed == "relumen: cells_restored: warning: pixels of 0.5 um"
    assert imagej.current_image().getInfoProperty() == info


@pytest.fixture
def fiji(tmp_path, imagej):
    """A folder that ImageJ takes for its own."""
    import jpype

    folder = jpype.JClass("ij.Prefs").class_.getDeclaredField("ImageJDir")
    folder.setAccessible(True)
    before = folder.get(None)
    (tmp_path / "plugins").mkdir()
    folder.set(None, jpype.JString(str(tmp_path)))
    yield tmp_path
    folder.set(None, before)


def test_packages_are_installed_where_deepimagej_looks(imagej, run, fails, server, fiji):
    server.packages = {"cells": package_zip(rdf__yaml="one", notes__md="x"), "golgi": b"", "more": b""}

    def install(options):
        macro = f'run("Install relumen Packages...", "{options} server={server.address}");'
        imagej.run_macro(macro)

    install("cells")
    package = fiji / "models" / "cells"
    assert (package / "rdf.yaml").read_text() == "one"
    server.packages["cells"] = package_zip(**{"cells/rdf__yaml": "two"})
    install("cells")
    assert [path.name for path in package.iterdir()] == ["rdf.yaml"]
    assert (package / "rdf.yaml").read_text() == "two"
    assert sorted(path.name for path in (fiji / "models").iterdir()) == ["cells"]
    server.packages["My Cells"] = package_zip(rdf__yaml="three")
    install("my_cells")
    assert (fiji / "models" / "My Cells" / "rdf.yaml").read_text() == "three"
    fails("No package was chosen", "", command="Install relumen Packages...")
    fails('There is no option "cats"', "cats", command="Install relumen Packages...")


@pytest.mark.parametrize(
    ("name", "files", "words"),
    [
        ("cells", {"rdf__yaml": "new", "../../plugins/evil__jar": "x"}, "outside of its folder"),
        ("cells", {"rdf__yaml": "new", "/absolute__txt": "x"}, "outside of its folder"),
        ("cells", {"readme__md": "new"}, "is no package: it has no rdf.yaml"),
        ("..", {"rdf__yaml": "new"}, "can't be named"),
    ],
)
def test_a_package_is_installed_whole_or_not_at_all(fails, server, fiji, name, files, words):
    (fiji / "models" / "cells").mkdir(parents=True)
    (fiji / "models" / "cells" / "rdf.yaml").write_text("old")
    server.packages = {name: package_zip(**files)}
    fails(words, name, command="Install relumen Packages...")
    assert sorted(path.relative_to(fiji).as_posix() for path in fiji.rglob("*")) == [
        "models",
        "models/cells",
        "models/cells/rdf.yaml",
        "plugins",
    ]
    assert (fiji / "models" / "cells" / "rdf.yaml").read_text() == "old"


def test_imagej_without_a_folder_installs_nothing(imagej, fails, server, fiji):
    (fiji / "plugins").rmdir()
    server.packages = {"cells": package_zip(rdf__yaml="one")}
    fails("doesn't know its own folder", "cells", command="Install relumen Packages...")


def test_the_servers_address_is_remembered(imagej, server, jvm_properties):
    imagej.run_macro(f'run("relumen Server...", "address={server.address}/");')
    assert jvm_properties.recall("relumen.server") == f"{server.address}/"


def _press_after(ready, jpype):
    deadline = time.monotonic() + 10
    while not ready() and time.monotonic() < deadline:
        time.sleep(0.01)
    jpype.JClass("ij.IJ").setKeyDown(jpype.JClass("java.awt.event.KeyEvent").VK_ESCAPE)
