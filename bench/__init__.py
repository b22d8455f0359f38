"""Benchmarks beside their baselines: `python -m bench [name …]`, every ratio measured in one run."""
