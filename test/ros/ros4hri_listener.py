"""A program with hri_msgs: prints as JSON what it receives of two people. Run by test_bodies.py."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import conftest
import numpy as np
import test_bodies
from hri_msgs.msg import IdsList, NormalizedRegionOfInterest2D, Skeleton2D
from rclpy.node import Node

from pose_perception.human.topology import COCO_17

TYPES = {"tracked": IdsList, "p2/skeleton2d": Skeleton2D, "p2/roi": NormalizedRegionOfInterest2D}


def main() -> None:
    """Publish two people, one of them with the nose outside the image and without an elbow."""
    ros = conftest.Ros()
    bodies = test_bodies.Bodies(ros)
    listener = ros.add(Node("ros4hri"))
    received: dict[str, Any] = {}
    for name, kind in TYPES.items():
        listener.create_subscription(kind, f"/humans/bodies/{name}", partial(received.__setitem__, name), 10)
    person = test_bodies.somebody("p2")
    person.pixels[0] = -5.0, 100.0
    person.pixels[COCO_17.index["right_elbow"]] = np.nan
    people = [test_bodies.somebody("p1"), person]
    assert ros.spin_until(lambda: bodies.output.publish(test_bodies.FRAME, people) and len(received) == len(TYPES))
    ids = list(received["tracked"].ids)
    bodies.output.clear()
    assert ros.spin_until(lambda: not received["tracked"].ids)
    skeleton, roi = received["p2/skeleton2d"], received["p2/roi"]
    result = {
        "ids": ids,
        "points": [None if np.isnan([p.x, p.y]).any() else (p.x, p.y) for p in skeleton.skeleton],
        "confidence": [p.c for p in skeleton.skeleton],
        "roi": [roi.xmin, roi.ymin, roi.xmax, roi.ymax, roi.c],
        "stamps": [[m.header.stamp.sec, m.header.stamp.nanosec] for m in (skeleton, roi)],
        "frames": [m.header.frame_id for m in (skeleton, roi)],
    }
    print(json.dumps(result))
    ros.close()


if __name__ == "__main__":
    main()
