"""Spark starts on the wheel's Java, whichever Spark is installed; the JVMs here only print their version."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from deployer.local.glue.java import NOT_IN_THE_WHEEL, home_for_spark, is_spark_4, jars, java_home

ON_SPARK_4 = pytest.mark.skipif(not is_spark_4(), reason="the Spark of Glue 5.1 needs nothing in front of its Java")


def said(home: Path, *arguments: str) -> list[str]:
    command = [str(home / "bin" / "java"), *arguments, "-XshowSettings:properties", "-version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [line.strip() for line in done.stderr.splitlines()]


def test_java_is_the_wheels(tmp_path: Path) -> None:
    """Given a directory with blanks and brackets, then Spark's Java there is that of the wheel."""
    home = home_for_spark(tmp_path / "a [b] 'c'")
    assert f"java.home = {java_home()}" in said(home)


@ON_SPARK_4
def test_what_the_wheel_lacks_is_not_asked_for(tmp_path: Path) -> None:
    """Given the module that Spark 4 names, then the wheel's Java refuses it, but starts in the form that Spark gets."""
    java = java_home() / "bin" / "java"
    assert subprocess.run([java, NOT_IN_THE_WHEEL, "-version"], capture_output=True, check=False).returncode != 0
    assert said(home_for_spark(tmp_path), NOT_IN_THE_WHEEL)


@ON_SPARK_4
def test_each_jar_is_on_the_class_path_once(tmp_path: Path) -> None:
    """Given Spark 4's class path, which names a jar before its folder, then Java sees the jar once, and first."""
    twice, once = jars()
    lines = said(home_for_spark(tmp_path), "-cp", f"/a b/conf:{twice}")
    begin = lines.index("java.class.path = /a b/conf")
    seen = lines[begin + 1 : begin + 1 + once.count(":") + 1]
    assert seen == once.split(":")
    assert len(set(seen)) == len(seen) > 1
    assert Path(seen[0]).name.startswith("slf4j-api-")
