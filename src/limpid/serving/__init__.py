"""A web page, and an endpoint for programs, to restore one's own photographs: what they offer, do, show and refuse.

Nothing leaves the machine: no analytics, no fonts or scripts from elsewhere (a Content-Security-Policy forbids them),
no public link. One photograph is restored at a time, of bounded size, and none is kept.
"""

from limpid.serving.application import application, is_loopback
from limpid.serving.offered import Offered, methods
from limpid.serving.page import Page, Result

__all__ = ["Offered", "Page", "Result", "application", "is_loopback", "methods"]
