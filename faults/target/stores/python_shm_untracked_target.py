#!/usr/bin/python3
"""python_shm_target.py without the resource tracker, which takes the memory away with the first client that ends; what
`track=False` does since Python 3.13.

  lightning-faults target --target faults/target/stores/python_shm_untracked_target.py
"""

from multiprocessing import resource_tracker

import lightning_target
import python_shm_target

resource_tracker.register = lambda name, kind: None


class Store(python_shm_target.Store):
    NAME = python_shm_target.Store.NAME + ", untracked"


if __name__ == "__main__":
    lightning_target.serve(Store)
