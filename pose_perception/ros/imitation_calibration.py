"""Calibration in the node `imitation`: answers when a person has held a pose for a while."""

from __future__ import annotations

from rclpy.task import Future

from pose_perception.errors import InvalidInputError
from pose_perception.imitation.calibration import CalibrationConfig
from pose_perception.imitation.imitator import Imitator
from pose_perception.imitation.supervisor import State


class Calibrations:
    """One calibration after the other."""

    def __init__(self, config: CalibrationConfig) -> None:
        self._config = config
        self._answer: Future | None = None

    def begin(self, imitator: Imitator, now_s: float) -> Future | str:
        """Watch a person from now on; return what speaks against it at once, or as future, empty when nothing does."""
        if self._answer is not None:
            return "somebody is being calibrated already"
        state = imitator.supervisor.state
        if state != State.DISABLED:
            return f"{state.name.lower()}: people are calibrated while imitation is disabled"
        imitator.begin_calibration(now_s, self._config)
        self._answer = Future()
        return self._answer

    def end(self, reason: str = "imitation was ended") -> None:
        """Answer whoever waits that nothing comes any more."""
        if self._answer is not None:
            self._answer.set_result(reason)
            self._answer = None

    def update(self, imitator: Imitator, now_s: float) -> None:
        """Answer, when the time to watch is over."""
        if self._answer is None:
            return
        try:
            if not imitator.end_calibration(now_s):
                return
            refusal = ""
        except InvalidInputError as error:
            refusal = str(error)
        answer, self._answer = self._answer, None
        answer.set_result(refusal)
