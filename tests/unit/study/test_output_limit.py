"""What a kernel may put out: everything that it sends counts, whatever its type."""

import json

import pytest

from evaluation.study.execution import Execution
from evaluation.study.output_limit import ERROR_LIMIT, LIMIT, OutputLimit, _counted_send, _Counter, weight


def sender(limit):
    sent = []
    return _counted_send(lambda *message, **more: sent.append(message), _Counter(limit)), sent


@pytest.mark.parametrize(
    ("kind", "content", "more"),
    [
        ("display_data", {"data": {"application/json": {"a": ["x" * 10] * 20}, "text/plain": "j"}}, {}),
        ("display_data", {"data": {"application/json": [1.5] * 40}}, {}),
        ("comm_msg", {"comm_id": "1", "data": {"state": {"value": "x" * 200}}}, {}),
        ("comm_open", {"comm_id": "1", "data": {}}, {"buffers": [b"x" * 200]}),
        ({"msg_type": "execute_result", "content": {"data": {"text/plain": "x" * 200}}}, None, {}),
    ],
    ids=["json", "numbers", "comm", "buffers", "result"],
)
def test_json_numbers_widgets_and_their_bytes_count(kind, content, more):
    send, sent = sender(150)
    with pytest.raises(OutputLimit):
        send(None, kind, content, **more)
    assert sent == []
    send, sent = sender(1000)
    send(None, kind, content, **more)
    assert len(sent) == 1


def test_an_endless_value_is_too_much_and_its_weight_is_soon_known():
    endless = []
    endless.append({"x" * 1_000_000: endless})
    assert LIMIT < weight(endless) < 3 * LIMIT
    assert weight({"a": ["bc", 1]}) <= 2 * len(json.dumps({"a": ["bc", 1]}))


def test_of_a_traceback_only_the_beginning_is_sent():
    send, sent = sender(10)
    send(None, "error", {"ename": "E", "evalue": "v" * 10**6, "traceback": ["x" * 60_000] * 1000})
    said = sent[0][2]
    assert [len(said["evalue"]), *map(len, said["traceback"])][:3] == [ERROR_LIMIT, 60_000, 40_000]
    assert said["traceback"][2:] == ["[... cut here]"]


def test_paths_inside_of_json_are_hidden_however_deep():
    execution = Execution(hidden={"/home/kim/project": "."})
    deep = ["/home/kim/project/x"]
    for _ in range(5000):
        deep = [deep]
    shown = execution._clean_json({"a": [{"b": "in /home/kim/project/y"}, 1, None], "deep": deep})
    assert shown["a"] == [{"b": "in ./y"}, 1, None]
    inner = shown["deep"]
    for _ in range(5000):
        inner = inner[0]
    assert inner == ["./x"]
    assert execution._clean_json("/home/kim/project/z") == "./z"
