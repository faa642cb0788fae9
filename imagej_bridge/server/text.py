"""The server's answers as lines of key=value, for clients without a reader of JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

JSON = "application/json"
TEXT = "text/plain"


def to_text(document: Mapping[str, object] | Sequence[Mapping[str, object]]) -> str:
    r"""Lines of key=value.

    A mapping within it gives dotted keys, None is empty, and in a value a line break is ``\n`` and a backslash ``\\``.
    An empty line stands between the entries of a list.

    >>> print(to_text({"id": "a", "terms": {"density": 0.4}, "residual": None, "flow": True}), end="")
    id=a
    terms.density=0.4
    residual=
    flow=true
    """
    if isinstance(document, Mapping):
        return "".join(f"{key}={value}\n" for key, value in _flat(document, ""))
    return "\n".join(map(to_text, document))


def _flat(document: Mapping[str, object], prefix: str) -> Iterator[tuple[str, str]]:
    for key, value in document.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", _one_line(value)


def _one_line(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return repr(value)
    text = str(value).replace("\\", "\\\\")
    return text.replace("\r\n", "\\n").replace("\r", "\\n").replace("\n", "\\n")


def prefers_text(accept: str) -> bool:
    """Whether an Accept header ranks text/plain above JSON.

    >>> prefers_text("text/plain"), prefers_text("image/tiff, text/plain"), prefers_text("*/*"), prefers_text("")
    (True, True, False, False)
    """
    ranges = dict(map(_range, accept.split(",")))
    return _quality(TEXT, ranges) > _quality(JSON, ranges)


def _range(part: str) -> tuple[str, float]:
    name, *parameters = (each.strip().lower() for each in part.split(";"))
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                return name, float(parameter[2:])
            except ValueError:
                return name, 0.0
    return name, 1.0


def _quality(media_type: str, ranges: Mapping[str, float]) -> float:
    general = media_type.partition("/")[0] + "/*"
    return next((ranges[each] for each in (media_type, general, "*/*") if each in ranges), 0.0)
