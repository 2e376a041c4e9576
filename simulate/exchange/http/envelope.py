"""How calls and their answers are wrapped: JSON-RPC, single or several at once, and REST.

Codes of errors are numbered in the order in which the documentation lists them ("Betting Exceptions", "Accounts
Exceptions"); the framework's own begin with DSC (github.com/betfair/cougar, `Cougar_Fault_Reporting`).
"""

from __future__ import annotations

import dataclasses
from typing import Any

from ..errors import ApiError, ParameterError

PARSE_ERROR = (-32700, "DSC-0008")
INVALID_REQUEST = (-32600, "DSC-0031")
NO_SUCH_METHOD = (-32601, "DSC-0021")
INVALID_PARAMETER = (-32602, "DSC-0018")
INTERNAL_ERROR = (-32603, "DSC-0005")
#: An exception that the API documents.
SERVER_ERROR = -32099

#: HTTP status of the framework's faults in REST.
STATUS_OF_FAULT = {
    "DSC-0005": 500,
    "DSC-0008": 400,
    "DSC-0011": 415,
    "DSC-0013": 406,
    "DSC-0018": 400,
    "DSC-0021": 404,
    "DSC-0023": 404,
    "DSC-0031": 400,
}

#: What faults of the framework mean, for the ledger: clients are told their codes alone.
MEANINGS = {
    "DSC-0005": "the exchange failed",
    "DSC-0008": "the body is not JSON",
    "DSC-0011": "Content-Type is not application/json",
    "DSC-0013": "Accept does not have application/json",
    "DSC-0018": "a parameter is missing or of another type",
    "DSC-0021": "there is no such operation",
    "DSC-0023": "there is no such address",
    "DSC-0031": "not a call of JSON-RPC, or too many of them at once",
}

_BETTING_CODES = (
    "TOO_MUCH_DATA",
    "INVALID_INPUT_DATA",
    "INVALID_SESSION_INFORMATION",
    "NO_APP_KEY",
    "NO_SESSION",
    "UNEXPECTED_ERROR",
    "INVALID_APP_KEY",
    "TOO_MANY_REQUESTS",
    "SERVICE_BUSY",
    "TIMEOUT_ERROR",
    "REQUEST_SIZE_EXCEEDS_LIMIT",
    "ACCESS_DENIED",
)
_ACCOUNT_CODES = (
    "INVALID_INPUT_DATA",
    "INVALID_SESSION_INFORMATION",
    "UNEXPECTED_ERROR",
    "INVALID_APP_KEY",
    "SERVICE_BUSY",
    "TIMEOUT_ERROR",
    "DUPLICATE_APP_NAME",
    "APP_KEY_CREATION_FAILED",
    "APP_CREATION_FAILED",
    "NO_SESSION",
    "NO_APP_KEY",
    "SUBSCRIPTION_EXPIRED",
    "INVALID_SUBSCRIPTION_TOKEN",
    "TOO_MANY_REQUESTS",
    "INVALID_CLIENT_REF",
    "WALLET_TRANSFER_ERROR",
    "INVALID_VENDOR_CLIENT_ID",
    "USER_NOT_SUBSCRIBED",
    "INVALID_SECRET",
    "INVALID_AUTH_CODE",
    "INVALID_GRANT_TYPE",
    "CUSTOMER_ACCOUNT_CLOSED",
)
#: Codes that are the exchange's fault and not the client's.
_SERVERS = frozenset({"UNEXPECTED_ERROR", "SERVICE_BUSY", "TIMEOUT_ERROR"})


