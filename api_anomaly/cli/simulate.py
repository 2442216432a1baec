"""`api-anomaly simulate`: write the logs of a simulated API."""

from api_anomaly.cli.command import Command
from api_anomaly.simulator import command

COMMAND = Command(
    name="simulate",
    summary="write the logs of a simulated API, with labels",
    manual=f"""\
Simulate the traffic of a REST API with planted attacks, and write it as JSON lines. Each log has a
label: benign, or the family of the attack and who sent it.

presets:
{command.describe_presets()}

examples:
  api-anomaly simulate --preset day --seed 1 --out day.ndjson
  api-anomaly simulate --preset week --users 500 --no-labels --out week.ndjson.gz""",
    add_arguments=command.add_arguments,
    run=command.run,
)
