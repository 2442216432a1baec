"""From the start of the process to the first answered /detect, with a saved model."""

import json
import os
import shutil
from time import perf_counter, sleep

from api_anomaly.kernels import cache_folder
from benchmarks.robustness.service import Service
from benchmarks.speed.contenders import Run, say
from benchmarks.speed.measures import spread
from benchmarks.speed.report import Measured, Table

_PATIENCE = 120.0
#: Root may write anywhere; without these capabilities it may not.
_OBEDIENT = ("setpriv", "--bounding-set", "-dac_override,-dac_read_search")
_STARTS = 3


def measure(run: Run) -> Measured:
    """With the compiled code where it was compiled, and from a folder that cannot be written."""
    say(f"{_STARTS} cold starts, twice")
    body = json.dumps({"logs": run.fresh[:1]}).encode()
    kept = run.service("cold")
    times = {"cold": [_start(kept, body) for _ in range(_STARTS)]}
    readonly = _read_only(run)
    why = ""
    try:
        times["cold_read_only"] = [_start(readonly, body) for _ in range(_STARTS)]
    except (OSError, RuntimeError) as error:
        why = f"Not measured where nothing can be written: {type(error).__name__}."
    names = {
        "cold": "compiled code kept",
        "cold_read_only": "compiled code in a folder that cannot be written",
    }
    rows = [(names[key], spread(values).text(".2f")) for key, values in times.items()]
    table = Table("Cold start", ("", "s to the first answer"), rows, [why] if why else [])
    return Measured([table], {key: spread(values).middle for key, values in times.items()})


def _start(service: Service, body: bytes) -> float:
    started = perf_counter()
    service.begin()
    try:
        while perf_counter() - started < _PATIENCE:
            try:
                if service.ask("POST", "/detect", body).status == 200:
                    return perf_counter() - started
            except OSError:
                if service.ended:
                    break
            sleep(0.005)
        raise RuntimeError("the service did not answer")
    finally:
        service.stop()


def _read_only(run: Run) -> Service:
    """A service that finds compiled code in a folder that it cannot write."""
    code = run.folder / "kernels"
    shutil.copytree(cache_folder()[0], code / cache_folder()[0].name)
    service = run.service("cold_read_only", KERNEL_CACHE_DIR=str(code))
    for folder in [code, *code.rglob("*")]:
        if folder.is_dir():
            folder.chmod(0o555)
    if os.geteuid() == 0:
        service.wrapper = _OBEDIENT
    return service
