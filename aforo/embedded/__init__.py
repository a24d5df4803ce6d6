"""The local stack: real PostgreSQL and Valkey from wheels, started and stopped with the app.

From the bottom up: `leash` and `guard` see that nothing outlives us, `processes` starts and ends
one child, `home` is the data folder, `postgres` and `valkey` know their server, `supervisor` keeps
children running, `stack` names all of them in order.
"""
