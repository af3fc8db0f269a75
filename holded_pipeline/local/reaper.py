"""The safety net: a process that outlives its parent just long enough to tidy up after it.

It reads what to tidy from its standard input, a JSON object a line: `{"pid": 1, "born": "…"}` is a server to stop,
`{"remove": "/path"}` a file or folder to delete. When the parent ends, however it ends, the input ends too; then it
does all of that. A parent that tidied up itself sends `{"done": true}` first.

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

_PATIENCE = 8.0  # seconds a server has to stop by itself


def born(pid: int) -> str | None:
    """When a process began, so that a number used again is not taken for it; None when there is none."""
    stat = Path(f"/proc/{pid}/stat")
    if stat.exists():
        fields = stat.read_text().rpartition(")")[2].split()
        return None if fields[0] == "Z" else fields[19]
    if Path("/proc/self/stat").exists():
        return None
    shown = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return shown.stdout.strip() or None


def end(pid: int, began: str | None) -> None:
    """Asks a process to stop, then makes it."""
    for how, patience in ((signal.SIGINT, _PATIENCE), (signal.SIGKILL, 2.0)):
        deadline = time.monotonic() + patience
        if began is None or born(pid) != began:
            return
        try:
            os.kill(pid, how)
        except ProcessLookupError:
            return
        while time.monotonic() < deadline and born(pid) == began:
            time.sleep(0.05)


def remove(path: Path) -> None:
    """Deletes a folder with all that is in it, or a file; what is gone already is no error."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def main() -> None:
    """Waits for the parent's end, then tidies."""
    for how in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(how, signal.SIG_IGN)
    servers: list[tuple[int, str | None]] = []
    paths: list[str] = []
    for line in sys.stdin:
        order = json.loads(line)
        if order.get("done"):
            return
        if "pid" in order:
            servers.append((order["pid"], order["born"]))
        if "remove" in order:
            paths.append(order["remove"])
    for pid, began in servers:
        end(pid, began)
    for path in paths:
        remove(Path(path))


if __name__ == "__main__":
    main()
