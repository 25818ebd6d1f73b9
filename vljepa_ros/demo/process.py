"""The pipeline under test: a process of its own, as `ros2 run` would start it."""

import signal
import subprocess
from pathlib import Path

from ament_index_python.packages import get_package_prefix

from vljepa_ros.errors import VljepaError

_STOP_SECONDS = 15.0  # for a clean end after SIGINT
_TAIL_LINES = 25


class DemoError(VljepaError):
    """The demo cannot go on; the message says why, in full."""


class PipelineProcess:
    """Runs the installed executable `pipeline` in a ROS namespace.

    Args:
        namespace: absolute ROS namespace of its nodes.
        log: file that gets all it prints.
        arguments: further ROS arguments, such as ["-p", "model:=..."].
    """

    def __init__(self, namespace: str, log: Path, arguments: list[str]) -> None:
        executable = Path(get_package_prefix("vljepa_ros")) / "lib" / "vljepa_ros" / "pipeline"
        self._log = log
        with log.open("wb") as output:
            # Its own session: Ctrl-C in the terminal is for the demo, which then ends both.
            self._process = subprocess.Popen(
                [str(executable), "--ros-args", "-r", f"__ns:={namespace}", *arguments],
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )

    def check(self) -> None:
        """Raise a DemoError with the end of its log when it has died."""
        code = self._process.poll()
        if code is not None:
            raise DemoError(f"The pipeline ended by itself with code {code}.\n{self.tail()}")

    def tail(self) -> str:
        """Return the last lines that it printed, and where the rest is."""
        lines = self._log.read_text(errors="replace").splitlines()[-_TAIL_LINES:]
        return "\n".join([f"The end of {self._log}:", *(f"  {line}" for line in lines)])

    def stop(self) -> None:
        """End it with SIGINT, or by force when that takes too long."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
