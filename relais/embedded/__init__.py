"""PostGIS and Redis without root and without Docker, for demonstrations, tests and small installations.

`running_stack` starts both (or uses the ones configured), and nothing of them stays running after it. What a
deployment runs on is `docker-compose.yml`, not this.
"""

from relais.embedded.problem import StackProblem
from relais.embedded.stack import Stack, StackUrls, running_stack, running_urls, stop_stack

__all__ = ["Stack", "StackProblem", "StackUrls", "running_stack", "running_urls", "stop_stack"]
