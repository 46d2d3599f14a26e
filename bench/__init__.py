"""Measured claims: each file measures one, beside its alternatives, and writes its figures to bench/results."""
