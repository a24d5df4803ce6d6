"""Steps in a pipe: one plain line for each that was finished."""

import io
import re

import pytest
from rich.console import Console

from aforo.commands.progress import Steps


def test_each_finished_step_is_a_line_with_its_time():
    paper = io.StringIO()

    with Steps(Console(file=paper)) as steps:
        steps.begin("one")
        steps.begin("two")

    assert re.fullmatch(r" +0\.0 s  one\n +0\.0 s  two\n", paper.getvalue())


def test_a_step_that_failed_is_not_shown_as_finished():
    paper = io.StringIO()

    with pytest.raises(ZeroDivisionError):
        fail_at_a_step(Console(file=paper))

    assert paper.getvalue() == ""


def fail_at_a_step(console: Console) -> None:
    with Steps(console) as steps:
        steps.begin("one")
        _ = 1 / 0
