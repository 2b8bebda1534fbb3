"""Objects in stores: `s3://`, `gs://` and `az://`, by obstore; `storage` comes here with what is no local path.

Every request is tried again, and given up, by the variables of `DEFAULTS`. They are set where the user has not set
them, and hold for tensorflow-io too, which reads the same ones. Credentials come from the usual variables, such as
AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; AWS_ENDPOINT_URL names a server that is not Amazon's.
"""

import contextlib
import dataclasses
import datetime
import errno
import functools
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

import obstore
from obstore import exceptions
from obstore.store import ObjectStore, from_url

from pipeline.schema import StorageError

SCHEMES = ("s3", "gs", "az")
Version = dict[str, str]
Meta = Mapping[str, Any]  # of an object
DEFAULTS = {
    "AWS_MAX_ATTEMPTS": "4",  # of a request; tensorflow-io's own default takes 51 seconds to give up a read
    "AWS_RETRY_MODE": "standard",
    "S3_CONNECT_TIMEOUT_MSEC": "3000",
    "S3_REQUEST_TIMEOUT_MSEC": "20000",  # to the end of a body
    "S3_DISABLE_MULTI_PART_DOWNLOAD": "1",  # tensorflow-io alone: else it makes four requests a read instead of two
}
CREDENTIALS = {
    "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (AWS_SKIP_SIGNATURE=true for a public bucket)",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS",
    "az": "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY",
}
CUT = "the record is damaged, the shard ends within it"
PIECE = 4_000_000  # bytes of one request for an object that may be large, so that each ends in time
PARTS_AT_ONCE = 4  # of an upload
MIN_WAIT, MAX_WAIT = datetime.timedelta(seconds=0.5), datetime.timedelta(seconds=4)  # between two attempts

is_read_in_graph = False  # tensorflow-io's file system aborts a process that unloads it, whatever its exit code was


@dataclasses.dataclass(frozen=True, order=True)
class Url:
    """The place of an object or, as a directory, of all objects whose keys begin with it and a slash.

    Attributes:
      text: such as `s3://bucket/data/grid`, without a slash at its end.
      version: the ETag that the object had when it was opened. Reading an object that has been replaced since is an
        error. Empty for whatever is there.
    """

    text: str
    version: str = dataclasses.field(default="", compare=False)

    def __str__(self) -> str:
        return self.text

    def __truediv__(self, name: str) -> "Url":
        return Url(f"{self.text}/{name}")

    @property
    def name(self) -> str:
        return self.text.rpartition("/")[2]

    @property
    def parent(self) -> "Url":
        return Url(self.text.rpartition("/")[0])

    @property
    def scheme(self) -> str:
        return self.text.partition("://")[0]

    @property
    def bucket(self) -> str:
        return self.text.partition("://")[2].partition("/")[0]

    @property
    def key(self) -> str:
        return self.text.partition("://")[2].partition("/")[2]


def prepare() -> None:
    """Sets the variables of `DEFAULTS` that the user has not set, and one endpoint for obstore and tensorflow-io."""
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
    endpoint = os.environ.get("AWS_ENDPOINT_URL") or os.environ.get("AWS_ENDPOINT") or os.environ.get("S3_ENDPOINT")
    if endpoint:
        endpoint = endpoint if "://" in endpoint else f"https://{endpoint}"
        os.environ.setdefault("AWS_ENDPOINT_URL", endpoint)
        os.environ.setdefault("S3_ENDPOINT", endpoint)


def read_in_graph() -> None:
    """Prepares for tensorflow-io's own access to `s3://`, after which a process cannot end but by `os._exit`."""
    global is_read_in_graph
    prepare()
    is_read_in_graph = True


def get(url: Url, begin: int, length: int) -> tuple[bytes, Meta]:
    """Reads `length` bytes from byte `begin` on, or fewer at the end.

    Returns:
      The bytes, and `size`, `e_tag` and `version` of the whole object.

    Raises:
      FileNotFoundError: there is no such object.
      ValueError: the object ends before `begin`.
      StorageError: it was replaced since it was opened, or the store refuses or does not answer.
    """
    wanted: dict[str, Any] = {"range": (begin, begin + length)}
    if url.version:
        wanted["if_match"] = url.version
    with _named(url):
        found = obstore.get(_store(url), url.key, options=wanted)
        return bytes(found.bytes()), found.meta


