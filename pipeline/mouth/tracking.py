"""Follows one mouth at a time through frames that come one by one.

Landmarks are taken on key frames, every few frames. Between two key frames that show the same face nearly at the same
place, poses are interpolated, if the pictures between look there as one of the two does. Elsewhere every frame is
looked at.
"""

import itertools
from collections.abc import Iterable, Sequence

import numpy as np

from pipeline.mouth import sighting
from pipeline.mouth.path import jumps
from pipeline.mouth.sighting import HISTORY, Sighting
from pipeline.mouth.stretch import Stretch

MAX_KEY_JUMP = 0.25  # inter-ocular distances between key frames; of a faster face every frame is looked at
Frame = tuple[int, np.ndarray]  # its number and its picture, uint8 [H, W]


class Tracker:
    """Divides a clip into stretches, each of one face without a cut or a long gap.

    A stretch begins with the largest face. It ends where that face is not seen for more than `max_gap` frames: it is
    lost, or another face or another place is seen. Up to `max_gap` frames are bridged within a stretch, and at the
    beginning and the end of the clip where they show no other face. Memory holds `stride` or `max_gap` pictures, beside
    those of `Stretch`.

    Attributes:
      stretches: in order.
      frames: the number of frames.
    """

    def __init__(self, stride: int, max_gap: int, margin: float, smoothing: float) -> None:
        self.stretches: list[Stretch] = []
        self.frames = 0
        self._stride = min(stride, max_gap + 1)  # no longer gap fits between key frames
        self._max_gap = max_gap
        self._cut = margin, smoothing
        self._history: list[Sighting] = []  # of the stretch under way, the last one at the end
        self._waiting: list[Frame] = []  # since the last sighting
        self._picture: np.ndarray | None = None  # the last one looked at

    def track(self, pictures: Iterable[np.ndarray]) -> None:
        """Takes the whole clip, uint8 [H, W] each; a repeated picture is the same object."""
        block: list[Frame] = []
        for self.frames, picture in enumerate(pictures, 1):
            block.append((self.frames - 1, picture))
            if len(block) == self._stride or self.frames == 1:
                self._take(block)
                block.clear()
        self._take(block)
        while self._waiting and self._history and any(sighting.largest(*frame) for frame in self._waiting):
            self._lose()  # a cut just before the end
        if self._history:
            self._settle(self._waiting, self._history[-1].pose, [False] * len(self._waiting))
            self.stretches[-1].finish()

    def _take(self, block: list[Frame]) -> None:
        """Takes the frames up to the next key frame."""
        if block and self._history and not self._waiting and (key := self._key(block)) is not None:
            self._settle(block, key.pose, [True] * len(block))
            self._remember(key)
            self._picture = block[-1][1]
            return
        for frame in block:
            self._look(*frame)

    def _key(self, block: list[Frame]) -> Sighting | None:
        """The face in the last frame of a block, if it agrees with the last sighting and all pictures between do."""
        last, (number, picture) = self._history[-1], block[-1]
        if picture is self._picture:
            return last._replace(frame=number)
        key = sighting.follow(last, number, picture)
        if key is None or jumps(last.pose, key.pose) > MAX_KEY_JUMP or not sighting.is_alike(last, key, picture):
            return None
        between = [one for _, one in block[:-1]]
        return key if sighting.are_alike(last, between, (self._picture, picture)) else None

    def _look(self, number: int, picture: np.ndarray) -> None:
        """Takes one frame by itself: the face is looked for in its picture."""
        self._waiting.append((number, picture))
        seen = self._find(number, picture)
        self._picture = picture
        if seen is not None:
            self._see(seen)
        elif len(self._waiting) > self._max_gap:
            self._lose()

    def _find(self, number: int, picture: np.ndarray) -> Sighting | None:
        """The face that is followed, or the largest one where none is."""
        if not self._history:
            return None if picture is self._picture else sighting.largest(number, picture)
        last = self._history[-1]
        if picture is self._picture:
            return last._replace(frame=number) if len(self._waiting) == 1 else None
        recent = [one for one in self._history if number - one.frame <= HISTORY] or [last]
        candidates = itertools.chain([sighting.follow(last, number, picture)], sighting.nearest(last, number, picture))
        return next((one for one in candidates if one and sighting.continues(recent, one, picture)), None)

    def _see(self, seen: Sighting) -> None:
        """Takes the waiting frames into the stretch, or into a new one; the last of them shows its face, `seen`."""
        if not self._history:
            if self._waiting[0][0] > 0:  # a gap is bridged at the beginning of the clip only
                self._waiting = self._waiting[-1:]
            self.stretches.append(Stretch(self._waiting[0][0], *self._cut))
        self._settle(self._waiting, seen.pose, [False] * (len(self._waiting) - 1) + [True])
        self._remember(seen)

    def _lose(self) -> None:
        """Ends the stretch under way; the waiting frames are looked at anew, for another face."""
        waiting, self._waiting = self._waiting, []
        if self._history:
            self.stretches[-1].finish()
            self._history, self._picture = [], None
            for frame in waiting:
                self._look(*frame)

    def _settle(self, frames: Sequence[Frame], pose: np.ndarray, tracked: Sequence[bool]) -> None:
        """Adds frames to the stretch, with poses from that of the last sighting to the one of the last frame."""
        first = self._history[-1].pose if self._history else pose
        for index, ((_, picture), flag) in enumerate(zip(frames, tracked, strict=True), 1):
            self.stretches[-1].add(picture, first + (pose - first) * (index / len(frames)), flag)

    def _remember(self, seen: Sighting) -> None:
        self._history = [one for one in self._history if seen.frame - one.frame < HISTORY] + [seen]
        self._waiting = []
        self.stretches[-1].sightings.append(seen)
