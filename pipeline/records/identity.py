"""Canonical JSON of the settings that identify a job, a stream or a run, and how two of them differ.

Settings are compared by value, never by a hash of Python's `repr`, so rewording a message changes no identity.
"""

import json
from collections.abc import Mapping
from typing import Any

MAX_SHOWN = 40  # characters of a value in a message


def canonical(value: Any) -> str:
    """Serializes a JSON value: keys sorted, no blanks, text as UTF-8, so that equal values give equal bytes."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """`{"crop": {"margin": 1.6}}` -> `{"crop.margin": 1.6}`."""
    flat = {}
    for key, value in tree.items():
        name = f"{prefix}.{key}" if prefix else key
        flat |= flatten(value, name) if isinstance(value, Mapping) else {name: value}
    return flat


def changes(old: Mapping[str, Any], new: Mapping[str, Any], absent: Any = None) -> list[tuple[str, Any, Any]]:
    """Lists `(name, old value, new value)` of each setting in which two trees differ; `absent` stands for no value."""
    had, has = (flatten(json.loads(canonical(tree))) for tree in (old, new))  # as JSON reads them: tuples are lists
    pairs = {name: (had.get(name, absent), has.get(name, absent)) for name in [*had, *has]}
    return [(name, *pair) for name, pair in pairs.items() if pair[0] != pair[1]]


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Describes each setting in which two trees differ, such as `crop.margin was 1.6, is 2.0`."""
    return [f"{name} was {_shown(was)}, is {_shown(now)}" for name, was, now in changes(old, new, absent="absent")]


def _shown(value: Any) -> str:
    text = str(value)
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…"
