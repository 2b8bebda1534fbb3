import pytest

from pipeline.records import identity


def test_equal_values_give_equal_bytes() -> None:
    assert identity.canonical({"b": [1, 2.5], "a": "é"}) == '{"a":"é","b":[1,2.5]}'
    assert identity.canonical({"a": (1,)}) == identity.canonical({"a": [1]})


def test_a_tree_is_flattened() -> None:
    tree = {"crop": {"margin": 1.6, "box": {"left": None}}, "fps": [25, 30], "empty": {}}
    assert identity.flatten(tree) == {"crop.margin": 1.6, "crop.box.left": None, "fps": [25, 30]}


@pytest.mark.parametrize(
    ("old", "new", "want"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({"box": (0, 1)}, {"box": [0, 1]}, []),
        ({"crop": {"margin": 1.6}}, {"crop": {"margin": 2.0}}, ["crop.margin was 1.6, is 2.0"]),
        ({"a": 1, "b": None}, {"a": 1}, ["b was None, is absent"]),
        ({}, {"seed": 0}, ["seed was absent, is 0"]),
        ({"text": "x" * 50}, {"text": ""}, [f"text was {'x' * 40}…, is "]),
    ],
    ids=["same", "tuple and list", "nested", "gone", "new", "long"],
)
def test_differences_name_the_setting_and_both_values(old: dict, new: dict, want: list[str]) -> None:
    assert identity.differences(old, new) == want
