"""Streams of cells: the same as nbclient makes of them, and long lines cost no more than they weigh."""

import random
import re
import time
from types import SimpleNamespace

import pytest
from nbclient import client
from nbformat.v4 import new_output

from evaluation.comparator.reference import ReferenceFolder
from evaluation.compiled_cells import without_temporary_files
from evaluation.study.streams import as_shown, coalesced


def test_lines_written_over_are_shown_as_nbclient_shows_them():
    letters = random.Random(1)
    for _ in range(5000):
        text = "".join(letters.choices("ab\r\n", k=letters.randint(0, 12)))
        assert as_shown(text) == client._RGX_CARRIAGERETURN.sub("", text), repr(text)


def test_paths_of_compiled_cells_are_taken_out_as_a_plain_expression_would():
    plain = re.compile(r"[^\s\"'<>]*ipykernel_\d+[/\\]\d+\.py")
    letters = random.Random(2)
    pieces = ["/tmp/", "ipykernel_1/2.py", "ipykernel_x", " ", "'", "<", "a", "\n", ":7"]
    for _ in range(2000):
        text = "".join(letters.choices(pieces, k=letters.randint(0, 9)))
        if not re.search(r"ipykernel_1/2\.py[^\s\"'<>]*ipykernel_1/2\.py", text):
            assert without_temporary_files(text) == plain.sub("cell", text), repr(text)


def test_streams_are_put_together_and_errors_follow_what_was_printed():
    outputs = [
        new_output("stream", name="stderr", text="w"),
        new_output("stream", name="stdout", text="10 %"),
        new_output("display_data", data={"text/plain": "1"}),
        new_output("stream", name="stdout", text="\r20 %\n"),
        new_output("stream", name="stderr", text="!\n"),
    ]
    told = coalesced(outputs)
    assert [output.output_type for output in told] == ["stream", "stream", "display_data"]
    assert [(output.name, output.text) for output in told[:2]] == [("stdout", "20 %\n"), ("stderr", "w!\n")]


@pytest.mark.parametrize("text", ["x" * 5_000_000, "\r" * 2_000_000 + "x", ("x" * 999 + "\r") * 20_000 + "y\n"])
def test_long_lines_take_no_longer_than_they_weigh(text):
    begin = time.monotonic()
    coalesced([new_output("stream", name="stdout", text=text)])
    without_temporary_files(text + "ipykernel_1/2.py")
    assert time.monotonic() - begin < 20


def test_a_published_run_is_cleaned_in_time_that_grows_with_the_text():
    text = "x" * 2_000_000 + "/ipykernel_1/2.py"
    begin = time.perf_counter()
    assert ReferenceFolder.cleaned(SimpleNamespace(_hidden=list), text) == "cell"
    assert ReferenceFolder.cleaned(SimpleNamespace(_hidden=list), "x" * 2_000_000) == "x" * 2_000_000
    assert time.perf_counter() - begin < 20
