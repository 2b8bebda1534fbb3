"""The framing of TFRecord files: writes shards, and reads and checks records at byte offsets.

A record is its length (8 bytes), a masked CRC-32C of that (4), the payload, and a masked CRC-32C of the payload (4).
"""

import contextlib
import errno
import functools
from collections.abc import Sequence

import crc32c
import numpy as np
import tensorflow as tf

from pipeline.records import storage
from pipeline.records.storage import Place

LENGTH_BYTES = 8
HEADER_BYTES = LENGTH_BYTES + 4  # of a TFRecord: length, CRC of the length
FOOTER_BYTES = 4  # CRC of the payload
GZIP_MAGIC = b"\x1f\x8b\x08"  # a record of a fitting length begins so too: only a header that is wrong is compared
GZIPPED = "gzip-compressed; records are read at byte offsets: decompress it, or convert again with --encoding=png"


class ShardWriter:
    """Writes records to one shard; a context manager.

    The shard gets its name only when the `with` block ends without an error.

    Attributes:
      bytes, sha256: of the shard, once it has been written.
    """

    def __init__(self, path: str | Place) -> None:
        self._stack = contextlib.ExitStack()
        self._path = storage.place(path)
        self.bytes, self.sha256 = 0, ""

    def __enter__(self) -> "ShardWriter":
        self._temporary = self._stack.enter_context(storage.replacing(self._path))
        self._stack.push(self._measure)
        self._writer = self._stack.enter_context(tf.io.TFRecordWriter(str(self._temporary)))
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.__exit__(*error)

    def write(self, record: bytes) -> int:
        """Appends a record and returns its byte offset."""
        offset = self.bytes
        self._writer.write(record)
        self.bytes += HEADER_BYTES + len(record) + FOOTER_BYTES
        return offset

    def _measure(self, kind: type[BaseException] | None, *error: object) -> None:
        """Checks that all of a shard is on disk, and takes its checksum, before it gets its name."""
        if kind is None:
            if (size := self._temporary.stat().st_size) != self.bytes:
                raise OSError(errno.EIO, f"has {size} bytes, {self.bytes} were written", str(self._temporary))
            self.sha256 = storage.sha256(self._temporary)


def check_header(header: bytes | bytearray, length: int) -> None:
    """Checks that a header, 12 bytes, states this length, so that no memory is reserved for a forged one.

    Raises:
      ValueError: the header states another length, is damaged, or is that of a gzip file.
    """
    if (says := int.from_bytes(header[:LENGTH_BYTES], "little")) != length:
        if header.startswith(GZIP_MAGIC):
            raise ValueError(f"the shard is {GZIPPED}")
        raise ValueError(f"the record is damaged, its header says {says:,} bytes, the index {length:,}")
    check_crc([header[:LENGTH_BYTES]], header[LENGTH_BYTES:])


def check_crc(pieces: Sequence[bytes | bytearray | memoryview | np.ndarray], masked: bytes | bytearray) -> None:
    """Checks the CRC-32C of bytes, given in pieces, against the masked one, 4 bytes, that follows them.

    Raises:
      ValueError: the CRCs differ.
    """
    crc = functools.reduce(lambda value, piece: crc32c.crc32c(piece, value), pieces, 0)
    rotated = (crc >> 15 | crc << 17) + 0xA282EAD8 & 0xFFFFFFFF
    if rotated.to_bytes(4, "little") != masked:
        raise ValueError("the record is damaged, its CRC does not match")


def check(record: bytes, length: int) -> None:
    """Checks the header and the CRC of a framed record whose payload has `length` bytes.

    Raises:
      ValueError: the record is damaged.
    """
    view = memoryview(record)
    check_header(bytes(view[:HEADER_BYTES]), length)
    check_crc([view[HEADER_BYTES:-FOOTER_BYTES]], bytes(view[-FOOTER_BYTES:]))


def stated_length(path: Place, offset: int, size: int) -> int:
    """The length of the payload that the record whose header is at `offset` states, no more than `size` bytes hold.

    Raises:
      ValueError: the header is damaged, or the shard ends within the record.
    """
    header = bytearray(HEADER_BYTES)
    storage.fill(path, [header], offset)
    try:
        check_crc([header[:LENGTH_BYTES]], header[LENGTH_BYTES:])
    except ValueError as error:
        raise ValueError(f"the shard is {GZIPPED}" if header.startswith(GZIP_MAGIC) else str(error)) from error
    left = size - offset - HEADER_BYTES - FOOTER_BYTES
    if (length := int.from_bytes(header[:LENGTH_BYTES], "little")) > left:
        raise ValueError("the record is damaged, the shard ends within it")
    return length


def payload(path: Place, offset: int, length: int) -> bytes:
    """Reads the payload, `length` bytes, of the record whose header is at `offset`, and checks header and CRC.

    Raises:
      ValueError: the record is damaged.
      OSError: the shard cannot be read.
    """
    header, found, footer = bytearray(HEADER_BYTES), bytearray(length), bytearray(FOOTER_BYTES)
    storage.fill(path, [header, found, footer], offset)
    check_header(header, length)
    check_crc([found], footer)
    return bytes(found)
