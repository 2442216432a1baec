"""`python -m api_anomaly`: the command `api-anomaly`."""

from api_anomaly.cli.main import main

raise SystemExit(main())
