"""Benchmarks with their baselines."""
