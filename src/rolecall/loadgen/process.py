"""What this process does in a load run; the locustfile and its users share it."""

from __future__ import annotations

import argparse

from rolecall.loadgen.run import LoadRun
from rolecall.loadgen.worker import Worker


class Process:
    """What this process does in a run: its clients, or the conducting, or both."""

    worker: Worker
    run: LoadRun | None = None
    #: What this machine's own command line says; Locust puts a master's words in its place, even
    #: before a worker is made.
    said: argparse.Namespace | None = None


#: There is one run at a time in a process of Locust.
THIS_PROCESS = Process()
