"""Sets made from clean images, written as publishers lay theirs out: each image a function of the seed and its number.

A file of conf/make says which operator degrades, which card of conf/dataset loads the result, and where its files lie.
The images do not depend on the number of processes, and a second run gives the same bytes. Files appear under their
names only when they are whole; a run that was interrupted goes on where it was. A manifest beside the images holds a
line for every one: its files, the source's hash, and what was drawn.
"""

from limpid.data.make.images import make_image
from limpid.data.make.jobs import WORDS, Job, plan_jobs
from limpid.data.make.splits import make

__all__ = ["WORDS", "Job", "make", "make_image", "plan_jobs"]
