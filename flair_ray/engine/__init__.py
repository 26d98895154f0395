"""Runs the plan: what to do is in ``plan.py``, in which order and under which promises in ``driver.py``,
one model call in ``asking.py``, on which processes in the executors."""
