"""What has to be the same on every machine that converts: programs, and the files that they see."""

import hashlib
import importlib.metadata
from pathlib import Path

import pipeline
from pipeline.conversion import run_log
from pipeline.conversion.progress import JOB, PROGRESS
from pipeline.records import storage
from pipeline.records.storage import Place


def seen(output: Place, video: Place) -> dict[str, str]:
    """Returns versions, a hash of this program, and what this machine sees of the job in `output` and of a video."""
    code = hashlib.sha256()
    folder = Path(pipeline.__file__).parent
    for path in sorted(folder.rglob("*.py")):
        code.update(f"{path.relative_to(folder)}\n".encode() + path.read_bytes())
    programs = {name: version for name, version in run_log.versions().items() if name != "python"}
    programs |= {"distributed": importlib.metadata.version("distributed"), "source of pipeline": code.hexdigest()[:8]}
    return {**programs, str(output): _job(output), str(video): _presence(video)}


def _job(output: Place) -> str:
    try:
        return f"job {hashlib.sha256(storage.read(output / PROGRESS / JOB)).hexdigest()[:8]}"
    except OSError as error:
        return f"not to be read ({error})"


def _presence(video: Place) -> str:
    try:
        return "there" if storage.exists(video) or storage.is_dir(video) else "not there"
    except OSError as error:
        return f"not to be read ({error})"


def differing(name: str, here: dict[str, str], there: dict[str, str] | Exception) -> str:
    """Describes how a machine of this name differs from this one; empty if it does not."""
    if isinstance(there, Exception):
        return f"{name}: {type(there).__name__}: {there}"
    changed = [f"{what}: {value} there, {here[what]} here" for what, value in there.items() if value != here[what]]
    return f"{name}: {', '.join(changed)}" if changed else ""
