#!/usr/bin/env python3
"""An example of a hook (`RINGRIFT_RENT_HOOK`): what it rents are programs on this machine.

RENT_FOLDER   keeps what runs, one file an instance; default rented
RENT_START    the command that starts a node, in which {name} and {price} are replaced

To rent from a provider, replace `start`, `stop` and `running` by calls of its command line or API:
its instances carry the name and the key as labels, so that the folder is not needed."""

import fcntl
import json
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

FOLDER = Path(os.environ.get("RENT_FOLDER", "rented"))
START = "ringrift node run --roles worker --node {name} --provider here --price {price}"


def start(one: dict) -> int:
    """Start an instance; its number."""
    command = os.environ.get("RENT_START", START).format(
        name=one["name"], price=one["cost_per_hour"]
    )
    log = (FOLDER / f"{one['name']}.log").open("ab")
    program = subprocess.Popen(
        shlex.split(command),
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        start_new_session=True,
    )
    return program.pid


def running(pid: int) -> bool:
    """Whether an instance runs."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def stop(pid: int) -> None:
    """Stop an instance if it runs."""
    if running(pid):
        os.killpg(pid, signal.SIGTERM)


def kept() -> dict[str, dict]:
    """What runs by the key under which it was rented."""
    found = {path.stem: json.loads(path.read_text()) for path in FOLDER.glob("*.json")}
    return {key: one for key, one in found.items() if running(one["pid"])}


def answer(request: dict) -> dict:
    """Carry out a request."""
    known = kept()
    match request["verb"]:
        case "list":
            fields = ("name", "offer", "cost_per_hour")
            listed = [
                {field: one[field] for field in fields} | {"id": str(one["pid"])}
                for one in known.values()
            ]
            return {"instances": listed}
        case "rent":
            one = known.get(request["key"])
            if one is None:
                price = request["cost_per_hour_max"]
                one = {"name": request["name"], "offer": request["offer"], "cost_per_hour": price}
                one["pid"] = start(one)
                (FOLDER / f"{request['key']}.json").write_text(json.dumps(one))
            return {"id": str(one["pid"]), "cost_per_hour": one["cost_per_hour"]}
        case "return":
            stop(int(request["id"]))
            return {}
    return {"error": f"{request['verb']} is not possible here"}


def main() -> None:
    """Answer one request; calls wait for each other."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (FOLDER / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        print(json.dumps(answer(json.load(sys.stdin))))


if __name__ == "__main__":
    main()
