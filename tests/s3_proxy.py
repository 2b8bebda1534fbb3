"""A proxy before an S3 server that adds time to requests and injects faults, and logs every request.

    python -m tests.s3_proxy PORT SERVER_PORT RULES LOG

RULES is a JSON file that is read anew for each request: a list of {"do": …, "method": …, "match": …, "after": n,
"times": n}, of which the first that fits is followed. `match` is a part of the path; the first `after` requests that
fit pass, then `times` of them do not. `do` is one of `FAULTS`, or a number of seconds to wait. LOG gets a JSON line a
request. Answers with a Content-Range get status 206, which rclone's server does not give them.
"""

import asyncio
import json
import re
import sys
from pathlib import Path
from typing import Any

CODES = {"403": "AccessDenied", "404": "NoSuchKey", "500": "InternalError", "503": "SlowDown"}
FAULTS = (*CODES, "hang", "drop", "cut", "mute")  # no answer; closed; half a body; done, and closed without an answer
CHUNK = 1 << 20
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Head = tuple[list[str], dict[str, str]]


class Proxy:
    """Handles the connections of clients."""

    def __init__(self, server: int, rules: Path, log: Path) -> None:
        self._server, self._rules = server, rules
        self._log = log.open("a", buffering=1)
        self._met: dict[str, int] = {}  # how often a rule has fitted

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Passes the requests of one connection on, each by a connection of its own to the server."""
        try:
            while await self._pass_on((reader, writer)):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client or the server has ended
        finally:
            writer.close()

    async def _pass_on(self, client: Streams) -> bool:
        """Handles one request; returns whether the connection stays open."""
        lines, headers = await _head(client[0])
        method, path, _ = lines[0].split(" ", 2)
        fault = self._fault(method, path)
        self._log.write(json.dumps({"method": method, "path": path, "range": headers.get("range"), "do": fault}) + "\n")
        if headers.get("expect", "").lower() == "100-continue":
            client[1].write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if fault in CODES:
            await _copy(client[0], None, headers)
            return await _refuse(client[1], method, fault)
        if fault == "hang":
            await asyncio.sleep(3600)
        if fault == "drop":
            return False
        if isinstance(fault, float | int):
            await asyncio.sleep(fault)
        return await self._answer(client, lines, headers, method, fault)

    async def _answer(
        self, client: Streams, lines: list[str], headers: dict[str, str], method: str, fault: Any
    ) -> bool:
        server = await asyncio.open_connection("127.0.0.1", self._server, limit=CHUNK)
        try:
            kept = [line for line in lines if not line.lower().startswith(("expect:", "connection:"))]
            server[1].write(_bytes([*kept, "Connection: close"]))
            await _copy(client[0], server[1], headers)
            answer, about = await _head(server[0])
            while answer[0].split(" ")[1] == "100":
                answer, about = await _head(server[0])
            status = answer[0].split(" ")[1]
            if fault == "mute":
                return False
            if "content-range" in about and status == "200":
                answer[0] = "HTTP/1.1 206 Partial Content"
            client[1].write(_bytes([line for line in answer if not line.lower().startswith("connection:")]))
            if method != "HEAD" and status not in ("204", "304"):
                if fault == "cut":
                    client[1].write(await server[0].read(int(about.get("content-length", "2")) // 2))
                    await client[1].drain()
                    return False
                await _copy(server[0], client[1], about)
            await client[1].drain()
            return True
        finally:
            server[1].close()

    def _fault(self, method: str, path: str) -> str | float | None:
        for number, rule in enumerate(json.loads(self._rules.read_text())):
            if rule.get("method", method) == method and rule.get("match", "") in path:
                key = f"{number} {json.dumps(rule)}"
                self._met[key] = met = self._met.get(key, 0) + 1
                if rule.get("after", 0) < met <= rule.get("after", 0) + rule.get("times", sys.maxsize):
                    return rule["do"]
        return None


async def _head(reader: asyncio.StreamReader) -> Head:
    """The lines of a request or an answer up to its body, and its headers."""
    lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin1").rstrip("\r\n").split("\r\n")
    fields = (re.split(r":\s*", line, maxsplit=1) for line in lines[1:])
    return lines, {name.lower(): value for name, value in fields}


def _bytes(lines: list[str]) -> bytes:
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin1")


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter | None, headers: dict[str, Any]) -> None:
    """Passes a body on, or drops it."""
    left = int(headers.get("content-length", 0))
    while left:
        data = await reader.read(min(left, CHUNK))
        if not data:
            raise ConnectionResetError
        left -= len(data)
        await _write(writer, data)
    while headers.get("transfer-encoding", "").lower() == "chunked":
        line = await reader.readline()
        size = int(line.split(b";")[0] or b"0", 16)
        await _write(writer, line + await reader.readexactly(size + 2))
        if not size:
            return


async def _write(writer: asyncio.StreamWriter | None, data: bytes) -> None:
    if writer is not None:
        writer.write(data)
        await writer.drain()


async def _refuse(writer: asyncio.StreamWriter, method: str, status: str) -> bool:
    body = "" if method == "HEAD" else f"<Error><Code>{CODES[status]}</Code><Message>injected</Message></Error>"
    about = ["Content-Type: application/xml", f"Content-Length: {len(body)}"]
    writer.write(_bytes([f"HTTP/1.1 {status} Injected", *about]) + body.encode())
    await writer.drain()
    return True


async def _serve(port: int, proxy: Proxy) -> None:
    server = await asyncio.start_server(proxy.handle, "127.0.0.1", port, limit=CHUNK)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), Proxy(int(sys.argv[2]), Path(sys.argv[3]), Path(sys.argv[4]))))
