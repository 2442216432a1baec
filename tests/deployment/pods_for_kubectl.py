"""kubectl's words, podman's pods: what scripts/deploy.sh asks of a cluster, done on this machine.

No cluster can be had. So a Deployment runs as a real pod by `podman kube play`, with the ConfigMap,
the volume claim and the Secret it names; its port is HOST_PORT. The folder CLUSTER keeps what a
cluster would (settings, revisions) and `asked`, a line for each call. REFUSE names a kind that
`apply` refuses, as an admission webhook that is down does, or is "get": nothing can be asked.
"""

import asyncio
import base64
import json
import os
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(os.environ["CLUSTER"])
PORT = int(os.environ["HOST_PORT"])
POD = FOLDER / "pod.yaml"


def main(words: list[str]) -> int:
    """Do what the words say; the exit code is kubectl's."""
    with (FOLDER / "asked").open("a") as asked:
        print(*words, file=asked)
    if words[0] == "kustomize":
        os.execv(os.environ["REAL_KUBECTL"], ["kubectl", *words])
    verb = next(word for word in words if word in VERBS)
    return VERBS[verb](words[words.index(verb) + 1 :])


def state() -> dict[str, Any]:
    """What the cluster holds: settings, the Deployment's revisions from 1 on, and the current."""
    file = FOLDER / "state.json"
    return json.loads(file.read_text()) if file.exists() else {"settings": None, "revisions": []}


def keep(kept: dict[str, Any]) -> None:
    (FOLDER / "state.json").write_text(json.dumps(kept))


def version(_: list[str]) -> int:
    return 0


def get(words: list[str]) -> int:
    kind, path = words[0], words[-1]
    held = state()
    if kind == "secret":
        print(base64.b64encode(os.environ["TOKEN_OF_SECRET"].encode()).decode(), end="")
        return 0
    if kind == "pods":
        return subprocess.run(["podman", "pod", "ps"]).returncode
    if os.environ.get("REFUSE") == "get":
        print("Unable to connect to the server: i/o timeout", file=sys.stderr)
        return 1
    if not held["revisions"]:
        assert "--ignore-not-found" in words
        return 0
    current = held["revisions"][held["current"] - 1]
    answers = {
        "jsonpath={.data}": json.dumps(held["settings"]),
        "jsonpath={.metadata.annotations.deployment\\.kubernetes\\.io/revision}": held["current"],
        "jsonpath={.spec.template.spec.containers[0].image}": container(current)["image"],
    }
    print(answers[path], end="")
    return 0


def container(deployment: dict[str, Any]) -> dict[str, Any]:
    (only,) = deployment["spec"]["template"]["spec"]["containers"]
    return dict(only)


def apply(_: list[str]) -> int:
    held = state()
    for one in yaml.safe_load_all(sys.stdin):
        if one["kind"] == os.environ.get("REFUSE"):
            keep(held)
            print(f"Error from server: {one['kind']} refused", file=sys.stderr)
            return 1
        if one["kind"] == "ConfigMap":
            held["settings"] = one["data"]
        if one["kind"] == "Deployment":
            begin(held, one)
    keep(held)
    return 0


def begin(held: dict[str, Any], deployment: dict[str, Any]) -> None:
    """A new revision; strategy Recreate, so the old pod ends first."""
    if POD.exists():
        subprocess.run(["podman", "kube", "down", POD], check=True, capture_output=True)
    held["revisions"].append(deployment)
    held["current"] = len(held["revisions"])
    shown = json.loads(json.dumps(deployment))
    shown["spec"]["template"]["spec"]["containers"][0]["ports"][0]["hostPort"] = PORT
    name = deployment["metadata"]["name"]
    settings = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}
    POD.write_text(yaml.safe_dump_all([settings | {"data": held["settings"]}, shown]))
    # A container that ends at once is no failure yet: `rollout status` finds out.
    subprocess.run(["podman", "kube", "play", POD], capture_output=True)


def patch(words: list[str]) -> int:
    held = state()
    (change,) = json.loads(words[words.index("--patch") + 1])
    assert (change["op"], change["path"]) == ("replace", "/data")
    held["settings"] = change["value"]
    keep(held)
    return 0


def rollout(words: list[str]) -> int:
    return status(words) if words[0] == "status" else undo(words)


def status(words: list[str]) -> int:
    """Waits for the readiness probe's question to be answered."""
    end = time.monotonic() + float(words[words.index("--timeout") + 1].removesuffix("s"))
    while time.monotonic() < end:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{PORT}/health", timeout=3):
                return 0
        except OSError:
            time.sleep(0.2)
    print("error: timed out waiting for the condition", file=sys.stderr)
    return 1


def undo(words: list[str]) -> int:
    held = state()
    wanted = int(words[words.index("--to-revision") + 1])
    if wanted == held["current"]:
        print(f"skipped rollback (current template already matches revision {wanted})")
        return 0
    begin(held, held["revisions"][wanted - 1])
    keep(held)
    return 0


def port_forward(words: list[str]) -> int:
    asyncio.run(forward(int(words[1].split(":")[0])))
    return 0


async def forward(port: int) -> None:
    """Passes bytes from 127.0.0.1:port to the pod until the process is stopped."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        pod_reader, pod_writer = await asyncio.open_connection("127.0.0.1", PORT)
        await asyncio.gather(pumped(reader, pod_writer), pumped(pod_reader, writer))

    async with await asyncio.start_server(connected, "127.0.0.1", port) as server:
        await server.serve_forever()


async def pumped(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while piece := await reader.read(65_536):
        writer.write(piece)
        await writer.drain()
    writer.close()


VERBS = {
    "version": version,
    "get": get,
    "apply": apply,
    "patch": patch,
    "rollout": rollout,
    "port-forward": port_forward,
}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
