"""`python -m api_anomaly.client`: the command `replay`."""

from api_anomaly.client.cli import main

raise SystemExit(main())
