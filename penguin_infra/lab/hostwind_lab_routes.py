"""The lab's own calls to the simulated Hostwind: faults, and looks behind the scenes.

They (`/lab/...`) are no part of the contract, and no product code may use them.
"""

from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from penguin_infra.lab.hostwind_bill_routes import live
from penguin_infra.lab.hostwind_faults import FaultBoard, FaultKind
from penguin_infra.lab.hostwind_routes import Refusal, read_body
from penguin_infra.lab.hostwind_state import HostwindState


def lab_routes(state: HostwindState, board: FaultBoard) -> list[Route]:
    """The calls by method and path."""

    async def add_fault(request: Request) -> Response:
        return JSONResponse(_add_fault(board, await read_body(request)), 201)

    async def list_faults(_: Request) -> Response:
        return JSONResponse({"faults": [fault.answer() for fault in board.list()]})

    async def clear_faults(_: Request) -> Response:
        board.clear()
        return JSONResponse({"faults": []})

    async def show_next_address(_: Request) -> Response:
        address = state.next_address()
        return JSONResponse({"ip": None if address is None else str(address)})

    async def show_instance(request: Request) -> Response:
        instance = live(state, request)
        return JSONResponse(
            {
                "id": instance.provider_id,
                "image": instance.image,
                "ssh_keys": instance.ssh_keys,
                "reboots": instance.reboot_count,
                "plans": [change.plan for change in instance.plan_changes],
                "rdns": state.rdns(instance),
            }
        )

    return [
        Route("/lab/faults", add_fault, methods=["POST"]),
        Route("/lab/faults", list_faults, methods=["GET"]),
        Route("/lab/faults", clear_faults, methods=["DELETE"]),
        Route("/lab/instances/{id}", show_instance, methods=["GET"]),
        Route("/lab/next-address", show_next_address, methods=["GET"]),
    ]


def _add_fault(board: FaultBoard, asked: Mapping[str, object]) -> dict[str, object]:
    kind, seconds, count = asked.get("kind"), asked.get("seconds", 1.0), asked.get("count")
    method, path_prefix = asked.get("method"), asked.get("path_prefix")
    if not isinstance(kind, str) or kind not in set(FaultKind):
        raise Refusal(422, "unknown_kind", f"kinds are {', '.join(FaultKind)}")
    if not isinstance(seconds, int | float) or seconds < 0:
        raise Refusal(422, "invalid_seconds", "seconds is a number from 0 on")
    if count is not None and (not isinstance(count, int) or count < 1):
        raise Refusal(422, "invalid_count", "count is a whole number from 1 on, or null")
    fault = board.add(
        FaultKind(kind),
        seconds=seconds,
        count=count,
        method=str(method).upper() if method else None,
        path_prefix=str(path_prefix) if path_prefix else None,
    )
    return fault.answer()
