"""The daily reports as people and programs fetch them: which there are, and each as its page.

Whoever writes them is the pipeline or `penguin-infra report`; here they are read, and nothing is made.
"""

import gzip
from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from fastapi.responses import HTMLResponse
from pydantic import BaseModel, Field
from starlette.responses import Response

from penguin_infra.analytics.report_files import ReportFile, list_files
from penguin_infra.gateway.callers import Caller, caller_of
from penguin_infra.gateway.errors import ApiError, json_response
from penguin_infra.wiring import Wiring

LATEST = "latest"

# The page carries its styles and scripts within; whatever else it asked for would be another's.
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cache-Control": "private, no-store",
    "Referrer-Policy": "no-referrer",
    "Vary": "Accept-Encoding",
    "X-Content-Type-Options": "nosniff",
}

_PAGE: dict[int | str, dict[str, Any]] = {
    200: {"description": "The page", "content": {"text/html": {"schema": {"type": "string"}}}}
}


class ReportOut(BaseModel):
    """A day's report."""

    day: date
    bytes: int = Field(description="Its size, uncompressed.")


class ReportsOut(BaseModel):
    """All reports that are kept, the newest first."""

    reports: list[ReportOut]


def add_report_routes(router: APIRouter, fleet: Wiring) -> None:
    """Add them to the operators' routes."""

    @router.get("/reports", tags=["reports"], response_model=ReportsOut)
    def get_reports(_caller: Annotated[Caller, caller_of(fleet, "read")]) -> Response:
        """Which daily reports there are."""
        found = [{"day": file.day.isoformat(), "bytes": file.size} for file in list_files(fleet.report_folder)]
        return json_response({"reports": found})

    @router.get("/reports/{day}", tags=["reports"], response_class=HTMLResponse, responses=_PAGE)
    def get_report(
        request: Request,
        _caller: Annotated[Caller, caller_of(fleet, "read")],
        day: Annotated[
            str, Path(pattern=r"^(latest|[0-9]{4}-[0-9]{2}-[0-9]{2})$", description="The day (UTC), or `latest`.")
        ],
    ) -> Response:
        """A day's report, one page that needs nothing else."""
        # Chosen among the files that are there: what is asked for never becomes a path.
        page = _read([file for file in list_files(fleet.report_folder) if day in {LATEST, file.day.isoformat()}])
        if page is None:
            raise ApiError(404, "not_found", f"no report of {day} is kept; `penguin-infra report --day` makes one")
        if "gzip" not in request.headers.get("accept-encoding", ""):
            return HTMLResponse(page, headers=_HEADERS)
        return HTMLResponse(gzip.compress(page, 5), headers=_HEADERS | {"Content-Encoding": "gzip"})


def _read(files: list[ReportFile]) -> bytes | None:
    try:
        return files[0].path.read_bytes() if files else None
    except FileNotFoundError:  # removed since it was found, being old
        return None
