"""dataops sample: create sample transactions with a known answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import click

from deployer.documents import as_document
from deployer.lake.sample.sample_files import answer_path, write_sample
from deployer.lake.sample.transactions import DEFAULT_END, Sample
from deployer.terminal.app import App
from deployer.terminal.options import examples


@dataclass(frozen=True)
class SampleResult:
    """The raw files, and what they must lead to."""

    folder: Path  #: where the raw files are
    #: the file with the known answer: `total` and `monthly` as in `dataops report`, `months`, `counts` and more
    answer: Path
    files: int  #: how many raw files there are
    counts: Mapping[str, int]  #: what the job must count, as in `dataops run`


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
    help="The folder for the raw files; the answer is written beside it, to FOLDER.answer.json.",
)
@click.option(
    "--transactions", type=click.IntRange(min=1), default=1000, show_default=True, help="The number of transactions."
)
@click.option("--months", type=click.IntRange(min=1), default=12, show_default=True, help="The number of months.")
@click.option("--end", default=DEFAULT_END, show_default=True, metavar="YYYY-MM", help="The last month.")
@click.option("--seed", type=int, default=1, show_default=True, help="A different seed gives different transactions.")
@click.pass_obj
def sample(app: App, folder: Path, transactions: int, months: int, end: str, seed: int) -> None:
    """Create raw files with purchases, refunds and voids, and the refund report that they must lead to.

    The same options create identical files. In addition to the transactions, there are duplicates, older versions
    and bad records, as real senders deliver them.
    """
    made = Sample(transactions=transactions, months=months, seed=seed, end=end)
    if made.calendar.end > datetime.now(UTC).timestamp() + 86_400:
        app.say(f"warning: {end} is not over: the job rejects transactions dated after tomorrow")
    written = write_sample(made, folder)
    result = SampleResult(folder, answer_path(folder), len(written["files"]), written["counts"])
    size = sum((folder / name).stat().st_size for name in written["files"])
    app.say(f"next: dataops ingest --env local {folder}/*")
    head = f"{transactions:,} transactions of {months} months in {result.files} files, {size / 1e6:.1f} MB"
    app.emit(as_document(result), f"{head}\n{sample_text(result)}")


def sample_text(result: SampleResult) -> str:
    """Describe the records, and where the answer is."""
    counts = result.counts
    return (
        f"{counts['read']:,} records: {counts['kept']:,} to keep, {counts['duplicate']:,} duplicates, "
        f"{counts['superseded']:,} older versions, {counts['rejected']:,} bad\n"
        f"the answer: {result.answer}"
    )
