"""Raw files as one DataFrame of text records, whatever their format, each with its place and its raw text.

Texts only: what they mean is for `rules` to say. Every line and row of every file is there, blank lines too, so that
what was read can be counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from functools import reduce
from itertools import groupby
from operator import attrgetter
from typing import Final

from pyspark.sql import Column, DataFrame, DataFrameReader, SparkSession
from pyspark.sql import functions as F

from refunds_lake.frames import local_frame
from refunds_lake.objects import ObjectStore
from refunds_lake.raw_files import CSV, FIELDS, JSON, RawFile

LINE_BYTES: Final = 1 << 20
"""A longer line is rejected, with its beginning as its raw text; Athena reads no row of more than 32 MB."""
_RAW_TEXT_BYTES: Final = 1 << 16
_JSON_OPTIONS: Final = {
    "allowSingleQuotes": "false",
    "allowNonNumericNumbers": "false",
    "columnNameOfCorruptRecord": "_corrupt",
    "mode": "PERMISSIVE",
}
_CSV_OPTIONS: Final = {"escape": '"', "columnNameOfCorruptRecord": "_corrupt", "mode": "PERMISSIVE"}
_TEXTS: Final = ("id", "customer_id", "merchant_id", "parent_id")
_PATTERN: Final = frozenset("{}[]*?\\")
_REPLACEMENT: Final = "\ufffd"

# The usual line: one flat object without escapes, whose ids are strings (or null) and whose keys stand right before their
# colon. Everything else is legal too and takes the slower way.
_STRING = r'"[^"\\\x00-\x1f]*+"'
_PAIR = (
    rf'(?:"(?:id|customer_id|merchant_id|parent_id)":\s?(?:{_STRING}|null)'
    rf'|(?!"(?:id|customer_id|merchant_id|parent_id)"){_STRING}:\s?(?:{_STRING}|[-+.0-9a-zA-Z]++))'
)
PLAIN_OBJECT: Final = rf"^\s*+\{{{_PAIR}(?:,\s?{_PAIR})*+\}}\s*+\z"


def files_frame(spark: SparkSession, store: ObjectStore, files: Sequence[RawFile]) -> DataFrame:
    """One row per file: path as Spark names it, number in version order, and what its rows inherit from it."""
    rows = [
        (
            hadoop_path(store.uri(file.key)),
            number,
            file.stored.last_modified,
            file.key,
            (file.stored.last_modified + timedelta(days=2)).replace(hour=0, minute=0, second=0, microsecond=0),
        )
        for number, file in enumerate(files)
    ]
    return local_frame(
        spark, "path string, file int, ingested_at timestamp, source_file string, too_late timestamp", rows
    )


def hadoop_path(uri: str) -> str:
    """A URI as `_metadata.file_path` writes it: what java.net.URI quotes is quoted, other letters stand."""
    legal = "/_-!.~'()*,;:$&+=@"
    return "".join(
        letter
        if (letter.isascii() and letter.isalnum()) or letter in legal or not (letter.isascii() or letter.isspace())
        else "".join(f"%{byte:02X}" for byte in letter.encode())
        for letter in uri
    )


def records(spark: SparkSession, store: ObjectStore, files: Sequence[RawFile], files_known: DataFrame) -> DataFrame:
    """All records of the files: where they stand (file, block, row), their raw text, what is wrong with it, and seven texts.

    Out: file, too_late, block, row, is_blank, text (null for a Parquet row or a line that is too long), cut (its beginning, or
    the row as JSON), fault, is_tidy (no field holds a tab or an end of line), not_text, invalid_utf8 and the seven fields.
    """
    shape = attrgetter("format", "columns", "header")
    placed = F.broadcast(files_known.select("path", "file", "too_late"))
    frames = []
    for (format_, columns, header), group in groupby(sorted(files, key=shape), key=shape):
        uris = [store.uri(file.key) for file in group]
        if format_ == JSON:
            frames.append(_from_json(_lines(spark, uris, placed, header=None)))
        elif format_ == CSV:
            frames.append(_from_csv(_lines(spark, uris, placed, header=header), [name for name, _ in columns]))
        else:
            frames.append(_from_parquet(spark, uris, placed, columns))
    return reduce(DataFrame.unionByName, frames)


def _place() -> list[Column]:
    """Where a row stands: its file, the block that one task reads of it, and a number that grows with the lines."""
    return [
        F.col("_metadata.file_path").alias("path"),
        F.col("_metadata.file_block_start").alias("block"),
        F.monotonically_increasing_id().alias("row"),
    ]


def _load(reader: DataFrameReader, format_: str, uris: Sequence[str], placed: DataFrame) -> DataFrame:
    """The rows of the files, with their place, each file once.

    With globbing off, Spark reads all given files once more for each name that looks like a pattern, so such a name gets
    a reader of its own (DataSource.checkAndGlobPathIfNecessary, in 3.5 and 4.1).
    """
    usual = [uri for uri in uris if not _PATTERN & set(uri)]
    portions = [*([usual] if usual else []), *([uri] for uri in uris if _PATTERN & set(uri))]
    loaded = [
        reader.format(format_).option("__globPaths__", "false").load(portion).select(*_place(), "*")
        for portion in portions
    ]
    # Now, so that the path of the file is not copied from step to step with each of its rows.
    return reduce(DataFrame.unionByName, loaded).join(placed, on="path", how="left").drop("path")


_PLACE: Final = ("file", "too_late", "block", "row")


def _lines(spark: SparkSession, uris: Sequence[str], placed: DataFrame, header: str | None) -> DataFrame:
    """Text files by line: LF or CRLF ends a line, a byte order mark is no part of it, and repeated headers are blank."""
    value = F.expr(r"CASE WHEN endswith(value, '\r') THEN substr(value, 1, char_length(value) - 1) ELSE value END")
    text = F.when(F.col("line").startswith("\ufeff"), F.expr("substr(line, 2)")).otherwise(F.col("line"))
    reader = spark.read.option("lineSep", "\n")
    is_header = F.col("text") == header if header is not None else F.lit(False)
    is_too_long = F.octet_length("text") > LINE_BYTES
    # One side is enough; for the other, Spark's trim builds two arrays as long as the line (UTF8String.trimRight).
    has_only_blanks = F.expr(r"trim(LEADING ' \t\r\n' FROM text)") == ""
    return (
        _load(reader, "text", uris, placed)
        .select(*_PLACE, value.alias("line"))
        .select(*_PLACE, text.alias("text"))
        .select(
            *_PLACE,
            F.when(F.col("text").startswith("{"), F.lit(False))
            .otherwise(is_header | has_only_blanks)
            .alias("is_blank"),
            F.when(~is_too_long, F.col("text")).alias("text"),
            F.when(is_too_long, F.expr(f"substr(text, 1, {_RAW_TEXT_BYTES})")).alias("cut"),
        )
    )


def _from_json(lines: DataFrame) -> DataFrame:
    """JSON Lines. Numbers are taken from the text of the line: Spark would pass them through a double."""
    fields = [*(f"{name} string" for name in FIELDS), "_corrupt string"]
    parsed = lines.withColumn("is_plain", F.col("text").rlike(PLAIN_OBJECT)).withColumn(
        "json", F.from_json("text", ", ".join(fields), _JSON_OPTIONS)
    )
    is_plain = F.col("is_plain")
    fault = (
        F.when(F.col("text").isNull(), "line_too_long")
        .when(F.col("json._corrupt").isNotNull(), "not_json")
        .when(~is_plain & ~_is_one_object(), "not_json")
    )
    amount = F.when(F.col("json.amount").isNotNull(), F.when(is_plain, _plain_amount()).otherwise(_any_amount()))
    return parsed.select(
        *_PLACE,
        "is_blank",
        "text",
        "cut",
        fault.alias("fault"),
        is_plain.alias("is_tidy"),
        F.when(~is_plain, _not_text()).alias("not_text"),
        _is_invalid_utf8("json.").alias("invalid_utf8"),
        *((amount if name == "amount" else F.col(f"json.{name}")).alias(name) for name in FIELDS),
    )


def _is_one_object() -> Column:
    """The whole line is one JSON object: it is a value in a list and in an object, and Spark finds it to be an object."""
    in_list = F.from_json(
        F.concat(F.lit("["), F.col("text"), F.lit("]")), "array<struct<id:string,_corrupt:string>>", _JSON_OPTIONS
    )
    in_object = F.from_json(
        F.concat(F.lit('{"_":'), F.col("text"), F.lit("}")), "_ map<string,string>, _corrupt string", _JSON_OPTIONS
    )
    starts = F.expr(r"ltrim(text)").startswith("{") | F.col("text").rlike(r"^\s*\{")
    return starts & F.coalesce(
        (F.size(in_list) == 1) & in_object.getField("_corrupt").isNull() & in_object.getField("_").isNotNull(),
        F.lit(False),
    )


def _plain_amount() -> Column:
    """The amount of a plain object: its parsed string, or the literal behind its last key `amount`."""
    literal = F.expr(
        """trim(substring_index(substring_index(substring_index(text, '"amount":', -1), ',', 1), '}', 1))"""
    )
    return F.when(literal.startswith('"'), F.col("json.amount")).otherwise(literal)


def _any_amount() -> Column:
    """The amount of any object: number literals behind a key `amount` are made strings before the line is parsed."""
    quoted = F.regexp_replace("text", r'(?<=[{,\s])("amount"\s*:\s*)(-?[0-9][-+.0-9eE]*)', '$1"$2"')
    exact = F.from_json(quoted, "amount string", _JSON_OPTIONS).getField("amount")
    still_number = F.from_json(quoted, "amount double", _JSON_OPTIONS).getField("amount").isNotNull()
    is_name = exact.isin("NaN", "Infinity", "-Infinity", "+INF", "INF", "-INF")
    return F.when(still_number & ~is_name, F.lit("(a number behind an escaped key)")).otherwise(exact)


def _not_text() -> Column:
    """The id fields that are there but are no JSON strings; only a value of another type parses as that type."""
    others = [
        F.from_json("text", ", ".join(f"{name} {type_}" for name in _TEXTS), _JSON_OPTIONS)
        for type_ in ("boolean", "double", "map<string,string>", "array<string>")
    ]

    def is_other(name: str) -> Column:
        is_number_word = F.col(f"json.{name}").isin("NaN", "Infinity", "-Infinity", "+INF", "INF", "-INF", "+Infinity")
        return (
            reduce(lambda one, more: one | more, (each.getField(name).isNotNull() for each in others)) & ~is_number_word
        )

    return F.array_compact(F.array(*(F.when(is_other(name), F.lit(name)) for name in _TEXTS)))


def _is_invalid_utf8(prefix: str) -> Column:
    """An id holds the replacement character that decoding puts where bytes are no UTF-8, and the line has none of its own."""
    suspicious = reduce(
        lambda one, more: one | more,
        (F.coalesce(F.col(f"{prefix}{name}").contains(_REPLACEMENT), F.lit(False)) for name in _TEXTS),
    )
    own = F.col("text").contains(_REPLACEMENT) | F.lower("text").contains("\\ufffd")
    return suspicious & ~F.coalesce(own, F.lit(False))


def _from_csv(lines: DataFrame, names: Sequence[str]) -> DataFrame:
    """CSV lines under one header; a quoted field may hold commas and doubled quotes, but no line break."""
    schema = ", ".join([*(f"`{place}` string" for place in range(len(names))), "_corrupt string"])
    well_quoted = r'^(?:"(?:[^"]++|"")*+"|[^",]*+)(?:,(?:"(?:[^"]++|"")*+"|[^",]*+))*+\z'
    parsed = lines.withColumn("csv", F.from_csv("text", schema, _CSV_OPTIONS))
    is_sound = F.col("csv._corrupt").isNull() & (~F.col("text").contains('"') | F.col("text").rlike(well_quoted))
    fault = F.when(F.col("text").isNull(), "line_too_long").when(~F.coalesce(is_sound, F.lit(False)), "csv_malformed")
    flat = parsed.select(
        "*",
        fault.alias("fault"),
        *(
            (F.col(f"csv.`{names.index(name)}`") if name in names else F.lit(None).cast("string")).alias(name)
            for name in FIELDS
        ),
    )
    return flat.select(
        *_PLACE,
        "is_blank",
        "text",
        "cut",
        "fault",
        (~F.col("text").rlike(r"[\t\r]")).alias("is_tidy"),
        F.lit(None).cast("array<string>").alias("not_text"),
        _is_invalid_utf8("").alias("invalid_utf8"),
        *FIELDS,
    )


def _from_parquet(
    spark: SparkSession, uris: Sequence[str], placed: DataFrame, columns: Iterable[tuple[str, str]]
) -> DataFrame:
    """Parquet rows under one schema; the raw text of a row is its JSON."""
    types: Mapping[str, str] = {name: type_ for name, type_ in columns if name in FIELDS}
    schema = ", ".join(f"`{name}` {type_}" for name, type_ in types.items())
    rows = _load(spark.read.schema(schema), "parquet", uris, placed)
    return rows.select(
        *_PLACE,
        F.lit(False).alias("is_blank"),
        F.lit(None).cast("string").alias("text"),
        F.to_json(F.struct(*types), {"ignoreNullFields": "false"}).alias("cut"),
        F.lit(None).cast("string").alias("fault"),
        F.lit(False).alias("is_tidy"),
        F.lit(None).cast("array<string>").alias("not_text"),
        F.lit(False).alias("invalid_utf8"),
        *(_as_text(name, types.get(name)).alias(name) for name in FIELDS),
    )


def _as_text(name: str, type_: str | None) -> Column:
    if type_ is None:
        return F.lit(None).cast("string")
    text = F.col(name).cast("string")
    if type_.startswith("decimal"):
        # Without the zeros that only fill up the scale. Not by comparing decimals: Spark 4.1 rounds to a common scale first.
        plain = F.expr(f"trim(TRAILING '.' FROM trim(TRAILING '0' FROM cast(`{name}` as string)))")
        return F.when(F.col(name) == 0, "0").when(text.contains("."), plain).otherwise(text)
    return text