def read_range(url: Url, begin: int, length: int) -> bytes:
    """Reads as `get` does, by as many requests as it takes for each to end in time."""
    if length <= PIECE:
        return get(url, begin, length)[0]
    begins = range(begin, begin + length, PIECE)
    return b"".join(get(url, at, min(PIECE, begin + length - at))[0] for at in begins)


def head(url: Url) -> Meta | None:
    """The `size` of an object, its `e_tag`, and `last_modified`, the time of its last change; None if there is none."""
    try:
        with _named(url):
            return obstore.head(_store(url), url.key)
    except FileNotFoundError:
        return None


def read(url: Url) -> bytes:
    """Reads an object whole; errors as of `get`."""
    return b"".join(pieces(url))


def pieces(url: Url) -> Iterator[bytes]:
    """Reads an object of any size, `PIECE` bytes at a time, all of one version; errors as of `get`."""
    try:
        first, found = get(url, 0, PIECE)
    except ValueError:  # it is empty
        return
    yield first
    for begin in range(PIECE, found["size"], PIECE):
        yield get(Url(url.text, found["e_tag"] or ""), begin, PIECE)[0]


def put(url: Url, content: bytes | Path) -> None:
    """Writes an object, whole or not at all: large files in parts, which make an object once all are there.

    Raises:
      StorageError: the store refuses, does not answer, or holds another number of bytes afterwards.
    """
    with _named(url):
        obstore.put(_store(url), url.key, content, max_concurrency=PARTS_AT_ONCE)
    size, found = content.stat().st_size if isinstance(content, Path) else len(content), head(url)
    if found is None or found["size"] != size:
        has = found["size"] if found else "none"
        raise StorageError(f"{url}: wrote {size} bytes, the store has {has}; run it again")


def put_if(url: Url, content: bytes, seen: Version | None) -> Version | None:
    """Writes an object if there is none (`seen` None) or if it is still the version that was seen.

    Returns:
      Its new version; None if the condition did not hold.
    """
    try:
        with _named(url):
            return version(obstore.put(_store(url), url.key, content, mode="create" if seen is None else seen))
    except (FileExistsError, FileNotFoundError, Replaced):
        return None


def version(found: Mapping[str, Any]) -> Version:
    """What stores tell one version of an object from the next by: S3 and Azure an ETag, Google a generation."""
    return {name: found[name] for name in ("e_tag", "version") if found[name]}


def remove(urls: list[Url]) -> None:
    """Removes objects of one bucket; those that do not exist are no error."""
    if not urls:
        return
    try:
        with _named(urls[0]):
            obstore.delete(_store(urls[0]), [url.key for url in urls])
    except FileNotFoundError:  # some stores say so, and then keep the others
        for url in urls if len(urls) > 1 else []:
            remove([url])


def names(url: Url) -> list[str]:
    """The names of the objects directly in a directory, sorted; none if there is no such directory."""
    with _named(url):
        found = obstore.list_with_delimiter(_store(url), url.key or None)
    return sorted(each["path"].rpartition("/")[2] for each in found["objects"])


def folders(url: Url) -> list[str]:
    """The names of the directories directly in a directory, sorted; those that hold objects."""
    with _named(url):
        found = obstore.list_with_delimiter(_store(url), url.key or None)
    return sorted(prefix.rstrip("/").rpartition("/")[2] for prefix in found["common_prefixes"])


def below(url: Url) -> Iterator[tuple[str, int]]:
    """Yields the key below a directory and the size of every object in it, at any depth."""
    begin = len(url.key) + 1 if url.key else 0
    with _named(url):
        for page in obstore.list(_store(url), url.key or None):
            for each in page:
                if name := each["path"][begin:]:  # else a mark that some tools put in place of the directory
                    yield name, each["size"]


class Replaced(StorageError):
    """An object is another one than when it was opened."""


def _store(url: Url) -> ObjectStore:
    return _opened(f"{url.scheme}://{url.bucket}")


