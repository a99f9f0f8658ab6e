"""R calls read into a tree: as much of the language as the items are written in."""

import re
from dataclasses import dataclass, field

TOKEN = re.compile(
    r"""\s*(?:
      (?P<number>\d+\.?\d*(?:e[+-]?\d+)?)
    | (?P<text>"[^"]*")
    | (?P<name>`[^`]+`|[A-Za-z.][\w.]*)
    | (?P<sign><-|==|!=|<=|>=|[-+*/^:~<>=(){}\[\],])
    )""",
    re.VERBOSE,
)
# How strongly an operator binds what stands beside it.
BINDING = {"<-": 1, "~": 2, "+": 4, "-": 4, "*": 5, "/": 5, ":": 6, "^": 7}
BINDING |= dict.fromkeys(("==", "!=", "<", ">", "<=", ">="), 3)
CONSTANTS = {"TRUE": True, "FALSE": False, "Inf": float("inf"), "NULL": None}


@dataclass(frozen=True)
class Name:
    """A name that stands for something: a design, a column."""

    name: str


@dataclass(frozen=True)
class Call:
    """A function, or an operator, with what it is called with."""

    function: str
    given: tuple = ()
    options: dict = field(default_factory=dict)

    def argument(self, name, place):
        """Return an argument that may be named or not."""
        return self.options[name] if name in self.options else self.given[place]


def read(text):
    """Return the tree of one R expression.

    >>> read('mean(api00, na.rm = TRUE)')
    Call(function='mean', given=(Name(name='api00'),), options={'na.rm': True})
    """
    return _Reader(text).whole()


def written(node):
    """Return a tree as R writes it.

    >>> written(read('quote(api00/api.stu)')), written(read('I(x>4)'))
    ('quote(api00 / api.stu)', 'I(x > 4)')
    """
    if isinstance(node, Name):
        return node.name
    if isinstance(node, str):
        return f'"{node}"'
    if not isinstance(node, Call):
        return f"{node:g}" if isinstance(node, float) else str(node).upper()
    if node.function in BINDING:
        parts = [written(part) for part in node.given]
        sign = node.function if node.function in (":", "^") else f" {node.function} "
        return sign.join(parts) if len(parts) > 1 else node.function + parts[0]
    parts = [*map(written, node.given), *(f"{name} = {written(value)}" for name, value in node.options.items())]
    return f"{node.function}({', '.join(parts)})"


class _Reader:
    def __init__(self, text):
        self.text, self.place = text, 0
        self.kind = self.token = ""
        self._next()

    def _next(self):
        token = self.token
        if not self.text[self.place :].strip():
            self.kind = self.token = ""
            return token
        found = TOKEN.match(self.text, self.place)
        if not found:
            raise ValueError(f"not read: {self.text[self.place :][:40]!r}")
        self.kind, self.token, self.place = found.lastgroup, found[found.lastgroup], found.end()
        return token

    def _expect(self, token):
        if self._next() != token:
            raise ValueError(f"expected {token!r} before {self.text[self.place :][:40]!r} in {self.text[:60]!r}")

    def whole(self):
        node = self.expression()
        if self.kind:
            raise ValueError(f"left over: {self.token!r} in {self.text[:60]!r}")
        return node

    def expression(self, binding=0):
        left = self._first()
        while self.kind == "sign" and BINDING.get(self.token, 0) > binding:
            sign = self._next()
            left = Call(sign, (left, self.expression(BINDING[sign])))
        return left

    def _first(self):
        kind, token = self.kind, self._next()
        if kind == "number":
            return float(token)
        if kind == "text":
            return token[1:-1]
        if token in ("~", "-"):
            inner = self.expression(BINDING[token])
            return -inner if isinstance(inner, float) else Call(token, (inner,))
        if token == "(":
            inner = self.expression()
            self._expect(")")
            return inner
        if token == "{":
            lines = []
            while self.token != "}":
                lines.append(self.expression())
            self._expect("}")
            return Call("{", tuple(lines))
        if kind != "name":
            raise ValueError(f"unexpected {token!r} in {self.text[:60]!r}")
        return self._behind(CONSTANTS[token] if token in CONSTANTS else Name(token.strip("`")))

    def _behind(self, node):
        """Read the calls and indices that stand behind a name."""
        while self.token in ("(", "["):
            closing = {"(": ")", "[": "]"}[self._next()]
            given, options = self._arguments(closing)
            node = Call(node.name, given, options) if closing == ")" else Call("[", (node, *given), options)
        return node

    def _arguments(self, closing):
        given, options = [], {}
        while self.token != closing:
            if self.token == ",":
                given.append(None)
            else:
                value = self.expression()
                if self.token == "=":
                    self._next()
                    options[value if isinstance(value, str) else value.name] = self.expression()
                else:
                    given.append(value)
            if self.token == ",":
                self._next()
                if self.token == closing and closing == "]":
                    given.append(None)
        self._expect(closing)
        return tuple(given), options
