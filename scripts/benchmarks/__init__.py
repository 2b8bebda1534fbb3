"""Benchmarks against baselines; RESULTS.md holds the figures.

May import `pipeline`, `model` and `scripts.common`.
Offers a module for each benchmark, its `*_variant` programs, and `measure`, which runs them in turn.
"""
