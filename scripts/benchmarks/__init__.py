"""Benchmarks against the usual ways: `measure` is the frame, the other modules its candidates."""
