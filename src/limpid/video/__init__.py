"""Videos: every frame restored, in constant memory; sound, subtitles, frame times and colours kept.

`restore_video` does it. Reading, writing and joining need PyAV, the extra `video`. A video is restored in segments,
which lie in a hidden folder beside the result until they are joined, so that an interrupted run continues where it
stopped.
"""

from limpid.video.formats import CONTAINERS, SUFFIXES
from limpid.video.restore import VideoReport, restore_video
from limpid.video.settings import VideoSettings

__all__ = ["CONTAINERS", "SUFFIXES", "VideoReport", "VideoSettings", "restore_video"]
