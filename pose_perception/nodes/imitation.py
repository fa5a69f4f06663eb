#!/usr/bin/env python3
"""Node `imitation`: skeletons in, joint commands for a robot out, under supervision."""

from __future__ import annotations

import sys
from typing import Any

from pose_perception.errors import ConfigurationError
from pose_perception.imitation.capsules import load_capsules
from pose_perception.imitation.imitator import ImitationConfig, Imitator
from pose_perception.imitation.replay import Replayer
from pose_perception.imitation.robot import load_robot
from pose_perception.ros.counters import Counters
from pose_perception.ros.imitation_control import ImitationControl
from pose_perception.ros.imitation_diagnostics import ImitationDiagnostics
from pose_perception.ros.imitation_input import DescriptionInput, ImitationInput
from pose_perception.ros.imitation_output import POSITIONS, PREVIEW, TRAJECTORY, ImitationOutput, RobotOutputConfig
from pose_perception.ros.imitation_recording import DemonstrationRecorder, RecordingConfig
from pose_perception.ros.imitation_replay import (
    ACTION,
    STREAM,
    MotionConfig,
    ReplayOutputConfig,
    Replays,
    replay_config,
)
from pose_perception.ros.imitation_services import ImitationServices
from pose_perception.ros.lifecycle import SelfStartingNode
from pose_perception.ros.parameters import ConfigParameters
from pose_perception.ros.process import run_node
from pose_perception.ros.topics import TopicMonitor
from pose_perception.ros.trajectory_action import TrajectoryAction

_WARNING = (
    "this is software and no safety function: it avoids what it knows of. Keep the robot's own emergency stop and "
    "enabling device at hand, and people out of its reach."
)


class ImitationNode(SelfStartingNode):
    """Loads the robot when it is configured, and listens while it is active; moving needs `~/enable` besides.

    Args:
        options: Passed to `rclpy.node.Node`.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__("imitation", **options)
        self._core_parameters = ConfigParameters(self, ImitationConfig)
        self._robot_parameters = ConfigParameters(self, RobotOutputConfig)
        self._recording_parameters = ConfigParameters(self, RecordingConfig, "recording")
        self._replay_parameters = ConfigParameters(self, ReplayOutputConfig, "replay")
        self._motion_parameters = ConfigParameters(self, MotionConfig, "replay")
        self._core_config, self._robot_config = ImitationConfig(), RobotOutputConfig()
        self._recording_config, self._replay_config = RecordingConfig(), ReplayOutputConfig()
        self._output: ImitationOutput | None = None
        self._action: TrajectoryAction | None = None
        self._control: ImitationControl | None = None
        self._parts: list[ImitationInput | ImitationServices | ImitationDiagnostics | DemonstrationRecorder] = []
        self._description = DescriptionInput(self, self._on_description)
        self.get_logger().warning(_WARNING)

    def configure(self) -> None:
        self._core_config, self._robot_config = self._core_parameters.read(), self._robot_parameters.read()
        self._recording_config, self._replay_config = self._recording_parameters.read(), self._replay_parameters.read()
        if self._replay_config.output == ACTION:
            if self._robot_config.output == PREVIEW:
                raise ConfigurationError(
                    "replay.output action moves the robot, and output preview does not watch it: set output to "
                    f"{TRAJECTORY} or {POSITIONS}, or replay.output to {STREAM}"
                )
            self._action = TrajectoryAction(self, self._on_action_end)
        imitator, _ = self._build(self._description.text)
        step_s = self._core_config.retargeting.step_s
        self._output = ImitationOutput(self, imitator.robot, self._robot_config.output, step_s)
        self.get_logger().info(
            f"robot {self._robot_config.robot} with {len(imitator.robot.joints)} joints, "
            f"output {self._robot_config.output}"
        )

    def activate(self) -> None:
        counters, monitor = Counters(self.get_logger()), TopicMonitor()
        moves_robot = self._robot_config.output != PREVIEW
        self._control = control = ImitationControl(
            self, self._core_config, self._build, self._description.text, self._output, counters, moves_robot
        )
        needs_deadman = self._core_config.supervisor.deadman
        diagnostics = ImitationDiagnostics(
            self, counters, monitor, self._robot_config.robot, control.timing, control.status
        )
        control.on_result = diagnostics.record
        recorder = DemonstrationRecorder(self, self._recording_config, counters)
        self._output.on_message, control.recording = recorder.write, lambda: recorder.path
        self._parts = [
            ImitationInput(self, control, counters, monitor, moves_robot, needs_deadman, recorder.write),
            ImitationServices(self, control, recorder, self._motion_parameters),
            diagnostics,
            recorder,
        ]

    def stop(self) -> None:
        control, self._control = self._control, None
        if control is not None:
            control.stop()
        for part in self._parts:
            part.destroy()
        self._parts = []

    def release(self) -> None:
        if self._output is not None:
            self._output.destroy()
            self._output = None
        if self._action is not None:
            self._action.destroy()
            self._action = None
        core = (self._core_parameters, self._robot_parameters)
        for parameters in (*core, self._recording_parameters, self._replay_parameters):
            parameters.release()

    def _build(self, description: str | None) -> tuple[Imitator, Replays]:
        config = self._robot_config
        robot = load_robot(config.robot, description, config.base_from_torso())
        capsules = load_capsules(robot.config.name, robot.kinematics)
        replayer = Replayer(robot, capsules, replay_config(self._core_config, self._replay_config))
        replays = Replays(robot, replayer, self._action, self._replay_config.smoothing_hz)
        return Imitator(robot, capsules, self._core_config), replays

    def _on_action_end(self, reason: str) -> None:
        if self._control is not None:
            self._control.replays.end_with(reason)

    def _on_description(self, text: str) -> None:
        if self._control is not None:
            self._control.offer(text)


def main() -> int:
    """Run the node until it is told to end."""
    return run_node(ImitationNode, ImitationNode.start, publishes_at_end=True)


if __name__ == "__main__":
    sys.exit(main())
