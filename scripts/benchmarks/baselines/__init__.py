"""Programs of other projects that the benchmarks measure ours against, each in an environment of its own.

May import nothing of this project but `consumer` beside them.
"""
