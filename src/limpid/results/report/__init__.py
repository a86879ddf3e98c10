"""A report: the run store and what was kept of it as a folder of pages that need no server and no network."""

from limpid.results.report.gather import Report, gather
from limpid.results.report.site import check, write

__all__ = ["Report", "check", "gather", "write"]
