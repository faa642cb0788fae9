import pytest

from relumen.imagej_bridge.server.text import prefers_text, to_text


def test_lines_of_key_and_value():
    document = {
        "id": "ab",
        "flow": True,
        "residual": None,
        "progress": 1 / 3,
        "size": 128,
        "terms": {"density": 0.4, "more": {"a": 1}},
        "none": {},
    }
    assert to_text(document) == (
        "id=ab\nflow=true\nresidual=\nprogress=0.3333333333333333\nsize=128\nterms.density=0.4\nterms.more.a=1\n"
    )


@pytest.mark.parametrize("text", ["a\nb", "a\\nb", "a\r\nb", "\\", "a=b", "a\rb", "\n", ""])
def test_a_value_is_one_line_and_can_be_read_back(text):
    (line,) = to_text({"key": text}).splitlines()
    key, _, value = line.partition("=")
    back = value.replace("\\\\", "\0").replace("\\n", "\n").replace("\0", "\\")
    assert (key, back) == ("key", text.replace("\r\n", "\n").replace("\r", "\n"))


def test_an_empty_line_stands_between_entries():
    assert to_text([{"name": "a"}, {"name": "b", "size": 2}]) == "name=a\n\nname=b\nsize=2\n"
    assert to_text([]) == ""


@pytest.mark.parametrize(
    ("accept", "text"),
    [
        ("", False),
        ("*/*", False),
        ("text/plain", True),
        ("text/*", True),
        ("TEXT/PLAIN; charset=utf-8", True),
        ("image/tiff, text/plain;q=0.5", True),
        ("application/json, text/plain", False),
        ("application/json;q=0.5, text/plain;q=0.6", True),
        ("text/plain;q=0.5, */*", False),
        ("text/plain;q=0", False),
        ("text/plain;q=nonsense", False),
        ("text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2", False),  # Java's own
        (",;,=", False),
    ],
)
def test_who_prefers_text(accept, text):
    assert prefers_text(accept) is text
