"""Benchmarks: headrace measured beside its peers, and checked against their results.

Run from the checkout: `python -m benchmarks.replay`, `python -m benchmarks.parity` and
`python -m benchmarks.memory`. Not part of the package.
"""
