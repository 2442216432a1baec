"""A traffic simulator: labelled logs of a REST API.

    scenario    what to simulate: one frozen dataclass, and presets
    catalogue   the API: endpoints, latencies, sizes, error rates
    chains      how people of each role move between endpoints
    agents      devices and user agents; network: addresses of homes, offices, carriers, clouds
    people      users and their activity; sessions: their visits
    services    machine clients; visitors: traffic without a user
    hard_cases  benign behaviour on which static rules fire
    attacks     the attack families, one row each; campaigns: the requests of attackers
    server      responses: status, latency, sizes, under load and during deploys
    simulation  all of it together; writer and command: NDJSON files and the command line

Labels are by actor: every log has one actor, every actor is benign or belongs to one attack family,
and the label of a log is that of its actor. A stolen account therefore has two actors: its owner
and the attacker. The simulator uses no rule, no feature and no detector. It needs numpy only.
"""
