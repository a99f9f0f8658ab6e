"""Wrapping, Korean letters that take two columns, and colours only where they are wanted."""

import io
import tempfile
from types import SimpleNamespace

import pytest
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from evaluation.study.states import Progress
from evaluation.terminal import screen
from evaluation.terminal.sheet import Sheet, glued, rendered
from evaluation.terminal.spelling import padded


def written(text, width, **options):
    sheet = Sheet(width)
    sheet.write(text, **options)
    return rendered(sheet.page(), width=width or 80).splitlines()


def test_lines_are_broken_between_words_and_go_on_further_in():
    assert written("one two three four five six seven eight", 36, indent=2) == [
        "  one two three four five six seven",
        "    eight",
    ]


def test_the_lines_of_a_message_keep_their_own_indents():
    assert written("MarginError: a\n  Merge it with b or leave it out now", 36, indent=2) == [
        "  MarginError: a",
        "    Merge it with b or leave it out",
        "      now",
    ]


@pytest.mark.parametrize("width", [36, 41, 57])
def test_korean_text_is_broken_by_columns_not_by_letters(width):
    lines = written("종로구 " * 40, width, indent=3)
    assert all(cell_len(line) <= width for line in lines)
    assert "".join(lines).replace(" ", "") == "종로구" * 40


def test_a_name_with_its_place_is_not_parted():
    lines = written(", ".join(glued(f"{code}_2017 종로구") for code in range(100, 130)), 44)
    assert all(line.rstrip(",").endswith("종로구") for line in lines)
    assert " ".join(line.strip() for line in lines).count("_2017 종로구") == 30


def test_a_word_longer_than_the_line_is_folded_and_nothing_is_lost():
    lines = written("x" * 200, 40)
    assert "".join(line.strip() for line in lines) == "x" * 200


def test_a_terminal_too_narrow_for_words_is_not_wrapped_for():
    assert written("one two three four five six seven", 10) == ["one two three four five six seven"]


def test_padding_counts_columns():
    assert [cell_len(padded(text, 9)) for text in ("종로구", "서대문구청앞", "a" * 20, "")] == [9] * 4


def test_square_brackets_of_an_error_are_no_colours():
    assert written("levels ['80+'] and [bold]x[/bold] :smile:", None) == ["levels ['80+'] and [bold]x[/bold] :smile:"]


def test_no_colour_where_no_color_is_set_or_no_terminal_is(monkeypatch, capsys):
    screen.show(Text("failed", style="red"))
    assert capsys.readouterr().out == "failed\n"
    for name in ("NO_COLOR", "FORCE_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    coloured = Console(file=io.StringIO(), force_terminal=True)
    assert not coloured.no_color
    monkeypatch.setenv("NO_COLOR", "1")
    plain = screen.console()
    assert plain.no_color


class Gone(io.StringIO):
    """A pipe whose reader went away."""

    def __init__(self, held):
        super().__init__()
        self.fileno = held.fileno

    def write(self, text):
        raise BrokenPipeError


def test_a_reader_who_went_away_stops_neither_a_page_nor_a_run(monkeypatch):
    plan = SimpleNamespace(study="small", steps=[SimpleNamespace(name="a", cells=1, output="a", needs=())])
    with tempfile.TemporaryFile() as held:
        monkeypatch.setattr("sys.stdout", Gone(held))
        screen.show("line", Text("line"))
        with screen.progress_of(plan) as watcher:
            show = watcher.show
            show(Progress("a", 0, 1))
            show(Progress("a", 1, 1, "ok"))
