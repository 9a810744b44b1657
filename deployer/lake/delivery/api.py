"""Route 3, the HTTP API: sends lines of a file in calls of up to 500 records; refused lines are listed, the rest is sent.

A call is taken whole or not at all, so a call with bad lines is sent again without them. A line that is no JSON object
would spoil its call and is not sent.
"""

from __future__ import annotations

import json
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from refunds_lake.schema.contract import NOT_JSON
from refunds_lake.schema.plain_values import DECODER

from deployer.aws.http_answers import HttpAnswer, NoAnswer
from deployer.errors import DataopsError
from deployer.lake.delivery.delivery import Delivery, Reason, RefusedLine, grouped
from deployer.lake.delivery.files import BadFiles, RawFile
from deployer.lake.delivery.stream import text_lines
from deployer.lake.deployed_lake import Lake, MissingOutput
from deployer.printable import printable

if TYPE_CHECKING:
    from deployer.aws.session import Session
    from deployer.aws.signed_calls import SignedCalls

MOST_RECORDS: Final = 500
MOST_CALL_BYTES: Final = 4_500_000
"""Of the call as a JSON string, which is how API Gateway hands it on: the function takes no more than 6 MB of it."""
ATTEMPTS: Final = 10
AGAIN: Final = (408, 425, 429, 500, 502, 503, 504)


@dataclass(frozen=True)
class Line:
    """One record of a file and where it stands."""

    number: int
    text: bytes


class Refusal(DataopsError):
    """The API refuses our calls, whatever their content."""


def deliver_api(session: Session, lake: Lake, files: Sequence[RawFile], say: Callable[[str], None]) -> list[Delivery]:
    """Send each line of the files to the API; a line that it refuses is listed with its reasons."""
    problems = [problem for file in files if (problem := _problem(file)) is not None]
    if problems:
        raise BadFiles(problems, hint="nothing was delivered; route s3 accepts all formats")
    if lake.api_url is None:
        raise MissingOutput(["ApiUrl"], lake.environment)
    url, calls = f"{lake.api_url}/transactions", session.signed_calls()
    deliveries = []
    for number, file in enumerate(files, start=1):
        refused: list[RefusedLine] = []
        records = sum(_send(calls, url, file, call, refused) for call in calls_of(file, refused))
        refused.sort(key=lambda line: line.line)
        deliveries.append(Delivery(file.path, url, True, file.size_bytes, records, tuple(refused)))
        told = f", {len(refused):,} lines refused" if refused else ""
        say(f"{number}/{len(files)} {printable(file.path.name)}: {records:,} records accepted{told}")
    return deliveries


def _problem(file: RawFile) -> str | None:
    if file.format != "json":
        return f"{printable(str(file.path))}: the API accepts only JSON Lines, one record per line"
    try:
        for _ in text_lines(file):
            pass
    except (OSError, EOFError, zlib.error) as error:
        return f"{printable(str(file.path))}: cannot be read: {error}"
    return None


def calls_of(file: RawFile, refused: list[RefusedLine]) -> Iterator[list[Line]]:
    """Group the lines into calls that the API takes; lines that are no JSON objects go to `refused`."""
    lines = _objects(file, refused)
    return grouped(
        lines, lambda line: len(json.dumps(line.text.decode())), most=MOST_RECORDS, most_bytes=MOST_CALL_BYTES
    )


def _objects(file: RawFile, refused: list[RefusedLine]) -> Iterator[Line]:
    for number, text in text_lines(file):
        if _is_object(text):
            yield Line(number, text)
        else:
            refused.append(RefusedLine(number, (Reason(None, NOT_JSON),)))


def _is_object(text: bytes) -> bool:
    try:
        return isinstance(DECODER.decode(text.decode()), dict)
    except (ValueError, RecursionError):
        return False


def _send(calls: SignedCalls, url: str, file: RawFile, call: list[Line], refused: list[RefusedLine]) -> int:
    """Send a call until all of it is accepted or refused; the number of accepted records."""
    while call:
        answer = _answered(calls, url, file, b'{"records":[' + b",".join(line.text for line in call) + b"]}")
        document = _document(answer)
        if answer.status == 202:
            return len(call)
        reasons = reasons_by_index(document)
        if answer.status == 413:
            # The function counts its input otherwise than we do: smaller calls, and a line too long for any is refused.
            if len(call) > 1:
                middle = len(call) // 2
                return sum(_send(calls, url, file, half, refused) for half in (call[:middle], call[middle:]))
            reasons = {0: [Reason(None, "too_many_bytes")]}
        if answer.status not in (400, 413) or not reasons:
            raise _refusal(answer, document, url)
        refused += [RefusedLine(call[index].number, tuple(each)) for index, each in reasons.items()]
        call = [line for index, line in enumerate(call) if index not in reasons]
    return 0


def reasons_by_index(document: Any) -> dict[int, list[Reason]]:
    """Return what an answer says of single records, by their place in the call."""
    found: dict[int, list[Reason]] = {}
    for error in document.get("errors") or ():
        if isinstance(error.get("index"), int):
            found.setdefault(error["index"], []).append(Reason(error.get("field"), str(error.get("reason"))))
    return found


def _answered(calls: SignedCalls, url: str, file: RawFile, body: bytes) -> HttpAnswer:
    """Return a conclusive answer; after any other, repeat the call, which is harmless."""
    last, wanted = "", 0.0
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(max(min(0.1 * 2**attempt, 10.0), wanted))
        try:
            answer = calls.post(url, body)
        except NoAnswer as error:
            last, wanted = str(error), 0.0
        else:
            if answer.status not in AGAIN:
                return answer
            last, wanted = f"status {answer.status}", _retry_after(answer)
    raise DataopsError(
        f"the API accepted no call in {ATTEMPTS} attempts: {last}",
        where=str(file.path),
        hint="run the same command again: records delivered twice count once",
    )


def _retry_after(answer: HttpAnswer) -> float:
    try:
        return min(float(answer.headers.get("retry-after", 0)), 60.0)
    except ValueError:
        return 0.0


def _document(answer: HttpAnswer) -> Any:
    try:
        document = json.loads(answer.body)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _refusal(answer: HttpAnswer, document: Any, url: str) -> Refusal:
    reasons = [str(error.get("reason")) for error in document.get("errors") or () if error.get("reason")]
    hint = (
        "attach the policy of output ApiCallersPolicyArn to the credentials of this environment"
        if answer.status == 403
        else "docs/ingestion/api.md explains each reason"
    )
    return Refusal(f"the API refuses the call: {', '.join(reasons) or answer.status}", where=url, hint=hint)
