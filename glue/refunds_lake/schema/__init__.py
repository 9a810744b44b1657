"""The record contract, columns, months, hashes of ids: values and pure functions, without Spark."""
