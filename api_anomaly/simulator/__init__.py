"""A traffic simulator: logs of a REST API with the truth about every actor.

    scenario    what to simulate: one frozen dataclass and its presets
    catalogue   the API: endpoints, latencies, sizes, error rates
    chains      how people of each role move between endpoints
    agents      devices and their user agents; network: homes, offices, carriers, clouds
    people      users and their habits; sessions: their visits
    services    machine clients; visitors: traffic without a user
    hard_cases  benign behaviour that rules ban
    attacks     the attack families, one row each; campaigns: attackers carrying them out
    server      what the API answered: status, latency, sizes, under load and during deploys
    simulation  all of it together; writer and command: NDJSON files and the command line

Truth is by actor: every log has one actor, every actor is benign or belongs to one attack family,
and the label of a log is that of its actor. A stolen account therefore has two actors: its owner
and the thief. Nothing here knows a rule, a feature or a detector. Needs numpy only.
"""
