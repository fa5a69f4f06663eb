"""New stamps for a recording that is played again."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import NamedTuple

# Messages of different topics whose stamps are at most this far apart are taken for one moment of the camera.
_MOMENT_NS = 10_000_000
# As many messages of one topic may be recorded before one of another topic that belongs to the first of them.
_MOMENTS_KEPT = 50
# Stamps that stray from the times of recording by more than this come from another clock, or from none.
_ASTRAY_S = 1.0


class _Origin(NamedTuple):
    time_s: float
    recorded_ns: int
    new_ns: int


class _Moment(NamedTuple):
    recorded_ns: int
    new_ns: int
    topics: set[str]


class Restamper:
    """Moves the stamps of a recording to the present, with the distances between them as they were recorded.

    The first stamp of a pass becomes the time of its publication. With another speed the distances between moments
    are scaled, but not those within a moment: that is how colour finds its depth.

    Args:
        clock_ns: The present, nanoseconds.
        speed: Factor on the speed of playing.
    """

    def __init__(self, clock_ns: Callable[[], int], speed: float = 1.0) -> None:
        self._clock_ns, self._speed = clock_ns, speed
        self._newest_ns: dict[str, int] = {}
        self.begin_pass()

    def begin_pass(self) -> None:
        """Let the next message be the first of a pass; its stamp comes after all those before."""
        self._origin: _Origin | None = None
        self._moments: deque[_Moment] = deque(maxlen=_MOMENTS_KEPT)

    def delay(self, delay_s: float) -> None:
        """Put the moments to come later by so many seconds, because they are published later."""
        if self._origin is not None:
            self._origin = self._origin._replace(new_ns=self._origin.new_ns + round(delay_s * 1e9))

    def stamp(self, topic: str, time_s: float, recorded_ns: int, leads: bool) -> int:
        """Return the new stamp of a message; those of a topic never go back.

        Args:
            topic: Its topic.
            time_s: When it was recorded, from the begin of the recording, seconds.
            recorded_ns: Its stamp in the recording.
            leads: Whether the others follow when its stamps jump, as after a restart of the camera while recording.
        """
        if self._origin is None or (leads and self._is_astray(self._origin, time_s, recorded_ns)):
            self._moments.clear()
            newest_ns = max(self._newest_ns.values(), default=0)
            self._origin = _Origin(time_s, recorded_ns, max(self._clock_ns(), newest_ns + 1))
        if self._is_astray(self._origin, time_s, recorded_ns):
            new_ns = self._clock_ns()
        else:
            moment = self._moment(self._origin, topic, recorded_ns)
            moment.topics.add(topic)
            new_ns = moment.new_ns + recorded_ns - moment.recorded_ns
        self._newest_ns[topic] = max(new_ns, self._newest_ns.get(topic, 0))
        return self._newest_ns[topic]

    def _moment(self, origin: _Origin, topic: str, recorded_ns: int) -> _Moment:
        """Return the moment that a message belongs to; a topic has one message in each."""
        near = (moment for moment in self._moments if topic not in moment.topics)
        nearest = min(near, key=lambda moment: abs(moment.recorded_ns - recorded_ns), default=None)
        if nearest is None or abs(nearest.recorded_ns - recorded_ns) > _MOMENT_NS:
            new_ns = origin.new_ns + round((recorded_ns - origin.recorded_ns) / self._speed)
            nearest = _Moment(recorded_ns, new_ns, set())
            self._moments.append(nearest)
        return nearest

    @staticmethod
    def _is_astray(origin: _Origin, time_s: float, recorded_ns: int) -> bool:
        return abs((recorded_ns - origin.recorded_ns) * 1e-9 - (time_s - origin.time_s)) > _ASTRAY_S
