"""YAML that would run something, or write or read somewhere, in a program that trusts it.

All that the payloads here and beside do is to touch the file ``outside/written``, two folders above the current one,
or to read what lies there.
"""

from __future__ import annotations

import json
import random

TOUCH = "touch ../../outside/written"
TOUCH_IN_PYTHON = "open('../../outside/written', 'w').close()"
_LAUGHS = "\n".join(f"l{i}: &l{i} [{', '.join([f'*l{i - 1}'] * 9) if i else ', '.join(['ha'] * 9)}]" for i in range(11))

YAML = (
    f"!!python/object/apply:os.system ['{TOUCH}']",
    f"!!python/object/apply:subprocess.check_output [['sh', '-c', '{TOUCH}']]",
    f"!!python/object/new:os.system ['{TOUCH}']",
    "!!python/name:os.system",
    "!!python/module:this",
    f'!!python/object/apply:builtins.eval ["{TOUCH_IN_PYTHON}"]',
    f'!!python/object/apply:builtins.exec ["{TOUCH_IN_PYTHON}"]',
    "!!python/object:relumen.run.RunFolder {path: ../../outside/written}",
    "!!python/tuple [1, 2]",
    "!<tag:yaml.org,2002:python/object/apply:os.system> ['true']",
    "!custom {a: 1}",
    "!!binary '#'",
    "!!binary AAAA",
    "2020-99-99",
    "2020-01-01T99:99:99Z",
    "9999-12-31T23:59:59.999999999+23:59",
    "!!int 0x",
    "!!int ''",
    "!!int abc",
    "!!float x",
    "!!bool maybe",
    "!!timestamp x",
    "!!null x",
    "!!set {a, b}",
    "!!omap [a: 1, b: 2]",
    "!!pairs [a: 1]",
    "!!str [a]",
    "!!map [a]",
    "!!seq {a: 1}",
    "190:20:30:59:59:99",
    "1" * 5000,
    "0b" + "1" * 20_000,
    "0o" + "7" * 5000,
    "1e" + "9" * 400,
    ".inf",
    ".nan",
    "&a [*a]",
    "&a {*a : *a}",
    "&a {a: *a}",
    "*undefined",
    "? [a, b]\n: c",
    "? {a: 1}\n: c",
    "[" * 50,
    "[" * 100_000,
    "{a: " * 3000 + "}" * 3000,
    "- " * 3000 + "a",
    "a: " * 200 + "b",
    "? " * 3000,
    _LAUGHS,
    f"{_LAUGHS}\nsystem: *l10\nfolder: *l10\nname: *l10",
    "m: &m {a: 1}\n<<: *m\nb: {<<: [*m, *m], <<: *m}",
    "<<: 1",
    "<<: [1, 2]",
    "---\na: 1\n---\nb: 2",
    "%YAML 9.9\n---\na: 1",
    "%TAG ! tag:yaml.org,2002:python/\n---\n!object/apply:os.system ['true']",
    "a: b\n\tc: d",
    "a: 'b",
    "=",
    "a: =",
    "a: !!value =",
    "y: yes\ny: no",
    "\ufeffa: 1",
    "a: \x85b",
    "{[1]: 2}",
    "? !!binary AAAA\n: 1",
    "1: 2\n1.0: 3\ntrue: 4\nnull: 5\n2020-01-01: 6",
)
"""Texts in place of a value, or of a whole file."""


def yaml_bytes(draw: random.Random, text: str) -> bytes:
    """A YAML text with one of these somewhere in it, in some coding."""
    payload = draw.choice(YAML)
    lines = text.splitlines()
    way = draw.random()
    if way < 0.5 and lines:
        at = draw.randrange(len(lines))
        name, colon, _ = lines[at].partition(":")
        inside = payload if "\n" not in payload else json.dumps(payload)
        lines[at] = f"{name}: {inside}" if colon else f"- {inside}"
        payload = "\n".join(lines)
    elif way < 0.7:
        payload = f"{text}\n{payload}"
    coding = draw.choice(("utf-8", "utf-8", "utf-8", "utf-8", "utf-16", "utf-32", "latin1"))
    data = payload.encode(coding, "replace")
    return data if draw.random() < 0.9 else data + draw.choice((b"\xff\xfe", b"\0", b"\xed\xa0\x80", b"\x1b[2J"))
