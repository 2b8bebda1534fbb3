"""Makes whole pictures of interlaced ones, whose two fields are taken one after the other and comb when things move."""

import collections
import contextlib
import dataclasses
from collections.abc import Iterator

import av
from av.filter import Graph

from pipeline.video.clock import Picture


def deinterlaced(pictures: Iterator[Picture]) -> Iterator[Picture]:
    """Passes progressive pictures on as they are, and interlaced ones through libavfilter's bwdif, one for one.

    The filter compares a picture with its neighbours, so it returns each one picture late.
    """
    graph: Graph | None = None
    waiting: collections.deque[Picture] = collections.deque()
    shape = None
    for picture in pictures:
        frame = picture.frame
        if graph is not None and shape != _shape(frame):
            yield from _drained(graph, waiting)
            graph = None
        if graph is None and frame.interlaced_frame:
            graph, shape = _graph(frame), _shape(frame)
        if graph is None:
            yield picture
            continue
        waiting.append(picture)
        graph.vpush(frame)
        yield from _ready(graph, waiting)
    if graph is not None:
        yield from _drained(graph, waiting)


def _shape(frame: av.VideoFrame) -> tuple[int, int, str]:
    return frame.width, frame.height, frame.format.name


def _graph(frame: av.VideoFrame) -> Graph:
    graph = Graph()
    graph.threads = 1
    source = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base)
    graph.link_nodes(source, graph.add("bwdif", "mode=send_frame:deint=interlaced"), graph.add("buffersink"))
    graph.configure()
    return graph


def _ready(graph: Graph, waiting: collections.deque[Picture]) -> Iterator[Picture]:
    with contextlib.suppress(BlockingIOError, av.EOFError):
        while True:
            frame = graph.vpull()
            yield dataclasses.replace(waiting.popleft(), frame=frame)


def _drained(graph: Graph, waiting: collections.deque[Picture]) -> Iterator[Picture]:
    graph.vpush(None)
    yield from _ready(graph, waiting)
