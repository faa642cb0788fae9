"""YAML of strangers as plain values."""

import pytest
import yaml

from relumen.configs import file_values
from relumen.errors import UserError
from relumen.plain_yaml import plain_values

LAUGHS = "\n".join(f"l{i}: &l{i} [{', '.join([f'*l{i - 1}' if i else 'ha'] * 9)}]" for i in range(10))


def test_plain_values_are_read():
    assert plain_values("a: [1, 2.5, null]\nb: {c: text}") == {"a": [1, 2.5, None], "b": {"c": "text"}}
    assert plain_values("a: &a [1]\nb: *a") == {"a": [1], "b": [1]}


@pytest.mark.parametrize(
    "text",
    [
        LAUGHS,
        "&a [*a]",
        "[" * 5000,
        "a: 2020-99-99",
        "a: !!int ''",
        "a: " + "1" * 5000,
        "a: 0b" + "1" * 5000,
        "a: !!python/object/apply:os.system ['true']",
        "<<: {a: 1}",
        "? [a]\n: b",
        "a: !!bool maybe",
        "'",
    ],
)
def test_what_is_none_or_grows_without_end_is_refused_in_one_way(text, tmp_path):
    with pytest.raises(yaml.YAMLError):
        plain_values(text)
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(UserError, match="a.yaml is no valid YAML") as caught:
        file_values(tmp_path / "a.yaml")
    assert len(str(caught.value)) < 1000
