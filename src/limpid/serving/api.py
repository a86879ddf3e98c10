"""The endpoint for programs: one POST with a photograph and the name of a method gives the restored photograph."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING

from limpid.errors import UserError, nearest
from limpid.serving.limits import FIELDS, STATUS
from limpid.serving.page import Page, UnknownMethodError

if TYPE_CHECKING:
    from fastapi import FastAPI
    from starlette.datastructures import FormData
    from starlette.requests import Request
    from starlette.responses import Response

#: How many bytes of a file's name are kept, and of its suffix.
_NAME = 100
#: The fields that are known; each is sent once.
_KNOWN = ("file", "method", "strength", "format")
_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"]
#: The status of an answer that is no photograph; that of all other mistakes is 400.
_STATUS = {**STATUS, UnknownMethodError: 404}


def add_endpoints(app: FastAPI, page: Page) -> None:
    """Add ``POST /api/restore`` and ``GET /api/methods`` to `app`; all else below ``/api`` is not found.

    Every answer that is no photograph is JSON; one to a mistake is ``{"error": SENTENCE}``.
    """
    from starlette.concurrency import run_in_threadpool
    from starlette.requests import ClientDisconnect
    from starlette.responses import JSONResponse

    async def restore(request: Request) -> Response:
        try:
            form = await _form(request)
            try:
                return await run_in_threadpool(_restored, page, form)
            finally:
                await form.close()
        except UserError as error:
            return JSONResponse({"error": str(error)}, _STATUS.get(type(error), 400))
        except ClientDisconnect:  # nobody is there to read an answer, and nothing went wrong here
            return JSONResponse({"error": "The request broke off."}, 400)
        except asyncio.CancelledError:  # the server ends, and says so instead of leaving a traceback
            return JSONResponse({"error": "The server was stopped."}, 503)

    async def methods(request: Request) -> Response:
        offered = [one._asdict() for one in page.offered]
        shown = [{key: one[key] for key in ("name", "tasks", "about", "limits")} for one in offered]
        return JSONResponse({"methods": shown, "megapixels": page.megapixels, "bytes": page.most_bytes})

    async def other(request: Request) -> Response:
        known = {"/api/restore": "POST", "/api/methods": "GET"}
        wanted = known.get(request.url.path)
        if wanted is not None:
            return JSONResponse({"error": f"{request.url.path} takes {wanted} alone."}, 405, {"Allow": wanted})
        return JSONResponse({"error": f"There are only {' and '.join(known)} here."}, 404)

    app.add_route("/api/restore", restore, methods=["POST"])
    app.add_route("/api/methods", methods, methods=["GET"])
    app.add_route("/api/{rest:path}", other, methods=_METHODS)


async def _form(request: Request) -> FormData:
    """The fields of a request.

    Raises:
        UserError: it is no form, or its body is too long or too slow; see `limpid.serving.limits`.
    """
    from starlette.exceptions import HTTPException

    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        raise UserError("Send a form (multipart/form-data) with the fields file and method.")
    try:
        return await request.form(max_files=1, max_fields=8, max_part_size=FIELDS)
    except HTTPException as error:
        raise UserError(f"The form cannot be read ({error.detail}); send the fields file and method.") from error


def _restored(page: Page, form: FormData) -> Response:
    """The answer to a form: the restored photograph.

    Raises:
        UserError: see `Page.restore`; or a field is missing or wrong.
    """
    from starlette.background import BackgroundTask
    from starlette.datastructures import UploadFile
    from starlette.responses import FileResponse

    upload, method = form.get("file"), form.get("method")
    if not isinstance(upload, UploadFile) or not upload.filename:
        raise UserError("The field file holds no photograph; send one as a file.")
    _refuse_fields(form)
    if not isinstance(method, str) or not method:
        raise UserError("The field method is missing; GET /api/methods lists them.")
    strength, suffix = _strength(form.get("strength", "1")), _suffix(form.get("format", "png"))
    folder = Path(tempfile.mkdtemp(dir=page.folder))
    try:
        source = folder / _file_name(upload.filename)
        with source.open("wb") as file:
            shutil.copyfileobj(upload.file, file)
        result = page.restore_each(str(source), [method], strength, suffix, folder)[0]
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    download = Path(result.download)
    return FileResponse(download, filename=download.name, background=BackgroundTask(shutil.rmtree, folder, True))


def _refuse_fields(form: FormData) -> None:
    """Refuse a field of another name, and one that is there twice: neither is passed over silently."""
    for name in form:
        if name not in _KNOWN:
            hint = nearest(name, _KNOWN) or f"; there are {', '.join(_KNOWN)}."
            raise UserError(f"There is no field {name!r}{hint}")
        if len(form.getlist(name)) > 1:
            raise UserError(f"The field {name} is there more than once; send one request for each.")


def _strength(value: object) -> float:
    try:
        return float(str(value))
    except ValueError as error:
        raise UserError(f"The field strength is {value!r}, but it must be a number from 0 to 1.") from error


def _suffix(value: object) -> str:
    """The suffix of the format that is asked for, such as ``.png``."""
    from limpid.data.photo_io import FORMATS

    suffix = f".{str(value).lower().removeprefix('.')}"
    if suffix not in FORMATS:
        kinds = ", ".join(sorted(known[1:] for known in FORMATS))
        raise UserError(f"The field format is {value!r}, but it must be one of {kinds}.")
    return suffix


def _file_name(given: str) -> str:
    """The last part of the name that a program gave its file, which names no folder, and is not too long."""
    name = PureWindowsPath(PurePosixPath(given).name).name.replace("\0", "")
    stem, suffix = _last_bytes(Path(name).stem), _last_bytes(Path(name).suffix)
    return f"{stem}{suffix}" if stem.strip(".") else f"photograph{suffix}"


def _last_bytes(name: str) -> str:
    """The end of a name that a file system takes, whatever its letters are."""
    return name.encode("utf-8", "ignore")[-_NAME:].decode("utf-8", "ignore")