@functools.lru_cache
def _opened(bucket: str) -> ObjectStore:
    prepare()

    def milliseconds(name: str) -> datetime.timedelta:
        return datetime.timedelta(milliseconds=_number(name))

    attempts, timeout = _number("AWS_MAX_ATTEMPTS"), milliseconds("S3_REQUEST_TIMEOUT_MSEC")
    endpoint = os.environ.get("AWS_ENDPOINT_URL", "") if bucket.startswith("s3:") else ""
    return from_url(
        bucket,
        client_options={
            "timeout": timeout,
            "connect_timeout": milliseconds("S3_CONNECT_TIMEOUT_MSEC"),
            "allow_http": endpoint.startswith("http://"),
        },
        retry_config={
            "max_retries": attempts - 1,
            "retry_timeout": attempts * (timeout + MAX_WAIT),
            "backoff": {"init_backoff": MIN_WAIT, "max_backoff": MAX_WAIT, "base": 2},
        },
    )


def _number(name: str) -> int:
    text = os.environ[name]
    if not re.fullmatch(r"[1-9]\d{0,8}", text):
        raise StorageError(f"{name}={text}: want a whole number above 0; correct the variable, or unset it")
    return int(text)


def missing(url: Url) -> NoReturn:
    raise FileNotFoundError(errno.ENOENT, "no such object", str(url))


@contextlib.contextmanager
def _named(url: Url) -> Iterator[None]:
    """Turns the errors of a store into one line that names the object, the server and the way out."""
    try:
        yield
    except FileNotFoundError as error:
        if "NoSuchBucket" in str(error):
            raise StorageError(
                f"{url}: no bucket {url.bucket!r} at {_server(url)}; make it, or correct its name"
            ) from None
        if url.version:
            raise Replaced(f"{url}: is gone since it was opened; restore the object") from None
        raise FileNotFoundError(errno.ENOENT, "no such object", str(url)) from None
    except exceptions.AlreadyExistsError:
        raise FileExistsError(errno.EEXIST, "exists already", str(url)) from None
    except exceptions.PreconditionError:
        raise Replaced(
            f"{url}: was replaced since it was opened; restore the object, or run the command again to read the new one"
        ) from None
    except exceptions.BaseError as error:
        text = str(error)
        if "416 " in text or "StartTooLarge" in text:
            raise ValueError(CUT) from None
        raise StorageError(f"{url}: {_reason(url, error)}") from None


def _reason(url: Url, error: exceptions.BaseError) -> str:
    """What a store's error says, and the way out."""
    text, credentials = str(error), CREDENTIALS[url.scheme]
    retries = re.search(r"after (\d+) retries", text)
    tries = f", {int(retries[1]) + 1} attempts (AWS_MAX_ATTEMPTS)" if retries else ""
    if "169.254.169.254" in text or "metadata.google" in text:
        return f"no credentials for {_server(url)}; set {credentials}; files of `aws configure` are not read"
    if isinstance(error, exceptions.PermissionDeniedError | exceptions.UnauthenticatedError):
        return f"{_server(url)} refuses access (403); check {credentials}, and what they may do"
    if status := re.search(r"status code: (\d{3} [^:\n]*)", text):
        return f"{_server(url)} says {status[1]}{tries}; try again later, or check its log"
    if "kind: Timeout" in text:
        limit = os.environ["S3_REQUEST_TIMEOUT_MSEC"]
        return f"{_server(url)} does not answer within {limit} ms (S3_REQUEST_TIMEOUT_MSEC){tries}; check the network"
    if "kind: Connect" in text:
        return f"cannot connect to {_server(url)}{tries}; check AWS_ENDPOINT_URL and the network"
    if "HTTP error" in text:
        return f"{_server(url)} breaks off{tries}; check the network"
    if "invalid path" in text:
        return f"holds an object whose key is no path ({text.splitlines()[0]}); rename it"
    return f"{_server(url)}: {text.splitlines()[0]}"


def _server(url: Url) -> str:
    if url.scheme != "s3":
        return f"{url.scheme}://"
    endpoint = os.environ.get("AWS_ENDPOINT_URL")
    return f"{endpoint} (AWS_ENDPOINT_URL)" if endpoint else "Amazon S3 (AWS_ENDPOINT_URL is not set)"
