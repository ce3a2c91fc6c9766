"""Kills processes at exact points, in tests of any project. See README.md beside this package.

The module `plugin` is the pytest plugin; `client` and `points` are its parts and need no pytest.
"""

from .client import Client
from .points import Point, Tracer, count, spread

__all__ = ["Client", "Point", "Tracer", "count", "spread"]
