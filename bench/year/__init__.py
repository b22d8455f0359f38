"""A year of a network of sixty real towns, with pacts and without: what they change, and what was foretold of it."""
