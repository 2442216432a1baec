"""The command `api-anomaly`: one module a sub-command, and the table of them in main.py.

Importing the module of a command is cheap: its `run` imports what it needs, so that `--help` is
fast and works without the packages of the service.
"""
