"""Writes the two files from which `tfds.builder_from_directory` reads a dataset directory.

tensorflow-datasets is not needed to write them. The keys and types of a record are those of its own features.
"""

from typing import Any

from pipeline.records.codecs import Encoding
from pipeline.records.storage import Place, write_json
from pipeline.schema import CROP, Key

FEATURES, INFO = FILES = "features.json", "dataset_info.json"
VERSION = "1.0.0"
_FEATURES = "tensorflow_datasets.core.features"


def write(output: Place, manifest: dict[str, Any], has_columns: bool) -> None:
    """Writes `features.json` and `dataset_info.json` for the shards that the manifest lists.

    A split without records is left out, since tensorflow-datasets refuses to read it. An empty shard is listed, since
    the file names count it. `has_columns` says whether any clip has columns of the corpus's table.
    """
    conversion = manifest["conversion"]
    write_json(output / FEATURES, features(Encoding(**conversion["encoding"]), has_columns))
    splits = [_split(name, split) for name, split in manifest["splits"].items() if split["records"]]
    info = {"name": conversion["name"], "version": VERSION, "fileFormat": "tfrecord", "splits": splits}
    write_json(output / INFO, info)


def features(encoding: Encoding, has_columns: bool) -> dict[str, Any]:
    """Describes a record as a `FeaturesDict`; columns of the corpus's table only where a clip has some."""
    word = {Key.WORD_TEXT: _text(), Key.WORD_START: _tensor("int64"), Key.WORD_STOP: _tensor("int64")}
    frames = _tensor("uint8", [-1, CROP, CROP], "bytes") if encoding.name == "raw" else _images(encoding.name)
    return _dict(
        {
            **{key: _text() for key in (Key.ID, Key.SPEAKER, Key.TEXT, Key.SOURCE)},
            Key.FPS: _tensor("float32"),
            Key.FRAME_COUNT: _tensor("int64"),
            Key.FRAMES: frames,
            Key.TRACKED: _tensor("bool", [-1]),
            Key.DOUBT: _sequence(_tensor("float32")),  # one or, if it is not scored, none
            Key.DOUBT_CAUSE: _sequence(_text()),
            "words": _sequence(_dict({key.removeprefix("words/"): kind for key, kind in word.items()})),
            **({"columns": _sequence(_dict({"name": _text(), "value": _text()}))} if has_columns else {}),
        }
    )


def _class(module: str, name: str) -> dict[str, str]:
    return {"pythonClassName": f"{_FEATURES}.{module}.{name}"}


def _text() -> dict[str, Any]:
    return {**_class("text_feature", "Text"), "text": {}}


def _shape(dimensions: list[int]) -> dict[str, list[str]]:
    return {"dimensions": [str(size) for size in dimensions]} if dimensions else {}


def _tensor(dtype: str, dimensions: list[int] | None = None, encoding: str = "none") -> dict[str, Any]:
    tensor = {"dtype": dtype, "encoding": encoding, "shape": _shape(dimensions or [])}
    return {**_class("tensor_feature", "Tensor"), "tensor": tensor}


def _images(encoding: str) -> dict[str, Any]:
    """A sequence of images; tensorflow-datasets stacks them, so it reads clips of one, or of equally high ones."""
    image = {"dtype": "uint8", "encodingFormat": encoding, "shape": _shape([-1, CROP, 1])}
    return _sequence({**_class("image_feature", "Image"), "image": image})


def _sequence(feature: dict[str, Any]) -> dict[str, Any]:
    return {**_class("sequence_feature", "Sequence"), "sequence": {"feature": feature, "length": "-1"}}


def _dict(named: dict[str, Any]) -> dict[str, Any]:
    return {**_class("features_dict", "FeaturesDict"), "featuresDict": {"features": named}}


def _split(name: str, split: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": name,
        "filepathTemplate": "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}",
        "shardLengths": [str(shard["records"]) for shard in split["shards"]],
        "numBytes": str(sum(shard["bytes"] for shard in split["shards"])),
    }
