"""A provider that rents out nothing: a hook of `ringrift.consumers.hook` that keeps a JSON file.

`python provider.py FILE` is the hook. A test reads and writes the file through `Provider`: what
runs, the calls, and `faults`, of which each call that changes something takes one."""

from __future__ import annotations

import fcntl
import json
import sys
import time
from pathlib import Path
from typing import Any

EMPTY: dict[str, Any] = {"instances": {}, "keys": {}, "calls": [], "faults": []}


class Provider:
    """The file of a provider."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.write_text(json.dumps(EMPTY))
        self.hook = f"{sys.executable} -S {__file__} {path}"

    @property
    def state(self) -> dict[str, Any]:
        """The file, while no call changes it."""
        with self.path.open() as file:
            fcntl.flock(file, fcntl.LOCK_SH)
            return json.load(file)

    def change(self, **parts: Any) -> None:
        """Replace parts of the file."""
        self.path.write_text(json.dumps(self.state | parts))

    def running(self) -> dict[str, str]:
        """Instances that run, by the name of their node."""
        return {one["name"]: id for id, one in self.state["instances"].items()}

    def calls(self, verb: str) -> list[dict[str, Any]]:
        """The calls of a verb."""
        return [call for call in self.state["calls"] if call["verb"] == verb]


def serve(state: dict[str, Any], request: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """Carry out a request; the answer, and the fault that follows."""
    verb = request["verb"]
    state["calls"].append(request)
    instances = state["instances"]
    if verb == "list":
        return {"instances": [{"id": id, **one} for id, one in instances.items()]}, ""
    fault = state["faults"].pop(0) if state["faults"] else ""
    if fault.startswith("refuse"):
        return {"error": fault.removeprefix("refuse ")}, ""
    if verb == "rent":
        id = state["keys"].setdefault(request["key"], f"i-{len(state['keys'])}")
        cost = request["cost_per_hour_max"]
        instances[id] = {"name": request["name"], "offer": request["offer"], "cost_per_hour": cost}
        return {"id": id, "cost_per_hour": cost}, fault
    if verb == "return":
        instances.pop(request["id"], None)
    return {}, fault


def main(path: Path) -> None:
    """Answer one request."""
    with path.open("r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        state = json.load(file)
        answer, fault = serve(state, json.load(sys.stdin))
        file.seek(0)
        file.truncate()
        json.dump(state, file)
    if fault == "hang":
        time.sleep(3600)
    if fault == "crash":
        sys.exit(1)
    print("no JSON" if fault == "garbage" else json.dumps(answer))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
