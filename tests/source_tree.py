"""The repository's source, as the tests about the source see it: modules by dotted name, with their syntax trees."""

import ast
import io
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Source:
    """One Python file.

    Args:
        name: dotted, such as ``appliance.cards.apdu``; a package is named like its folder.
        text: content.
    """

    name: str
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        """Return the syntax tree."""
        return ast.parse(self.text)

    @property
    def lines(self) -> int:
        """Return how many lines it has."""
        return len(self.text.splitlines())

    @property
    def code_lines(self) -> int:
        """Return how many lines hold code: neither blank nor only a comment nor part of a docstring."""
        prose = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER)
        held: set[int] = set()
        for token in tokenize.generate_tokens(io.StringIO(self.text).readline):
            if token.type not in prose:
                held.update(range(token.start[0], token.end[0] + 1))
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
                held.difference_update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
        return len(held)

    def imports(self) -> Iterator[tuple[str, int]]:
        """Return every imported module, also those imported late, each with its line."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    yield alias.name, node.lineno
            elif isinstance(node, ast.ImportFrom):
                base = node.module or ""
                for alias in node.names:
                    yield f"{base}.{alias.name}", node.lineno


def sources(folder: str) -> list[Source]:
    """Return every Python file below a folder of the repository."""
    found = []
    for path in sorted((ROOT / folder).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found.append(Source(".".join(parts).removesuffix(".__init__"), path.read_text("utf-8")))
    return found
