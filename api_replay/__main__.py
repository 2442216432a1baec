"""`python -m api_replay`: the command `replay`."""

from api_replay.cli import main

raise SystemExit(main())
