"""Files from addresses: verified by a checksum that is known before, and gone on with where they broke off."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from limpid.errors import UserError

if TYPE_CHECKING:
    from requests import Response

#: What is called now and then with a file's name, how many bytes are there, and how many there will be (0: unknown).
Progress = Callable[[str, int, int], None]

_CHUNK = 1 << 16  # bytes; what is lost at most where a download breaks off
_TIMEOUT = 60  # seconds without a byte
#: How much of a checksum the name of an unfinished file shows, so that the rest of another is not added to it.
_DIGITS = 8


class NotDownloaded(UserError):  # noqa: N818 - as `CannotRun`
    """A file that could not be downloaded, or is another than the one that is known.

    Attributes:
        reason: why, in a few words.
    """

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


class _Refused(Exception):  # noqa: N818 - why is said by its text
    """What the server has cannot be the file."""


def download(url: str, sha256: str, folder: Path, progress: Progress | None = None, length: int | None = None) -> Path:
    """The path of a file that is downloaded and verified; one that is there already is only verified.

    Args:
        url: where it is.
        sha256: its checksum.
        folder: where it goes.
        progress: told while it comes.
        length: its bytes, where they are known: no more are taken.

    Raises:
        NotDownloaded: it could not be downloaded, or its checksum is another.
        OSError: it could not be written.
    """
    import pooch
    import requests

    name = url.rpartition("/")[2]

    def resumed(url: str, output: str, _: object) -> None:
        part = folder / f".{name}.{sha256[:_DIGITS]}.part"
        _resume(url, part, name, progress, length)
        part.replace(output)

    logger = pooch.get_logger()
    logger.setLevel("WARNING")
    try:
        return Path(pooch.retrieve(url, f"sha256:{sha256}", fname=name, path=folder, downloader=resumed))
    except (requests.RequestException, _Refused) as error:
        reason = _reason(error)
        raise NotDownloaded(
            f"{url} could not be downloaded ({reason}); give the same command again, which goes on where it broke off.",
            reason,
        ) from error
    except OSError as error:
        if error.errno is not None or isinstance(error, PermissionError):
            raise
        raise NotDownloaded(f"{url} could not be downloaded ({_reason(error)}).", _reason(error)) from error
    except ValueError as error:
        reason = f"what came has another checksum than the {sha256} that is known"
        raise NotDownloaded(
            f"{url} has another checksum than the {sha256} that is known, so it was thrown away; give the same command "
            "again, or obtain it by hand.",
            reason,
        ) from error


def _resume(url: str, part: Path, name: str, progress: Progress | None, length: int | None) -> None:
    """Bring the rest of a file to `part`; from its beginning where the server does not give parts."""
    import requests

    there = part.stat().st_size if part.is_file() else 0
    if length is not None and there > length:
        there = 0
    if there and there == length:
        return
    headers = {"Accept-Encoding": "identity"}  # what is packed on the way has other lengths
    if there:
        headers["Range"] = f"bytes={there}-"
    with requests.get(url, headers=headers, stream=True, timeout=_TIMEOUT) as answer:
        if there and answer.status_code == requests.codes.requested_range_not_satisfiable:
            return  # nothing is left to bring; the checksum will tell whether it is right
        answer.raise_for_status()
        goes_on = there > 0 and answer.status_code == requests.codes.partial_content
        there = there if goes_on else 0
        total = there + _announced(answer)
        _refuse_another(answer, there, length)
        with part.open("ab" if goes_on else "wb") as stream:
            for chunk in answer.iter_content(_CHUNK):
                there += len(chunk)
                if length is not None and there > length:
                    part.unlink()  # what came cannot be the beginning of the file
                    raise _Refused(f"more than the {length:,} bytes came that are known")
                stream.write(chunk)
                if progress is not None:
                    progress(name, there, total)
    if there < (length or total):
        raise requests.ConnectionError(f"{there} of {length or total} bytes came")


def _announced(answer: Response) -> int:
    """How many bytes the server says that come; 0 where it does not."""
    said = answer.headers.get("Content-Length", "")
    return int(said) if said.isascii() and said.isdigit() else 0


def _refuse_another(answer: Response, there: int, length: int | None) -> None:
    """Refuse an answer that cannot be the file, before what came earlier is written over."""
    if answer.headers.get("Content-Type", "").startswith("text/html"):
        raise _Refused("a web page came in its place, as a proxy or a page to log in gives it")
    announced = _announced(answer)
    if length is not None and announced and there + announced != length:
        raise _Refused(f"it has {there + announced:,} bytes there, and {length:,} are known")


def _reason(error: Exception) -> str:
    """Why a download failed, in a few words."""
    import requests

    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"the server answers {error.response.status_code} {error.response.reason}".rstrip()
    if isinstance(error, requests.Timeout):
        return f"no answer came within {_TIMEOUT} seconds"
    said = [
        one.strerror
        for one in _chain(error)
        if isinstance(one, OSError) and not isinstance(one, requests.RequestException) and one.strerror
    ]
    if said:
        proxy = "the proxy: " if isinstance(error, requests.exceptions.ProxyError) else ""
        return proxy + said[-1]
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the connection broke off"
    return str(error).split("\n")[0][:200] or type(error).__name__


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error and those that it was raised from; some of urllib3's hold theirs as `reason`."""
    while error is not None:
        yield error
        held = getattr(error, "reason", None)
        error = held if isinstance(held, BaseException) else error.__cause__ or error.__context__
