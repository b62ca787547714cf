"""A topic of ROS 2 with sensor_msgs/Image or sensor_msgs/CompressedImage, through rclpy."""

from typing import Any

import cv2
import numpy as np

from lotor.errors import LotorError
from lotor.preprocess import Image
from lotor.sentinel.sources import Opening, Source, Unusable

_WAIT_S = 0.5  # at a time, so that the end is seen
_CHANNELS = {"bgr8": 3, "rgb8": 3, "mono8": 1}


class Topic(Source):
    """`ros2:/topic`; one that ends in /compressed has CompressedImage, as image_transport names it.

    Raises:
        Unusable: rclpy cannot be loaded.
        LotorError: the topic has no valid name.
    """

    silent_s = 20.0  # until publishers have found each other, too

    def __init__(self, opening: Opening) -> None:
        self._topic = opening.camera.source.partition(":")[2]
        self._ended = opening.ended
        self._message: Any = None
        self._compressed = self._topic.endswith("/compressed")
        rclpy, executors, qos, messages = _rclpy()
        self._context = rclpy.context.Context()
        rclpy.init(context=self._context)
        try:
            name = f"lotor_{opening.camera.name.replace('-', '_')}"
            self._node = rclpy.create_node(name, context=self._context)
            self._executor = executors.SingleThreadedExecutor(context=self._context)
            self._executor.add_node(self._node)
            kind = messages.CompressedImage if self._compressed else messages.Image
            self._node.create_subscription(
                kind, self._topic, self._take, qos.qos_profile_sensor_data
            )
        except BaseException as error:
            self.close()
            if isinstance(error, Exception):
                raise LotorError(
                    f"topic '{self._topic}' cannot be listened to: {error}; write ros2:/TOPIC"
                ) from error
            raise

    def _take(self, message: Any) -> None:
        self._message = message

    def grab(self) -> bool:
        """Wait for the next picture."""
        self._message = None
        while self._message is None:
            if self._ended.is_set():
                return False
            self._executor.spin_once(timeout_sec=_WAIT_S)
        return True

    def picture(self) -> Image:
        """Return what was grabbed last."""
        try:
            return _compressed(self._message) if self._compressed else _plain(self._message)
        except (LotorError, ValueError, cv2.error) as error:
            raise LotorError(f"topic {self._topic}: {error}") from error

    def close(self) -> None:
        """Leave the topic."""
        for name, end in (("_executor", "shutdown"), ("_node", "destroy_node")):
            if hasattr(self, name):
                getattr(getattr(self, name), end)()
        self._context.try_shutdown()


def _plain(message: Any) -> Image:
    """Return sensor_msgs/Image: rows of `step` bytes, which may be longer than the pixels."""
    if message.encoding not in _CHANNELS:
        raise LotorError(f"encoding {message.encoding} is not one of {', '.join(_CHANNELS)}")
    channels = _CHANNELS[message.encoding]
    rows = np.frombuffer(message.data, np.uint8).reshape(message.height, message.step)
    pixels = rows[:, : message.width * channels].reshape(message.height, message.width, channels)
    if message.encoding == "rgb8":
        pixels = pixels[:, :, ::-1]
    return np.array(pixels)


def _compressed(message: Any) -> Image:
    """Return sensor_msgs/CompressedImage: a JPEG or PNG."""
    image = cv2.imdecode(np.frombuffer(message.data, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise LotorError(f"a picture of format '{message.format}' cannot be decoded")
    return np.asarray(image, np.uint8)


def _rclpy() -> tuple[Any, Any, Any, Any]:
    try:
        import rclpy
        import rclpy.context
        import rclpy.executors
        import rclpy.qos
        import sensor_msgs.msg
    except ImportError as error:
        raise Unusable(
            f"ROS 2 for Python is not there ({error}): `source /opt/ros/DISTRIBUTION/setup.bash` "
            "first, in an environment made with `python3 -m venv --system-site-packages`"
        ) from error
    return rclpy, rclpy.executors, rclpy.qos, sensor_msgs.msg
