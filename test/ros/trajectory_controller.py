"""A robot whose controller takes actions, and the node: prints as JSON what came of replays. Run by a test.

Arguments: the file to replay.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import conftest
import numpy as np
import test_imitation_replay
from control_msgs.action import FollowJointTrajectory
from pose_perception.msg import ImitationStatus
from rclpy.action import ActionServer, CancelResponse, GoalResponse
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.node import Node

from pose_perception.ros.conversions import path_from_message

World = test_imitation_replay.World


class Controller:
    """Has the simulated robot follow whole trajectories.

    Attributes:
        goals: How many came.
        cancelled: How many were cancelled.
        refuses, fails: Whether it does not accept a trajectory, or ends it after half a second.
    """

    def __init__(self, ros: conftest.Ros, world: Any) -> None:
        self.goals, self.cancelled, self.refuses, self.fails = 0, 0, False, False
        self._world, node = world, ros.add(Node("controller"))
        self._server = ActionServer(
            node,
            FollowJointTrajectory,
            "/imitation/follow_joint_trajectory",
            self._execute,
            goal_callback=self._judge,
            cancel_callback=lambda goal: CancelResponse.ACCEPT,
            callback_group=ReentrantCallbackGroup(),
        )
        self._node = node

    def _judge(self, goal: FollowJointTrajectory.Goal) -> GoalResponse:
        self.goals += 1
        return GoalResponse.REJECT if self.refuses else GoalResponse.ACCEPT

    async def _execute(self, goal: Any) -> FollowJointTrajectory.Result:
        joints = self._world.joints.joints
        path = path_from_message(goal.request.trajectory, self._world.robot.joints)
        joints.follow(path)
        begin_s = time.monotonic()
        while time.monotonic() - begin_s < path.times_s[-1]:
            await test_imitation_replay.imitation_world.one_round()
            if goal.is_cancel_requested or (self.fails and time.monotonic() - begin_s > 0.5):
                joints.go(joints.q)
                if goal.is_cancel_requested:
                    self.cancelled += 1
                    goal.canceled()
                else:
                    goal.abort()
                return FollowJointTrajectory.Result(error_code=-4, error_string="too far away")
        goal.succeed()
        return FollowJointTrajectory.Result()


def main() -> None:
    """Replay without a controller, to the end, until the switch is released, and with a controller that fails."""
    ros = conftest.Ros()
    world = World(ros, replay__demonstration=sys.argv[1], replay__output="action")
    assert ros.spin_until(lambda: world.statuses, 20)
    found: dict[str, Any] = {"alone": test_imitation_replay.refusal(world, "no controller offers")}
    world.is_pressed = False
    ros.spin_for(0.3)
    controller = Controller(ros, world)
    assert ros.spin_until(lambda: "no controller" not in world.call("replay").message)

    def end(name: str) -> None:
        begun_s = time.time()

        def has_ended() -> bool:
            status = world.statuses[-1]
            is_new = status.header.stamp.sec + status.header.stamp.nanosec * 1e-9 > begun_s
            return is_new and status.state == ImitationStatus.DISABLED

        assert ros.spin_until(has_ended, 30.0)
        ros.spin_for(0.3)
        found[name] = [world.statuses[-1].reason, controller.cancelled, world.speed < 1e-3]

    test_imitation_replay.begin(world)
    end("whole")
    found["distance"] = float(np.abs(world.q - world.robot.rest - 0.1).max())
    found["streamed"] = len(world.trajectories)
    found["previews"] = len(world.previews)
    found["gripper"] = float(world.joints.grippers["single"].q[0])
    world.joints.joints.go(world.robot.rest)
    assert ros.spin_until(lambda: np.abs(world.q - world.robot.rest).max() < 1e-3 and world.speed < 1e-3)
    test_imitation_replay.begin(world)
    world.wait_for(ImitationStatus.REPLAYING, 20.0)
    world.is_pressed = False
    end("released")
    controller.fails = True
    test_imitation_replay.begin(world)
    end("failed")
    controller.fails, controller.refuses = False, True
    test_imitation_replay.begin(world)
    end("refused")
    print(json.dumps(found))
    ros.close()


if __name__ == "__main__":
    main()
