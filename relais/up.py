"""The whole house on one machine: servers, schema, towns, API and worker, started in order and stopped backwards.

`relais up` serves it empty; the demonstration opens the same house and fills it.
"""

