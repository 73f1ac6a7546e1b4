"""Canvas: what follows a task's end (links, the next of a chain, its part in a chord).

`pinning` is the producer's side, `following` the publisher's. The tasks that follow get their ids
at submit, so that whoever applies them twice applies the same tasks.
"""
