"""Time from the start of the process to the first response of /detect, with a saved model."""

import json
import os
import shutil
from time import perf_counter, sleep

from api_anomaly.kernels import cache_folder
from benchmarks.service import Service
from benchmarks.speed.contenders import Run, print_progress
from benchmarks.speed.measures import spread
from benchmarks.speed.report import Result, Table

_TIMEOUT = 120.0
#: Takes the capabilities from root that let it write everywhere.
_WITHOUT_ROOT_WRITES = ("setpriv", "--bounding-set", "-dac_override,-dac_read_search")
_STARTS = 3


def measure(run: Run) -> Result:
    """With compiled code in its own cache, and in a read-only folder."""
    print_progress(f"{_STARTS} cold starts, twice")
    body = json.dumps({"logs": run.fresh[:1]}).encode()
    kept = run.trained_service("cold")
    times = {"cold": [_start(kept, body) for _ in range(_STARTS)]}
    readonly = _read_only(run)
    why = ""
    try:
        times["cold_read_only"] = [_start(readonly, body) for _ in range(_STARTS)]
    except (OSError, RuntimeError) as error:
        why = f"Not measured with a read-only folder: {type(error).__name__}."
    names = {
        "cold": "compiled code in the cache",
        "cold_read_only": "compiled code in a read-only folder",
    }
    rows = [(names[key], spread(values).text(".2f")) for key, values in times.items()]
    table = Table("Cold start", ("", "s to the first response"), rows, [why] if why else [])
    return Result([table], {key: spread(values).median for key, values in times.items()})


def _start(service: Service, body: bytes) -> float:
    started = perf_counter()
    service.begin()
    try:
        while perf_counter() - started < _TIMEOUT:
            try:
                if service.request("POST", "/detect", body).status == 200:
                    return perf_counter() - started
            except OSError:
                if service.ended:
                    break
            sleep(0.005)
        raise RuntimeError("the service did not respond")
    finally:
        service.stop()


def _read_only(run: Run) -> Service:
    """A service whose compiled code is in a read-only folder."""
    code = run.folder / "kernels"
    shutil.copytree(cache_folder()[0], code / cache_folder()[0].name)
    service = run.trained_service("cold_read_only", KERNEL_CACHE_DIR=str(code))
    for folder in [code, *code.rglob("*")]:
        if folder.is_dir():
            folder.chmod(0o555)
    if os.geteuid() == 0:
        service.wrapper = _WITHOUT_ROOT_WRITES
    return service
