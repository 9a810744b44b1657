"""Python imports this first in every program that a test starts: its AWS calls are written down as well."""

import call_record

call_record.install()
