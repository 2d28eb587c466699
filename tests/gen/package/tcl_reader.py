"""Reads what a script for Vivado would do, without Tcl: commands, lists, procedures, loops over lists, no conditions.

What it does not know it takes for a command of Vivado: noted with its words, its value the last of them, as in
``vivado_stand_ins.tcl``.
"""

import re

PAIRS = {"{": "}", "[": "]"}


def calls(text, procedure, **arguments):
    """Run a procedure of a script; return the calls of Vivado's commands as lists of words."""
    reader = _Reader()
    for name, parameters, body in re.findall(r"^proc (\w+) \{(.*?)\} \{\n(.*?)^\}", text, re.DOTALL | re.MULTILINE):
        reader.procedures[name] = (parameters.split(), body)
    reader.run(reader.procedures[procedure][1], dict(arguments))
    return reader.noted


def words(text):
    """Words of a list."""
    return [word for word, _ in _split(text)]


class _Reader:
    def __init__(self):
        self.procedures, self.noted = {}, []

    def run(self, body, variables):
        value = ""
        for command in _commands(body):
            value = self.call([self.value(word, kind, variables) for word, kind in _split(command)], variables)
        return value

    def value(self, word, kind, variables):
        if kind == "{":
            return word
        while (start := word.find("[")) >= 0 and not word.startswith("*", start):
            end = _end(word, start)
            word = word[:start] + self.run(word[start + 1 : end], variables) + word[end + 1 :]
        return re.sub(r"\$\{?(\w+)\}?", lambda match: variables[match[1]], word)

    def call(self, command, variables):
        name, *rest = command
        if name == "foreach":
            names, items = rest[0].split(), words(rest[1])
            assert len(items) % len(names) == 0, f"{len(items)} items for {names}"
            for start in range(0, len(items), len(names)):
                self.run(rest[2], variables | dict(zip(names, items[start : start + len(names)], strict=True)))
            return ""
        if name == "set":
            variables[rest[0]] = rest[1]
            return rest[1]
        if name == "if":
            return ""
        if name == "list":
            return " ".join(rest)
        if name == "file":
            return "/".join(rest[1:])
        if name == "proc":
            return ""
        if name in self.procedures:
            parameters, body = self.procedures[name]
            assert len(parameters) == len(rest), f"{name} takes {parameters}, got {rest}"
            return self.run(body, dict(zip(parameters, rest, strict=True)))
        if not name.startswith(("get_", "ls", "lindex", "current_")):
            self.noted.append([name, *rest])
        return rest[-1] if rest else ""


def _commands(body):
    """Commands of a body: lines, and those that follow within braces or behind a backslash."""
    body = re.sub(r"^\s*#.*$", "", body, flags=re.MULTILINE).replace("\\\n", " ")
    start = depth = 0
    for place, character in enumerate(body):
        depth += (character in "{[") - (character in "}]")
        if character == "\n" and depth == 0:
            if body[start:place].strip():
                yield body[start:place].strip()
            start = place + 1
    if body[start:].strip():
        yield body[start:].strip()


def _split(text):
    """Words of a command, each with what it begins with: braces, a quote or neither."""
    found, place = [], 0
    while (match := re.compile(r"\s*(\S)").match(text, place)) is not None:
        place = match.start(1)
        first = text[place]
        if first == "{":
            end = _end(text, place)
            found.append((text[place + 1 : end], "{"))
            place = end + 1
        elif first == '"':
            end = text.index('"', place + 1)
            found.append((text[place + 1 : end], '"'))
            place = end + 1
        else:
            begin = place
            while place < len(text) and not text[place].isspace():
                place = _end(text, place) + 1 if text[place] in PAIRS else place + 1
            found.append((text[begin:place], ""))
    return found


def _end(text, start):
    """Place of the bracket that closes the one at a place."""
    opening, depth = text[start], 0
    for place in range(start, len(text)):
        depth += (text[place] == opening) - (text[place] == PAIRS[opening])
        if depth == 0:
            return place
    raise ValueError(f"nothing closes {text[start : start + 40]}")