@dataclasses.dataclass(frozen=True)
class Service:
    """One of the API's services.

    Attributes:
        name: as methods of JSON-RPC begin.
        exception: what its refusals are called.
        prefix: of the numbers of its codes.
        codes: in the order of their numbers.
    """

    name: str
    exception: str
    prefix: str
    codes: tuple[str, ...]

    def number(self, code: str) -> str:
        """A code as it is told: ANGX-0003. One that the service does not have is told as UNEXPECTED_ERROR is."""
        known = code if code in self.codes else "UNEXPECTED_ERROR"
        return f"{self.prefix}-{self.codes.index(known) + 1:04d}"

    def told(self, error: ApiError) -> ApiError:
        """The account service has NO_SESSION for tokens that have expired, too."""
        if self.exception == "AccountAPINGException" and error.code == "INVALID_SESSION_INFORMATION":
            return ApiError("NO_SESSION", error.details)
        return error


#: By the folder of its address.
SERVICES = {
    "betting": Service("SportsAPING/v1.0/", "APINGException", "ANGX", _BETTING_CODES),
    "account": Service("AccountAPING/v1.0/", "AccountAPINGException", "AANGX", _ACCOUNT_CODES),
    "heartbeat": Service("HeartbeatAPING/v1.0/", "APINGException", "ANGX", _BETTING_CODES),
    "scores": Service("ScoresAPING/v1.0/", "APINGException", "ANGX", _BETTING_CODES),
}


@dataclasses.dataclass
class Outcome:
    """What became of one call.

    Attributes:
        result: what it returned, if it was not refused.
        error: why it was refused; None if it was not.
        fault: code and text of JSON-RPC, if the framework refused it.
        uuid: of the request, told with a refusal.
        details: why the framework refused it, in words; clients are not told.
    """

    result: Any = None
    error: ApiError | None = None
    fault: tuple[int, str] | None = None
    uuid: str = ""
    details: str = ""

    @property
    def why(self) -> str | None:
        """For the ledger: why it was refused, in words."""
        if self.error is not None:
            return self.error.details or None
        return None if self.fault is None else self.details or MEANINGS[self.fault[1]]

    @property
    def code(self) -> str | None:
        """For the ledger: why it was refused."""
        if self.error is not None:
            return self.error.code
        return None if self.fault is None else self.fault[1]

    @classmethod
    def of(cls, error: ApiError | ParameterError, uuid: str) -> Outcome:
        if isinstance(error, ApiError):
            return cls(error=error, uuid=uuid)
        return cls(fault=INVALID_PARAMETER, uuid=uuid, details=str(error))


def json_rpc(service: Service, outcome: Outcome, request: dict[str, Any] | None) -> dict[str, Any]:
    """The answer to a call of JSON-RPC. `request`: None if it could not be read."""
    answer: dict[str, Any] = {"jsonrpc": "2.0"}
    if outcome.error is not None:
        error = service.told(outcome.error)
        data = {service.exception: _details(error, outcome.uuid), "exceptionname": service.exception}
        answer["error"] = {"code": SERVER_ERROR, "message": service.number(error.code), "data": data}
    elif outcome.fault is not None:
        code, message = outcome.fault
        answer["error"] = {"code": code, "message": message}
    else:
        answer["result"] = outcome.result
    if request is not None and "id" in request:
        answer["id"] = request["id"]
    return answer


def rest(service: Service, outcome: Outcome) -> tuple[int, Any]:
    """HTTP status and answer of a call of REST."""
    if outcome.error is not None:
        error = service.told(outcome.error)
        server = error.code in _SERVERS
        detail = {service.exception: _details(error, outcome.uuid), "exceptionname": service.exception}
        return (500 if server else 400), {
            "faultcode": "Server" if server else "Client",
            "faultstring": service.number(error.code),
            "detail": detail,
        }
    if outcome.fault is not None:
        return framework_fault(outcome.fault[1])
    return 200, outcome.result


def framework_fault(code: str) -> tuple[int, dict[str, Any]]:
    """HTTP status and body of a refusal of the framework."""
    status = STATUS_OF_FAULT[code]
    return status, {"faultcode": "Server" if status >= 500 else "Client", "faultstring": code, "detail": {}}


def _details(error: ApiError, uuid: str) -> dict[str, Any]:
    return {"requestUUID": uuid, "errorCode": error.code, "errorDetails": error.details}
