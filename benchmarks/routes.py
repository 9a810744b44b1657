"""What a record costs the API's function, beside JSON Schema and pydantic on the same records in the same run.

From the body of a call to what goes onto the stream, or to the reasons why not. fastjsonschema stops at the first error,
pydantic reports all, as the function does. Both do less: their numbers are floats, their texts are written anew, and they
know nothing of tomorrow. Ratios are of the CPU time of one process.

    pip install fastjsonschema pydantic
    python benchmarks/routes.py
"""

from __future__ import annotations

import importlib.util
import json
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "functions"), str(ROOT / "glue")]

from ingest_api import handler
from ingest_api.call import records_of
from refunds_lake.schema.contract import AMOUNT, TIMESTAMP

RECORDS, CALL, ROUNDS = 20_000, 500, 7
LATEST = datetime(2026, 11, 22, tzinfo=UTC)
Judge = Callable[[str], int]


def record(number: int, *, bad: bool) -> dict[str, Any]:
    """A purchase, a refund or a void in turn; a bad one breaks two rules."""
    kind = ("purchase", "refund", "void")[number % 3]
    parties = {"customer_id": f"c-{number % 97}", "merchant_id": "m"} if kind == "purchase" else {"parent_id": "p-1"}
    amount = "free" if bad else f"{number % 900 + 1}.{number % 100:02}"
    return {
        "id": "" if bad else f"t-{number}",
        "type": kind,
        "timestamp": f"2026-10-{number % 28 + 1:02}T10:00:{number % 60:02}Z",
        "amount": amount,
        **parties,
    }


def bodies(bad_every: int) -> list[str]:
    """Calls of 500 records, of which every so-many-th is bad; 0 for none."""
    records = [record(number, bad=bad_every > 0 and number % bad_every == 0) for number in range(RECORDS)]
    return [json.dumps({"records": records[first : first + CALL]}) for first in range(0, RECORDS, CALL)]


def ours(body: str) -> int:
    """How many records the function refuses."""
    refused = 0
    for index, each in enumerate(records_of(body)):
        if handler.errors_of(index, each, LATEST):
            refused += 1
        else:
            handler.entry(each)
    return refused


def by_fastjsonschema() -> Judge:
    """The contract as far as JSON Schema can say it."""
    import fastjsonschema

    text = {"type": "string", "minLength": 1, "maxLength": 64}
    validate = fastjsonschema.compile(
        {
            "type": "object",
            "required": ["id", "type", "timestamp", "amount"],
            "properties": {
                "id": text,
                "type": {"enum": ["purchase", "refund", "void"]},
                "timestamp": {"type": "string", "pattern": f"^{TIMESTAMP}$"},
                "amount": {"type": "string", "pattern": f"^{AMOUNT}$"},
            },
            "oneOf": [
                {"properties": {"type": {"const": "purchase"}}, "required": ["customer_id", "merchant_id"]},
                {"properties": {"type": {"enum": ["refund", "void"]}}, "required": ["parent_id"]},
            ],
        }
    )

    def judge(body: str) -> int:
        refused = 0
        for each in json.loads(body)["records"]:
            try:
                validate(each)
                json.dumps(each).encode()
            except fastjsonschema.JsonSchemaException:
                refused += 1
        return refused

    return judge


def by_pydantic() -> Judge:
    """The contract as two models in a union by the type."""
    from typing import Annotated

    from pydantic import BaseModel, Field, TypeAdapter, ValidationError

    text = Annotated[str, Field(min_length=1, max_length=64)]

    class Transaction(BaseModel):
        id: text  # type: ignore[valid-type]
        timestamp: datetime
        amount: Annotated[Decimal, Field(gt=0, max_digits=18, decimal_places=2)]

    class Purchase(Transaction):
        type: Literal["purchase"]
        customer_id: text  # type: ignore[valid-type]
        merchant_id: text  # type: ignore[valid-type]
        parent_id: None = None

    class Child(Transaction):
        type: Literal["refund", "void"]
        parent_id: text  # type: ignore[valid-type]

    # The annotations of local models are names that pydantic finds in these.
    for model in (Transaction, Purchase, Child):
        model.model_rebuild(_types_namespace={**globals(), **locals()})
    adapter: TypeAdapter[Any] = TypeAdapter(Annotated[Purchase | Child, Field(discriminator="type")])

    def judge(body: str) -> int:
        refused = 0
        for each in json.loads(body)["records"]:
            try:
                adapter.validate_python(each)
                json.dumps(each).encode()
            except ValidationError as error:
                error.errors()
                refused += 1
        return refused

    return judge


def contenders() -> Iterator[tuple[str, Judge]]:
    """The function, and what of the others is installed."""
    yield "the function", ours
    for name, make in {"fastjsonschema": by_fastjsonschema, "pydantic": by_pydantic}.items():
        if importlib.util.find_spec(name):
            yield name, make()
        else:
            print(f"{name} is not installed", file=sys.stderr)


def main() -> None:
    """Print, for good and for partly bad calls, the CPU per record and its ratio to the function's."""
    judges = dict(contenders())
    print(f"{RECORDS:,} records in calls of {CALL}, the best of {ROUNDS} rounds, contenders in turn")
    for title, bad_every in {"all good": 0, "every tenth bad": 10}.items():
        calls = bodies(bad_every)
        best = dict.fromkeys(judges, float("inf"))
        for _ in range(ROUNDS):
            for name, judge in judges.items():
                start = time.process_time()
                refused = sum(judge(body) for body in calls)
                best[name] = min(best[name], time.process_time() - start)
                assert refused == (RECORDS // bad_every if bad_every else 0), (name, refused)
        print(title)
        for name, seconds in best.items():
            per_record, ratio = seconds / RECORDS * 1e6, seconds / best["the function"]
            print(f"  {name:<16} {per_record:6.2f} us/record  {RECORDS / seconds:>9,.0f} records/s  ratio {ratio:.2f}")


if __name__ == "__main__":
    main()
