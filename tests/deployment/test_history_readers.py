"""Others read the history as it is: DuckDB, pandas and Spark read its folder as one table."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from benchmarks.service import Service
from tests.deployment.conftest import RealParts, until

pytestmark = pytest.mark.slow

COLUMNS = {
    "timestamp": ("TIMESTAMP WITH TIME ZONE", "timestamp"),
    "user_id": ("VARCHAR", "string"),
    "endpoint": ("VARCHAR", "string"),
    "method": ("VARCHAR", "string"),
    "status_code": ("SMALLINT", "smallint"),
    "response_time": ("DOUBLE", "double"),
    "ip_address": ("VARCHAR", "string"),
    "user_agent": ("VARCHAR", "string"),
    "request_size": ("BIGINT", "bigint"),
    "response_size": ("BIGINT", "bigint"),
    "received": ("TIMESTAMP WITH TIME ZONE", "timestamp"),
}
#: Logs by (date, hour): one hour is ten days before the others.
HOURS = {("2024-05-22", 23): 7, ("2024-06-01", 8): 60, ("2024-06-01", 9): 33}

DUCKDB = """
import duckdb, json, sys
table = f"read_parquet('{sys.argv[1]}/**/*.parquet', hive_partitioning = true)"
rows = lambda query: duckdb.sql(query).fetchall()
print(json.dumps({
    "types": {row[0]: row[1] for row in rows(f"describe select * from {table}")},
    "hours": [[str(date), int(hour), count] for date, hour, count in rows(
        f"select date, hour, count(*) from {table} group by all order by all")],
    "own": rows(f"select count(*) from {table} where hour(timestamp at time zone 'UTC') = hour"),
    "sum": rows(f"select sum(response_size), min(epoch(timestamp)) from {table}"),
}))
"""
SPARK = """
import json, sys
from pyspark.sql import SparkSession
builder = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false")
for name in ("spark.sql.shuffle.partitions", "spark.default.parallelism"):
    builder = builder.config(name, "1")
spark = builder.config("spark.sql.session.timeZone", "UTC").getOrCreate()
table = spark.read.parquet(sys.argv[1])
table.createOrReplaceTempView("logs")
rows = lambda query: [list(row) for row in spark.sql(query).collect()]
print(json.dumps({
    "types": dict(table.dtypes),
    "hours": rows("select string(date), hour, count(*) from logs group by 1, 2 order by 1, 2"),
    "own": rows("select count(*) from logs where hour(timestamp) = hour"),
    "sum": rows("select sum(response_size), double(min(timestamp)) from logs"),
}))
"""


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The history that a service has left in its folder, of logs of three hours."""
    folder = tmp_path_factory.mktemp("readers")
    lines = [
        f"192.0.2.{i % 9} - user-{i % 5} [{int(date[8:]):02}/{month}/2024:{hour:02}:{i % 60:02}:07"
        f' +0000] "GET /a/{i} HTTP/1.1" 200 {i} "-" "client/1"'
        for (date, hour), count in HOURS.items()
        for month in [{"05": "May", "06": "Jun"}[date[5:7]]]
        for i in range(count)
    ]
    with Service(folder) as service:
        for part in (lines[:50], lines[50:]):
            answer = service.request("POST", "/ingest", "\n".join(part).encode())
            assert answer.json()["accepted"] == 50
        service.stop()  # the next start moves the journal to Parquet files
        service.start()
        until(lambda: list(folder.glob("models/journal/*.compacted")), "the files are written")
    return folder / "models" / "history"


def assert_read(found: dict[str, Any], kind: int, hour: str) -> None:
    """What a reader found is what was sent. `kind`: the column of its types in COLUMNS."""
    types = {name: kinds[kind] for name, kinds in COLUMNS.items()}
    assert found["types"] == types | {"date": ("DATE", "date")[kind], "hour": hour}
    assert found["hours"] == [[*key, count] for key, count in sorted(HOURS.items())]
    assert found["own"] == [[100]]
    sizes = sum(sum(range(count)) for count in HOURS.values())
    assert found["sum"] == [[sizes, 1716418807.0]]


def test_duckdb_reads_the_folder_as_one_table(parts: RealParts, history: Path) -> None:
    done = parts.run(parts.tools / "python", "-c", DUCKDB, history)
    assert_read(json.loads(done.stdout), 0, "VARCHAR")  # of two digits


def test_spark_reads_the_folder_as_one_table(parts: RealParts, history: Path) -> None:
    done = parts.run(parts.tools / "python", "-c", SPARK, history)
    assert_read(json.loads(done.stdout.splitlines()[-1]), 1, "int")


def test_pandas_reads_the_folder_as_one_table(history: Path) -> None:
    frame = pd.read_parquet(history)
    assert list(frame.columns) == [*COLUMNS, "date", "hour"]
    assert str(frame["timestamp"].dtype) == str(frame["received"].dtype) == "datetime64[us, UTC]"
    hours = frame.groupby(["date", "hour"], observed=True).size()
    assert {(str(date), int(hour)): count for (date, hour), count in hours.items()} == HOURS
    assert (frame["timestamp"].dt.hour == frame["hour"].astype(int)).all()
