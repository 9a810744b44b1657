"""Python imports this first in every program that a test starts, so that the program's AWS calls are recorded, too."""

import call_record

call_record.install()
