"""Python imports this first in every program that a test starts, so that its AWS calls and its commands are recorded, too."""

import call_record
import command_record

call_record.install()
command_record.install()
