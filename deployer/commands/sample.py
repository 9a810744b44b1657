"""dataops sample: make sample transactions with the known answer."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from deployer.app import App
from deployer.options import examples

DEFAULT_END = "2026-10"  # sample.DEFAULT_END, without its imports; a test holds them equal


@click.command(
    epilog=examples(
        "dataops sample --out sample --transactions 200000 --months 24 --seed 7",
    )
)
@click.option(
    "--out",
    "folder",
    required=True,
    type=click.Path(path_type=Path),
    help="The folder of the raw files; the answer goes beside it, into FOLDER.answer.json.",
)
@click.option("--transactions", type=click.IntRange(min=1), default=1000, show_default=True, help="How many.")
@click.option("--months", type=click.IntRange(min=1), default=12, show_default=True, help="Over how many months.")
@click.option("--end", default=DEFAULT_END, show_default=True, metavar="YYYY-MM", help="The last month.")
@click.option("--seed", type=int, default=1, show_default=True, help="Another seed makes other transactions.")
@click.pass_obj
def sample(app: App, folder: Path, transactions: int, months: int, end: str, seed: int) -> int:
    """Make raw files with purchases, refunds and voids, and the refund report that must come out of them.

    The same options make the same files, byte for byte. On top of the transactions come duplicates, older versions
    and bad records, as real senders deliver them.
    """
    from deployer.sample import Sample
    from deployer.sample_files import answer_path, write_sample

    made = Sample(transactions=transactions, months=months, seed=seed, end=end)
    if made.calendar.end > datetime.now(UTC).timestamp() + 86_400:
        app.say(f"warning: {end} is not over: the job rejects transactions that are dated after tomorrow")
    document = write_sample(made, folder)
    counts = document["counts"]
    size = sum((folder / name).stat().st_size for name in document["files"])
    answer = answer_path(folder)
    app.say(f"next: dataops ingest --env local {folder}/*")
    app.emit(
        {"folder": str(folder), "answer": str(answer), "files": len(document["files"]), "counts": counts},
        f"{transactions:,} transactions of {months} months in {len(document['files'])} files, {size / 1e6:.1f} MB\n"
        f"{counts['read']:,} records: {counts['kept']:,} to keep, {counts['duplicate']:,} duplicates, "
        f"{counts['superseded']:,} older versions, {counts['rejected']:,} bad\n"
        f"the answer: {answer}",
    )
    return 0
