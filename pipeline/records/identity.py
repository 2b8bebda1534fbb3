"""Identities of jobs, streams and runs: canonical JSON of their settings, and how two differ.

Settings are compared by value, never by a hash of Python's `repr`: a reworded message or a new field with a default
changes no identity.
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


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Describes each setting in which two trees differ, such as `crop.margin was 1.6, is 2.0`."""
    had, has = (flatten(json.loads(canonical(tree))) for tree in (old, new))  # as JSON reads them: tuples are lists
    keys = [*had, *(key for key in has if key not in had)]
    pairs = [(key, had.get(key, "absent"), has.get(key, "absent")) for key in keys]
    return [f"{key} was {_shown(one)}, is {_shown(other)}" for key, one, other in pairs if one != other]


def _shown(value: Any) -> str:
    text = str(value)
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…"
