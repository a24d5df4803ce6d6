"""Simulations: a scenario in JSON, run through the real doors, drains and ten stages, then undone.

Nothing of a simulation is ever committed: it happens in one transaction that is rolled back, in a
tenant and on a clock that only it has seen.
"""
