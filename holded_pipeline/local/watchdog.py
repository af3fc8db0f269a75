"""The watchdog: a process that outlives its parent just long enough to stop the servers and delete the files it left.

It reads what to clean up from its standard input, a JSON object a line: `{"pid": 1, "started_at": "…"}` is a server to
stop, `{"remove": "/path"}` a file or folder to delete. When the parent ends, however it ends, the input ends too. Then
the watchdog does all of that. A parent that cleaned up itself sends `{"done": true}` first.

Standard library only, and no import of this package: it must start quickly and depend on nothing.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

_STOP_SECONDS = 8.0  # that a server has to stop by itself
_KILL_SECONDS = 2.0


def started_at(pid: int) -> str | None:
    """When a process started, None if there is no such process; it tells two processes with the same number apart.

    The text is only for comparing: clock ticks since the boot on Linux, a date elsewhere.
    """
    stat = Path(f"/proc/{pid}/stat")
    if stat.exists():
        # "12 (a) b) S 1 12 …": the name may hold anything. After it come the state and, 19 fields on, the start.
        fields = stat.read_text().rpartition(")")[2].split()
        is_zombie = fields[0] == "Z"
        return None if is_zombie else fields[19]
    if Path("/proc/self/stat").exists():
        return None
    listed = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return listed.stdout.strip() or None


def terminate(pid: int, started: str | None) -> None:
    """Stops the process that has this number and this start time: SIGINT first, SIGKILL if it goes on."""
    for how, seconds in ((signal.SIGINT, _STOP_SECONDS), (signal.SIGKILL, _KILL_SECONDS)):
        deadline = time.monotonic() + seconds
        if started is None or started_at(pid) != started:
            return
        try:
            os.kill(pid, how)
        except ProcessLookupError:
            return
        while time.monotonic() < deadline and started_at(pid) == started:
            time.sleep(0.05)


def remove(path: Path) -> None:
    """Deletes a file, or a folder with its content; a path that does not exist is no error."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def main() -> None:
    """Waits for the parent's end, then cleans up."""
    for how in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(how, signal.SIG_IGN)
    servers: list[tuple[int, str | None]] = []
    paths: list[str] = []
    for line in sys.stdin:
        order = json.loads(line)
        if order.get("done"):
            return
        if "pid" in order:
            servers.append((order["pid"], order["started_at"]))
        if "remove" in order:
            paths.append(order["remove"])
    for pid, started in servers:
        terminate(pid, started)
    for path in paths:
        remove(Path(path))


if __name__ == "__main__":
    main()
