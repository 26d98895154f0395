"""What a person sees in a terminal: a run while it goes on, and what it came to.

``progress`` folds a run's events into a state, ``live`` and ``plain`` show that state, ``tables`` shows results.
Nothing here reads a store or a clock of its own accord; every text from outside passes ``wording.clean``.
"""
