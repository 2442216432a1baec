"""Coverage-guided fuzzing of every function that reads bytes: it returns or raises a named error.

Run by ``scripts/hard fuzz``; `sys.argv[1]` names the function.
"""

import sys
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import atheris

# Kernels are imported before: Numba cannot compile what Atheris has instrumented.
import api_anomaly.detector  # noqa: F401
import api_anomaly.logs.json_position  # noqa: F401
import api_anomaly.logs.setup_checks  # noqa: F401

with atheris.instrument_imports(include=["api_anomaly"]):
    from api_anomaly.errors import AnomalyError
    from api_anomaly.http.auth.schemes import presented_tokens
    from api_anomaly.http.encodings import ENCODINGS, decompress
    from api_anomaly.logs.decode import Decoder
    from api_anomaly.http.handlers.batch import idempotency_key
    from api_anomaly.http.auth.token_file import read_token_file
    from api_anomaly.storage.keys import SigningKeys
    from api_anomaly.storage.manifest import read_manifest
    from api_anomaly.storage.snapshot import read_snapshot

MOST_BYTES = 100_000
NAMES = sorted(ENCODINGS)
FOLDER = TemporaryDirectory()
FILE = Path(FOLDER.name) / "input"
KEYS = SigningKeys(["a signing key of the fuzzer"])
FAST, PYDANTIC = Decoder(1_000, 1_000), Decoder(1_000, 1_000, fast_path=False)


def compressed(data: bytes) -> None:
    """The first byte chooses the encoding."""
    encoding = NAMES[data[0] % len(NAMES)] if data else b"gzip"
    assert len(decompress(data[1:], encoding, MOST_BYTES)) <= MOST_BYTES


def outcome(decoder: Decoder, data: bytes) -> object:
    try:
        columns, logs, *options = decoder.decode_detect(data)
    except AnomalyError as error:
        return type(error), str(error)
    return str(columns), list(logs), options


def json(data: bytes) -> None:
    assert outcome(FAST, data) == outcome(PYDANTIC, data)
    for decode in (FAST.decode_detect, FAST.decode_train):
        decode(data)


def log(data: bytes) -> None:
    """Fuzz one value of a log, so that more of the input is well-formed JSON."""
    given = atheris.FuzzedDataProvider(data)
    name = given.PickValueInList(
        ["timestamp", "user_id", "method", "status_code", "ip_address", "response_time"]
    )
    value = given.ConsumeUnicodeNoSurrogates(60)
    json(
        b'{"logs":[{"endpoint":"/","user_id":"u","timestamp":0,"method":"GET","status_code":200,"'
        + name.encode()
        + b'":'
        + value.encode()
        + b"}]}"
    )


def headers(data: bytes) -> None:
    first, _, second = data.partition(b"\n")
    for read, name in ((presented_tokens, b"authorization"), (idempotency_key, b"idempotency-key")):
        read([(name, first), (name, second)])
    with suppress(AnomalyError):
        presented_tokens([(b"authorization", data)], shippers=True)


def manifest(data: bytes) -> None:
    read_manifest(data, KEYS)


def snapshot(data: bytes) -> None:
    FILE.write_bytes(b"api-anomaly memory 1\n" + data)
    read_snapshot(FILE, "schema", 16, KEYS)


def tokens(data: bytes) -> None:
    FILE.write_bytes(data)
    read_token_file(FILE)


READERS = {
    reader.__name__: reader
    for reader in (compressed, json, log, headers, manifest, snapshot, tokens)
}


def main() -> None:
    reader = READERS[sys.argv.pop(1)]

    def one(data: bytes) -> None:
        try:
            reader(data)
        except AnomalyError as error:
            assert error.code and str(error)

    one(b'{"logs":[]}')  # a first call that compiles a kernel would count as a hang
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
